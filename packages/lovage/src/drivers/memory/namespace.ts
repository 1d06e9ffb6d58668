/**
 * What the connections to one memory URL share: the three states, and the shell that runs their steps. All steps of
 * one turn of the event loop run together at its end; then messages are handed to whoever has room, and one timer is
 * set for what waits. Living owners are renewed before leases are judged, so only one that vanished loses its own.
 */
import type { Delivery, Notice } from '../../broker.ts'
import type { Clock, Timer } from '../../core/clock.ts'
import { endOfTurn } from '../../core/clock.ts'
import type { StateRecord, StoredState } from '../../core/record.ts'
import type { KeyChange } from '../../coordination.ts'
import { createCoordinationState, expireKeys } from '../../core/coordination-state.ts'
import type { CoordinationState, KeptKey } from '../../core/coordination-state.ts'
import { claim, createQueueState, release, renew, tick, untilTick } from './queue-state.ts'
import type { Instant, QueueState } from './queue-state.ts'
import { createResultState, keep, prune } from './result-state.ts'
import type { ResultState } from './result-state.ts'

/** Expired keys are told within a second. */
const keySweepMs = 500
/** Expired records only cost memory. */
const pruneMs = 60_000

/** A subscription, as its namespace sees it. */
export interface Consumer {
  readonly owner: string
  /** The queues it takes from now, and how many more it may hold. */
  room(): { readonly queues: readonly string[]; readonly limit: number }
  deliver(deliveries: readonly Delivery[]): void
  /** One of its deliveries is settled, given back or lost. */
  ended(token: string): void
}

export class Namespace {
  readonly clock: Clock
  readonly queue: QueueState = createQueueState()
  readonly results: ResultState = createResultState()
  readonly coordination: CoordinationState = createCoordinationState()
  readonly consumers: Set<Consumer> = new Set()
  readonly listeners: Set<(notice: Notice) => void> = new Set()
  readonly watchers: Set<(state: StoredState) => void> = new Set()
  readonly keyWatchers: Set<(change: KeyChange) => void> = new Set()
  /** Those who live, with the length of their leases. */
  readonly #owners = new Map<string, number>()
  readonly #holders = new Map<string, Consumer>()
  #steps: ((at: Instant) => void)[] = []
  /** Monotonic: when expired keys and records are looked for again. */
  #sweepAt = { keys: 0, records: 0 }
  #timer: { readonly timer: Timer; readonly dueAt: number } | undefined

  constructor(clock: Clock) {
    this.clock = clock
  }

  instant(): Instant {
    return { now: this.clock.now(), monotonic: this.clock.monotonic() }
  }

  /** Runs a step at the end of this turn; its throw is the promise's. */
  run<T>(step: (at: Instant) => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#steps.push(at => {
      try {
        resolve(step(at))
      } catch (error) {
        reject(error)
      }
    })
    if (this.#steps.length === 1) endOfTurn(() => this.#turn())
    return promise
  }

  /** Looks whether somebody may take more: at the end of this turn. */
  wake(): void {
    void this.run(() => undefined)
  }

  addOwner(owner: string, leaseMs: number): void {
    this.#owners.set(owner, leaseMs)
  }

  /** Gives back what the owner holds. */
  releaseOwner(owner: string, at: Instant): void {
    this.#owners.delete(owner)
    this.ended(release(this.queue, owner, at))
  }

  /** The owner is not heard of any more: what it holds comes back when its lease ends. */
  vanishOwner(owner: string): void {
    this.#owners.delete(owner)
    for (const [token, consumer] of this.#holders) if (consumer.owner === owner) this.#holders.delete(token)
    this.wake()
  }

  ended(tokens: readonly string[]): void {
    for (const token of tokens) {
      this.#holders.get(token)?.ended(token)
      this.#holders.delete(token)
    }
  }

  /** Keeps records that are newer and tells those who watch; for each, whether it was. */
  keepRecords(records: readonly StateRecord[], keepMs: number): boolean[] {
    return records.map(record => {
      const stored = keep(this.results, record, keepMs)
      if (stored !== undefined) for (const notify of this.watchers) notify(stored)
      return stored !== undefined
    })
  }

  setKey(key: string, kept: KeptKey): void {
    this.coordination.keys.set(key, kept)
    this.tellKeys([{ key, value: kept.value }])
  }

  tellKeys(changes: readonly KeyChange[]): void {
    for (const change of changes) for (const notify of this.keyWatchers) notify(change)
  }

  /** What a leak check looks at: all of them are 0 when every connection is closed. */
  openCount(): number {
    const sets = [this.consumers, this.listeners, this.watchers, this.keyWatchers, this.#owners, this.#holders]
    return sets.reduce((sum, { size }) => sum + size, this.#timer === undefined ? 0 : 1)
  }

  #turn(): void {
    const steps = this.#steps
    this.#steps = []
    const at = this.instant()
    for (const [owner, ms] of this.#owners) renew(this.queue, owner, { ms, at })
    this.ended(tick(this.queue, at))
    this.#sweep(at)
    for (const step of steps) step(at)
    this.#handOut()
    this.#setTimer()
  }

  #handOut(): void {
    const line = Array.from(this.consumers)
    for (const consumer of line) {
      if (!this.#owners.has(consumer.owner)) continue
      const deliveries = claim(this.queue, { owner: consumer.owner, ...consumer.room() })
      for (const { token } of deliveries) this.#holders.set(token, consumer)
      if (deliveries.length === 0) continue
      // whoever was served goes to the end of the line
      this.consumers.delete(consumer)
      this.consumers.add(consumer)
      consumer.deliver(deliveries)
    }
  }

  #sweep({ now, monotonic }: Instant): void {
    if (monotonic >= this.#sweepAt.keys) {
      this.tellKeys(expireKeys(this.coordination, monotonic))
      this.#sweepAt.keys = monotonic + keySweepMs
    }
    if (monotonic >= this.#sweepAt.records) {
      prune(this.results, now)
      this.#sweepAt.records = monotonic + pruneMs
    }
  }

  #setTimer(): void {
    const dueAt = this.#nextDue()
    if (this.#timer !== undefined && this.#timer.dueAt <= dueAt && dueAt !== Infinity) return
    this.#timer?.timer.cancel()
    this.#timer = undefined
    if (dueAt === Infinity) return
    const timer = this.clock.after(dueAt - this.clock.monotonic(), () => this.#onTimer(), {
      ref: this.consumers.size > 0,
    })
    this.#timer = { timer, dueAt }
  }

  /** Monotonic: when there is something to do without being asked; Infinity: never. */
  #nextDue(): number {
    const at = this.instant()
    // without a living owner nobody could be given what is due
    const waitMs = (this.#owners.size > 0 ? untilTick(this.queue, at) : undefined) ?? Infinity
    const sweepAt = this.keyWatchers.size > 0 && this.coordination.keys.size > 0 ? this.#sweepAt.keys : Infinity
    return Math.min(at.monotonic + waitMs, sweepAt)
  }

  #onTimer(): void {
    this.#timer = undefined
    this.#turn()
  }
}
