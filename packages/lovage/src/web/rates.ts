/** How many streams one client may have and begin. Pure but for its memory. */
import type { WebLimits } from './web-limits.ts'

interface Bucket {
  left: number
  /** Monotonic milliseconds of the last look. */
  at: number
}

/** Addresses are the clients' to make up: a bound. */
const mostBuckets = 10_000

export class StreamRates {
  readonly #limits: WebLimits
  readonly #open = new Map<string, number>()
  readonly #buckets = new Map<string, Bucket>()

  constructor(limits: WebLimits) {
    this.#limits = limits
  }

  /** Takes one of an address's new streams of this second. @param now monotonic milliseconds. */
  takeNew(address: string, now: number): boolean {
    const most = this.#limits.newStreamsPerSecond
    if (this.#buckets.size >= mostBuckets) this.#buckets.clear()
    const bucket = this.#buckets.get(address) ?? { left: most, at: now }
    bucket.left = Math.min(most, bucket.left + ((now - bucket.at) * most) / 1000)
    bucket.at = now
    this.#buckets.set(address, bucket)
    if (bucket.left < 1) return false
    bucket.left--
    return true
  }

  /** Counts a stream under all its keys until the function is called; undefined: one of them has too many already. */
  open(keys: readonly string[]): (() => void) | undefined {
    const own = [...new Set(keys)]
    if (own.some(key => (this.#open.get(key) ?? 0) >= this.#limits.streamsPerHandle)) return undefined
    for (const key of own) this.#open.set(key, (this.#open.get(key) ?? 0) + 1)
    return () => {
      for (const key of own) {
        const left = (this.#open.get(key) ?? 1) - 1
        if (left > 0) this.#open.set(key, left)
        else this.#open.delete(key)
      }
    }
  }
}
