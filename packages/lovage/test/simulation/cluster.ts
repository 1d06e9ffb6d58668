/**
 * One broker and one store: the memory driver's machines, reached over a network that is slow, loses answers and
 * wake-ups, and refuses for a while. The order of a settlement is `joinBackend`'s, the one that ships.
 */
import { joinBackend, type Backend, type Connection } from '../../src/backend.ts'
import type { Broker, Delivery, Publication, PublishOutcome, Settlement, SettleOutcome } from '../../src/broker.ts'
import type { Coordination } from '../../src/coordination.ts'
import type { StateRecord } from '../../src/core/record.ts'
import type { ResultStore } from '../../src/result-store.ts'
import * as queues from '../../src/drivers/memory/queue-state.ts'
import { createResultState, keep, type ResultState } from '../../src/drivers/memory/result-state.ts'
import { idOf, type Ledger } from './invariants.ts'
import type { Process, World } from './world.ts'

/** A build with one safety taken out: the checks must notice. */
export type Breakage = 'ack-before-store' | 'no-fencing' | 'lost-wakeup'

export interface Faults {
  /** Over, once the history's calm begins. */
  active: boolean
  /** That the process dies right before or right after what it asked for is done. */
  readonly killRate: number
  readonly lostAnswerRate: number
  readonly lostWakeUpRate: number
}

export interface ClusterOptions {
  readonly world: World
  readonly ledger: Ledger
  readonly faults: Faults
  /** One step for record and disposition, as sqlite; else store and broker are two. */
  readonly atomic: boolean
  readonly leaseMs: number
  readonly breakage: Breakage | undefined
  readonly onKill: (process: Process) => void
}

type Service = 'broker' | 'store'
/** A claim's answer is lost only with its asker: else a living worker would hold what it does not know of. */
type Request = Service | 'claim'
const keepMs = 86_400_000
export const queueName = 'celery'

export class Cluster {
  readonly down: Set<Service> = new Set()
  readonly counts = { refused: 0, lostAnswers: 0, lostWakeUps: 0, duplicates: 0, redeliveries: 0, stale: 0, retries: 0 }
  readonly #queue: queues.QueueState = queues.createQueueState()
  readonly #results: ResultState = createResultState()
  readonly #options: ClusterOptions
  /** Token → task id of what is held. */
  readonly #held = new Map<string, string>()
  /** Living workers' ears. */
  readonly #listeners = new Map<Process, { readonly onWake: () => void; isWaking: boolean }>()
  #tickAt = Infinity

  constructor(options: ClusterOptions) {
    this.#options = options
    queues.declareQueue(this.#queue, queueName)
  }

  get size(): number {
    const { ready, delayed, unsettled } = queues.queueStats(this.#queue, queueName)
    return ready + delayed + unsettled
  }

  get parkedCount(): number {
    return this.#queue.parked.size
  }

  listen(process: Process, onWake: () => void): void {
    this.#listeners.set(process, { onWake, isWaking: false })
  }

  connect(process: Process): Backend {
    const broker = {
      capabilities: {
        delay: true,
        priorities: 9,
        transactions: false,
        redelivery: 'lease',
        counts: true,
        atomicSettle: true,
      },
      publish: batch => this.#call(process, 'broker', () => batch.map(each => this.#publish(each))),
      markStarted: deliveries => this.#call(process, 'broker', () => queues.markStarted(this.#queue, deliveries)),
      settle: settlement => this.#call(process, 'broker', () => this.#settle(settlement)),
    } satisfies Partial<Broker> as unknown as Broker
    const results = {
      put: record => this.#call(process, 'store', () => this.#keep(record)),
      get: id =>
        this.#call(process, 'store', () => {
          const state = this.#results.records.get(id)?.state
          return state === undefined ? { kind: 'absent' } : { kind: 'state', state }
        }),
    } satisfies Partial<ResultStore> as unknown as ResultStore
    const transport: Connection = {
      broker,
      results,
      coordination: {} as Coordination,
      description: '',
      close: async () => {},
    }
    const backend = joinBackend(transport, this.#options.atomic ? transport : { ...transport })
    return this.#options.breakage === 'ack-before-store' ? ackBeforeStore(backend) : backend
  }

  claim(process: Process, owner: string, limit: number): Promise<Delivery[]> {
    return this.#call(process, 'claim', () => {
      this.#renew(owner, this.#options.leaseMs)
      this.#tick()
      const deliveries = queues.claim(this.#queue, { owner, queues: [queueName], limit })
      for (const delivery of deliveries) this.#handedOver(process, delivery)
      this.#arm()
      return deliveries
    })
  }

  heartbeat(process: Process, owner: string): Promise<void> {
    return this.#call(process, 'broker', () => this.#renew(owner, this.#options.leaseMs))
  }

  /** Its connection is closed in good order. */
  leave(process: Process, owner: string): Promise<void> {
    return this.#call(process, 'broker', () => {
      for (const token of queues.release(this.#queue, owner, this.#now)) this.#tookBack(token, false)
      this.#wake()
    })
  }

  /** A supervisor on the same machine saw it die: its lease ends now. */
  sawDie(owner: string): void {
    if (!this.#queue.owners.has(owner)) return
    this.#renew(owner, 0)
    this.#tick()
  }

  get #now(): queues.Instant {
    return this.#options.world.now()
  }

