/**
 * Who runs next: those that wait for a slot, in the order they came, and those that the pool has, of which the first
 * `slots` run. It says what is to be done, and the executor does it.
 */
import type { Run } from './run.ts'

/** How long deliveries wait behind slow ones before other workers may have them, all but as many as there are slots. */
const longestWaitMs = 250
/** And those too, which would be the next to run here. */
const longestKeptMs = 1000

/** Who waits behind slow tasks for too long: in the pool, and, taken out of the line, before it. */
interface Stuck {
  readonly inPool: readonly Run[]
  readonly before: readonly Run[]
}

export class Line {
  readonly #slots: number
  readonly #backlog: Run[] = []
  /** Handed to the pool, in that order. */
  readonly #running = new Map<number, Run>()
  /** Of those, how many wait until their start is written. */
  #marking = 0

  constructor(slots: number) {
    this.#slots = slots
  }

  get runningCount(): number {
    return Math.min(this.#running.size, this.#slots)
  }

  push(run: Run): void {
    this.#backlog.push(run)
  }

  /** Out of those that wait; one that does not changes nothing. */
  remove(run: Run): void {
    const index = this.#backlog.indexOf(run)
    if (index >= 0) this.#backlog.splice(index, 1)
  }

  /**
   * Takes out the next one that the pool may have now. What is written down as begun may not wait in the pool, nor may
   * others take its slot meanwhile, nor what expires, nor what others may end.
   * @param window how many the pool may have of those that can wait in it
   */
  next(window: number): Run | undefined {
    const at = this.#nextInLine()
    const run = this.#backlog[at]
    if (run === undefined) return undefined
    const mayWait =
      !run.careful && run.askedAt === undefined && run.request.expiresAt === undefined && this.#marking === 0
    if (this.#running.size >= (mayWait ? window : this.#slots)) return undefined
    this.#backlog.splice(at, 1)
    return run
  }

  /** The pool has it, or will, once its start is written. */
  begin(run: Run): void {
    this.#running.set(run.runId, run)
  }

  /** Until `marked`, nobody waits behind it in the pool. */
  marking(): void {
    this.#marking++
  }

  marked(): void {
    this.#marking--
  }

  ended(run: Run): void {
    this.#running.delete(run.runId)
  }

  /** Those that the pool has, in the order they were handed to it. */
  handedOver(): Iterable<Run> {
    return this.#running.values()
  }

  waiting(): readonly Run[] {
    return this.#backlog
  }

  /** Handed to the pool and behind those that run; some may have begun, whose predecessors' ends are not told yet. */
  queuedInPool(): readonly Run[] {
    return this.#running.size > this.#slots ? [...this.#running.values()].slice(this.#slots) : []
  }

  /** Takes out all that wait. */
  drain(): readonly Run[] {
    return this.#backlog.splice(0)
  }

  /** Whoever waits first has waited for too long. */
  isStuck(now: number): boolean {
    return this.#waitedMs(now) >= longestWaitMs
  }

  /** What goes back then, for workers that are free. */
  takeStuck(now: number): Stuck {
    const queued = this.queuedInPool()
    const keep = this.#waitedMs(now) < longestKeptMs ? this.#slots : 0
    return { inPool: queued.slice(keep), before: this.#backlog.splice(Math.max(0, keep - queued.length)) }
  }

  #waitedMs(now: number): number {
    const first = this.queuedInPool()[0] ?? this.#backlog[0]
    return first === undefined ? 0 : now - first.waitsSince
  }

  /**
   * The first that waits; -1: none. Each suspect takes a slot and a process of its own for long: with half of the slots
   * taken by suspects, those who wait are overtaken.
   */
  #nextInLine(): number {
    if (this.#backlog[0]?.isolated !== true) return this.#backlog.length > 0 ? 0 : -1
    let suspects = 0
    for (const run of this.#running.values()) if (run.isolated) suspects++
    return suspects < Math.ceil(this.#slots / 2) ? 0 : this.#backlog.findIndex(run => !run.isolated)
  }
}
