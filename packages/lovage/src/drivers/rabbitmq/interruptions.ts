/** What a worker is told while nothing comes: each reason once in a while, and when it is over. */
import type { Clock } from '../../core/clock.ts'

/** One reason is told no oftener. */
const tellAgainMs = 60_000

export class Interruptions {
  readonly #clock: Clock
  readonly #tell: ((reason: Error | undefined) => void) | undefined
  /** Whether the worker was told last that nothing comes. */
  #isTold = false
  /** By reason. Monotonic ms. */
  readonly #toldAt = new Map<string, number>()

  /** @param tell undefined: it is over */
  constructor(clock: Clock, tell: ((reason: Error | undefined) => void) | undefined) {
    this.#clock = clock
    this.#tell = tell
  }

  began(reason: Error): void {
    const now = this.#clock.monotonic()
    for (const [text, toldAt] of this.#toldAt) if (now - toldAt > tellAgainMs) this.#toldAt.delete(text)
    if (this.#toldAt.has(reason.message)) return
    this.#toldAt.set(reason.message, now)
    this.#isTold = true
    this.#tell?.(reason)
  }

  ended(): void {
    if (!this.#isTold) return
    this.#isTold = false
    this.#tell?.(undefined)
  }
}