  #publish(publication: Publication): PublishOutcome {
    if (this.#options.ledger.entry(publication.id).accepted > 0) this.counts.duplicates++
    queues.enqueue(this.#queue, publication, this.#now)
    this.#options.ledger.queued(publication.id)
    if (this.#options.atomic && publication.record !== undefined) this.#keep(publication.record)
    this.#arm()
    this.#wake()
    return { accepted: 'yes' }
  }

  #settle(asked: Settlement): SettleOutcome {
    const { world, ledger, atomic, breakage } = this.#options
    const id = idOf(asked.delivery.message)
    const token = breakage === 'no-fencing' ? this.#presentToken(asked.delivery.token) : asked.delivery.token
    const settlement = { ...asked, delivery: { ...asked.delivery, token } }
    const { outcome, records } = queues.settle(this.#queue, settlement, this.#now)
    world.tell('broker', () => `settles ${id} ${asked.delivery.token}: ${asked.disposition.kind}, ${outcome}`)
    if (atomic) for (const record of records) this.#keep(record)
    if (outcome === 'lost') this.counts.stale++
    else this.#held.delete(token)
    if (outcome === 'settled') this.counts.retries += asked.successors?.length ?? 0
    ledger.settled(asked, outcome)
    this.#arm()
    if (outcome === 'settled' && (asked.disposition.kind === 'requeue' || asked.successors !== undefined)) this.#wake()
    return outcome
  }

  /** What a broker without fencing does: whoever names the message may settle it. */
  #presentToken(token: string): string {
    const message = token.slice(0, token.indexOf(':') + 1)
    return [...this.#queue.held.keys()].find(held => held.startsWith(message)) ?? token
  }

  #keep(record: StateRecord): boolean {
    this.#options.ledger.entry(record.id)
    const stored = keep(this.#results, record, keepMs)
    if (stored === undefined) return false
    this.#options.world.tell('store', () => `${stored.id} is ${stored.state} ${stored.value ?? ''}`)
    this.#options.ledger.stored(stored)
    return true
  }

  #handedOver(process: Process, delivery: Delivery): void {
    const id = idOf(delivery.message)
    const { token, deliveryCount, crashCount } = delivery
    this.#held.set(token, id)
    if (delivery.redelivered) this.counts.redeliveries++
    this.#options.world.tell(
      process.name,
      () => `gets ${id} ${token}: delivery ${deliveryCount}, ${crashCount} crashes`,
    )
    this.#options.ledger.handedOver(delivery)
  }

  #tookBack(token: string, isCrash: boolean): void {
    const id = this.#held.get(token)
    if (id === undefined) return
    this.#held.delete(token)
    this.#options.world.tell('broker', () => `takes ${id} ${token} back${isCrash ? ': its lease has ended' : ''}`)
    this.#options.ledger.tookBack(token, id, isCrash)
  }

  #renew(owner: string, ms: number): void {
    queues.renew(this.#queue, owner, { ms, at: this.#now })
  }

  #tick(): void {
    for (const token of queues.tick(this.#queue, this.#now)) this.#tookBack(token, true)
    this.#wake()
    this.#arm()
  }

  /** The server's own timer, for what waits for its time. */
  #arm(): void {
    const waitMs = queues.untilTick(this.#queue, this.#now)
    if (waitMs === undefined) return
    const at = this.#now.monotonic + waitMs
    if (at >= this.#tickAt && this.#tickAt > this.#now.monotonic) return
    this.#tickAt = at
    this.#options.world.after(waitMs, () => {
      if (this.#tickAt === at) this.#tickAt = Infinity
      this.#tick()
    })
  }

  #wake(): void {
    const { world, faults } = this.#options
    if (queues.queueStats(this.#queue, queueName).ready === 0) return
    for (const [process, ear] of this.#listeners) {
      if (process.state === 'dead') this.#listeners.delete(process)
      if (ear.isWaking) continue
      if (faults.active && world.random.chance(faults.lostWakeUpRate)) {
        this.counts.lostWakeUps++
        continue
      }
      ear.isWaking = true
      world.after(world.random.between(0, 2), () => {
        ear.isWaking = false
        process.do(ear.onWake)
      })
    }
  }

  /** A request, what it does, and its answer: the sender may die at each border, the answer may be lost. */
  #call<T>(process: Process, request: Request, effect: () => T): Promise<T> {
    const { world, faults, onKill } = this.#options
    const { random } = world
    const service = request === 'claim' ? 'broker' : request
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const strikes = (rate: number): boolean => faults.active && random.chance(rate)
    const answer = (deliver: () => void): void => void world.after(random.between(0, 2), () => process.do(deliver))
    const arrive = (): void => {
      // what a dying process had sent may have left its socket, or not
      if (process.state === 'dead' && random.chance(0.5)) return
      if (this.down.has(service)) {
        this.counts.refused++
        return answer(() => reject(new Error(`the ${service} refuses`)))
      }
      const value = effect()
      if (strikes(faults.killRate)) onKill(process)
      if (!strikes(faults.lostAnswerRate) || request === 'claim') return answer(() => resolve(value))
      this.counts.lostAnswers++
      answer(() => reject(new Error('the answer was lost')))
    }
    if (strikes(faults.killRate)) onKill(process)
    world.after(random.between(0, 2), arrive)
    return promise
  }
}

function ackBeforeStore(backend: Backend): Backend {
  return {
    ...backend,
    async settle({ record, ...rest }) {
      const outcome = await backend.broker.settle(rest)
      if (record !== undefined) await backend.results.put(record)
      return outcome
    },
  }
}
