/** A clock that stands still until it is moved. */
import type { Clock, Timer } from '../core/clock.ts'

interface Entry {
  dueAt: number
  readonly run: () => void
  /** Undefined: it fires once. */
  readonly everyMs: number | undefined
  readonly order: number
}

export class TestClock implements Clock {
  #now: number
  #order = 0
  readonly #entries = new Set<Entry>()

  /** @param startAt epoch milliseconds. @default the present */
  constructor(startAt: number = Date.now()) {
    this.#now = startAt
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, run: () => void): Timer {
    return this.#add({ dueAt: this.#now + Math.max(0, ms), run, everyMs: undefined, order: this.#order++ })
  }

  every(ms: number, run: () => void): Timer {
    return this.#add({ dueAt: this.#now + ms, run, everyMs: ms, order: this.#order++ })
  }

  /**
   * Moves the time forward, firing timers in the order they fall due; between two, what they set off gets its turns of
   * the event loop. Resolves when the time is reached.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    await settleTurns()
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#now = Math.max(this.#now, next.dueAt)
      if (next.everyMs === undefined) this.#entries.delete(next)
      else next.dueAt += next.everyMs
      next.run()
      await settleTurns()
    }
    this.#now = until
  }

  #add(entry: Entry): Timer {
    this.#entries.add(entry)
    return { cancel: () => void this.#entries.delete(entry) }
  }

  #next(until: number): Entry | undefined {
    let first: Entry | undefined
    for (const entry of this.#entries) {
      if (entry.dueAt > until) continue
      if (
        first === undefined ||
        entry.dueAt < first.dueAt ||
        (entry.dueAt === first.dueAt && entry.order < first.order)
      )
        first = entry
    }
    return first
  }
}

/** A few turns of the real event loop: what a timer set off runs as far as it gets without the time moving. */
async function settleTurns(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise<void>(resolve => setImmediate(resolve))
}
