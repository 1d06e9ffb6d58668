/**
 * The servers: the memory driver's machines behind the simulated network. What each request does there, with the books
 * told of it; `connect` gives a process the seams over it, joined in the order that ships.
 */
import type { Delivery, ParkedMessage, Publication, Settlement, SettleOutcome } from '../../src/broker.ts'
import type { StateRecord, StoredState } from '../../src/core/record.ts'
import { isReadyState } from '../../src/core/states.ts'
import * as queues from '../../src/drivers/memory/queue-state.ts'
import { createResultState, isOvertaken, keep, type ResultState } from '../../src/drivers/memory/result-state.ts'
import type { Breakage } from './breakages.ts'
import { idOf } from './invariants.ts'
import { Keys } from './keys.ts'
import type { Ledger } from './ledger.ts'
import type { Network } from './network.ts'
import { leaseMs, type HistoryPlan } from './plan.ts'
import { wallTime, type Machine, type Process } from './process.ts'
import type { World } from './world.ts'

export interface ClusterOptions {
  readonly world: World
  readonly ledger: Ledger
  readonly network: Network
  readonly plan: HistoryPlan
  /** Of the broker. */
  readonly machine: Machine
  readonly breakage: Breakage | undefined
}

const keepMs = 86_400_000
export const queueName = 'celery'

export class Cluster {
  readonly counts = { duplicates: 0, redeliveries: 0, stale: 0, retries: 0 }
  readonly keys: Keys
  readonly #options: ClusterOptions
  readonly #queue: queues.QueueState = queues.createQueueState()
  readonly #results: ResultState = createResultState()
  /** Token → what is held. */
  readonly #held = new Map<string, { readonly id: string; readonly owner: string }>()
  /** Living workers' ears. */
  readonly #ears = new Map<Process, { readonly onWake: () => void; isWaking: boolean }>()
  readonly #stateWatchers = new Map<Process, (state: StoredState) => void>()
  #tickAt = Infinity

