/** A clock that stands still until it is moved. */
import { endOfTurn, type Clock, type Timer } from '../core/clock.ts'

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
   * Moves the time forward, from one timer to the next; between two, what they set off gets its turns of the event loop.
   * A periodic timer fires once, however many of its periods were jumped over. Resolves when the time is reached.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    await settleTurns()
    for (let next = this.#nextOnce(until); next !== undefined; next = this.#nextOnce(until)) {
      await this.#reach(next.dueAt)
      if (this.#entries.delete(next)) next.run()
      await settleTurns()
    }
    await this.#reach(until)
  }

  async #reach(time: number): Promise<void> {
    this.#now = Math.max(this.#now, time)
    // a copy: what runs may set new timers
    for (const entry of Array.from(this.#entries)) {
      if (entry.everyMs === undefined || entry.dueAt > this.#now || !this.#entries.has(entry)) continue
      entry.dueAt = this.#now + entry.everyMs
      entry.run()
      await settleTurns()
    }
  }

  #add(entry: Entry): Timer {
    this.#entries.add(entry)
    return { cancel: () => void this.#entries.delete(entry) }
  }

  #nextOnce(until: number): Entry | undefined {
    let first: Entry | undefined
    for (const entry of this.#entries) {
      if (entry.everyMs !== undefined || entry.dueAt > until) continue
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
  for (let turn = 0; turn < 8; turn++) await new Promise<void>(resolve => endOfTurn(resolve))
}