  constructor(options: ClusterOptions) {
    this.#options = options
    this.keys = new Keys(options)
    queues.declareQueue(this.#queue, queueName)
  }

  get size(): number {
    const { ready, delayed = NaN, unsettled = NaN } = queues.queueStats(this.#queue, queueName)
    return ready + delayed + unsettled
  }

  get parked(): readonly ParkedMessage[] {
    return [...this.#queue.parked.values()]
  }

  heldBy(owner: string): number {
    return this.#queue.owners.get(owner)?.held.size ?? 0
  }

  /** Ears and watchers of a process: 0 once it has ended. */
  listeners(process: Process): number {
    return this.keys.watchers(process) + Number(this.#ears.has(process)) + Number(this.#stateWatchers.has(process))
  }

  /** Its connection is gone, however it ended. */
  disconnect(process: Process): void {
    this.#ears.delete(process)
    this.#stateWatchers.delete(process)
    this.keys.disconnect(process)
  }

  listen(process: Process, onWake: () => void): void {
    this.#ears.set(process, { onWake, isWaking: false })
  }

  unlisten(process: Process): void {
    this.#ears.delete(process)
  }

  // ── the broker ────────────────────────────────────────────────────────────────────────────────────

  publish(publication: Publication): void {
    const { ledger, plan, breakage } = this.#options
    if (ledger.entry(publication.id).accepted > 0) this.counts.duplicates++
    const waits = breakage === 'eta-ignored' ? { notBefore: undefined } : {}
    queues.enqueue(this.#queue, { ...publication, ...waits }, this.#now)
    ledger.queued(publication)
    if (plan.isAtomic && publication.record !== undefined) this.keep(publication.record)
    this.#arm()
    this.#wake()
  }

  claim(process: Process, owner: string, limit: number): Delivery[] {
    this.#renew(owner, leaseMs)
    this.#tick()
    const deliveries = queues.claim(this.#queue, { owner, queues: [queueName], limit })
    for (const delivery of deliveries) this.#handedOver(process, owner, delivery)
    this.#arm()
    return this.#brokenHandOver(process, deliveries)
  }

  heartbeat(owner: string): void {
    if (this.#options.breakage === 'forget-lease-renewal') this.#options.ledger.heard(owner)
    else this.#renew(owner, leaseMs)
  }

  markStarted(deliveries: readonly Delivery[]): readonly Delivery[] {
    const lost = queues.markStarted(this.#queue, deliveries)
    const tokens = deliveries.filter(each => !lost.includes(each)).map(({ token }) => token)
    this.#options.ledger.begun(tokens, token => this.#held.get(token)?.id)
    return lost
  }

  settle(asked: Settlement): SettleOutcome {
    const { ledger, world, plan, breakage } = this.#options
    const id = idOf(asked.delivery.message)
    const token = breakage === 'no-fencing' ? this.#presentToken(asked.delivery.token) : asked.delivery.token
    const settlement = { ...asked, delivery: { ...asked.delivery, token } }
    if (isOvertaken(this.#results, settlement)) return 'overtaken'
    const { outcome, records } = queues.settle(this.#queue, settlement, this.#now)
    world.tell('broker', () => `settles ${id} ${asked.delivery.token}: ${asked.disposition.kind}, ${outcome}`)
    if (plan.isAtomic) for (const record of records) this.keep(record)
    if (outcome === 'lost') this.counts.stale++
    else this.#held.delete(token)
    if (outcome === 'settled') this.counts.retries += asked.successors?.length ?? 0
    else if (breakage === 'double-settle')
      for (const each of asked.successors ?? []) queues.enqueue(this.#queue, each, this.#now)
    if (breakage === 'bare-parking' && asked.disposition.kind === 'park') this.#bareLast()
    ledger.settled(asked, outcome)
    this.#arm()
    if (outcome === 'settled' && (asked.disposition.kind === 'requeue' || asked.successors !== undefined)) this.#wake()
    return outcome
  }

  /** Its connection is closed in good order. */
  leave(process: Process, owner: string): void {
    for (const token of queues.release(this.#queue, owner, this.#now)) this.#tookBack(token, false)
    this.disconnect(process)
    this.#wake()
  }

  /** A supervisor on the same machine saw it die: its lease ends now. */
  sawDie(owner: string): void {
    if (!this.#queue.owners.has(owner)) return
    queues.renew(this.#queue, owner, { ms: 0, at: this.#now })
    this.#tick()
  }

  // ── the store ─────────────────────────────────────────────────────────────────────────────────────

  keep(record: StateRecord): boolean {
    this.#options.ledger.entry(record.id)
    const forgets = this.#options.breakage === 'final-is-replaced' && isReadyState(record.state)
    if (forgets || this.#options.breakage === 'unversioned-put') this.#results.records.delete(record.id)
    const stored = keep(this.#results, record, keepMs)
    if (stored === undefined) return false
    this.#options.world.tell('store', () => `${stored.id} is ${stored.state} ${stored.value ?? ''}`)
    this.#options.ledger.stored(stored)
    for (const [process, onState] of this.#stateWatchers)
      this.#options.network.push(process, 'store', () => onState(stored))
    return true
  }

  read(id: string): StoredState | undefined {
    return this.#results.records.get(id)?.state
  }

  /** All that is kept, then every change: they may overtake each other on the way. */
  watchStates(process: Process, onState: (state: StoredState) => void): readonly StoredState[] {
    this.#stateWatchers.set(process, onState)
    return [...this.#results.records.values()].map(({ state }) => state)
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────

  get #now(): queues.Instant {
    const { world, machine, breakage } = this.#options
    const now = wallTime(world, machine)
    return { now, monotonic: breakage === 'wall-clock-lease' ? now : world.nowMs }
  }

  #renew(owner: string, ms: number): void {
    queues.renew(this.#queue, owner, { ms, at: this.#now })
    this.#options.ledger.heard(owner)
  }

  /** As the worker gets them, in a build that is broken on purpose. */
  #brokenHandOver(process: Process, deliveries: Delivery[]): Delivery[] {
    const { breakage, world } = this.#options
    const without = (name: string): Delivery[] =>
      deliveries.map(each => ({
        ...each,
        message: { ...each.message, headers: { ...each.message.headers, [name]: null } },
      }))
    if (breakage === 'non-atomic-claim') world.after(5, () => process.state === 'dead' && this.#neverNoted(deliveries))
    if (breakage === 'ack-on-receive')
      for (const delivery of deliveries) this.settle({ delivery, disposition: { kind: 'ack' } })
    if (breakage === 'eta-ignored') return without('eta')
    return breakage === 'expire-ignored' ? without('expires') : deliveries
  }

  /** What a broker without fencing does: whoever names the message may settle it. */
  #presentToken(token: string): string {
    const message = token.slice(0, token.indexOf(':') + 1)
    return [...this.#queue.held.keys()].find(held => held.startsWith(message)) ?? token
  }

  /** Taken by a process that died before it had noted them. */
  #neverNoted(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) queues.settle(this.#queue, { delivery, disposition: { kind: 'ack' } }, this.#now)
  }

  #bareLast(): void {
    const last = [...this.#queue.parked.values()].at(-1)
    if (last === undefined) return
    const message = { ...last.message, headers: {} }
    this.#queue.parked.set(last.parkedId, { ...last, message })
  }

  #handedOver(process: Process, owner: string, delivery: Delivery): void {
    const id = idOf(delivery.message)
    const { token, deliveryCount, crashCount } = delivery
    this.#held.set(token, { id, owner })
    if (delivery.redelivered) this.counts.redeliveries++
    this.#options.world.tell(
      process.name,
      () => `gets ${id} ${token}: delivery ${deliveryCount}, ${crashCount} crashes`,
    )
    this.#options.ledger.handedOver(delivery, process)
  }

  #tookBack(token: string, isCrash: boolean): void {
    const held = this.#held.get(token)
    if (held === undefined) return
    this.#held.delete(token)
    const { id, owner } = held
    this.#options.world.tell('broker', () => `takes ${id} ${token} back${isCrash ? ': its lease has ended' : ''}`)
    this.#options.ledger.tookBack(token, id, { isCrash, owner })
  }

  #tick(): void {
    const before = this.#options.breakage === 'forget-crash-count' ? this.#crashCounts() : undefined
    for (const token of queues.tick(this.#queue, this.#now)) this.#tookBack(token, true)
    before?.()
    this.#wake()
    this.#arm()
  }

  /** @returns what sets them back. */
  #crashCounts(): () => void {
    const counts = [...this.#queue.held.values()].map(({ message }) => ({ message, count: message.crashCount }))
    return () => {
      for (const { message, count } of counts) message.crashCount = count
    }
  }

  /** The server's own timer, for what waits for its time. */
  #arm(): void {
    const { world } = this.#options
    const waitMs = queues.untilTick(this.#queue, this.#now)
    if (waitMs === undefined) return
    const at = world.nowMs + waitMs
    if (at >= this.#tickAt && this.#tickAt > world.nowMs) return
    this.#tickAt = at
    world.after(waitMs, () => {
      if (this.#tickAt === at) this.#tickAt = Infinity
      this.#tick()
    })
  }

  #wake(): void {
    const { world, network } = this.#options
    if (queues.queueStats(this.#queue, queueName).ready === 0) return
    for (const [process, ear] of this.#ears) {
      if (ear.isWaking || network.strikes('lost wake-up', process, this.#readyIds)) continue
      ear.isWaking = true
      world.after(process.random.between(0, 2), () => {
        ear.isWaking = false
        process.do(ear.onWake)
      })
    }
  }

  /** The next that would be handed over. */
  get #readyIds(): readonly string[] {
    const next = this.#queue.queues.get(queueName)?.ready.peek()
    return next === undefined ? [] : [next.id]
  }
}
