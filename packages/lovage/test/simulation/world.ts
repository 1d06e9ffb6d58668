/**
 * A simulated world: one seed, one line of time. Nothing in it is random but by the seed, and nothing waits for real
 * time, so a seed is a history.
 */
import type { Timer } from '../../src/core/clock.ts'
import { Heap } from '../../src/drivers/memory/heap.ts'

/** mulberry32: small, and the same on every machine. A stream of its own for each name: taking one part out of a history leaves the others' luck as it was. */
export class Random {
  #state: number

  constructor(seed: number, stream = '') {
    let hash = Math.imul(seed + 1, 0x9e3779b1)
    for (let index = 0; index < stream.length; index++) hash = Math.imul(hash ^ stream.charCodeAt(index), 0x01000193)
    this.#state = hash
  }

  /** 0 ≤ next < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)] as T
  }
}

interface Step {
  readonly at: number
  /** Decides among steps of one instant: any order may happen. */
  readonly tie: number
  run: (() => void) | undefined
}

export class World {
  readonly seed: number
  /** What happened, for people; only kept when asked for. */
  readonly story: string[] | undefined
  steps = 0
  #nowMs = 0
  readonly #random: Random
  readonly #agenda = new Heap<Step>((a, b) => a.at < b.at || (a.at === b.at && a.tie < b.tie))

  constructor(seed: number, tells: boolean) {
    this.seed = seed
    this.#random = new Random(seed)
    this.story = tells ? [] : undefined
  }

  /** True time: no process sees it. */
  get nowMs(): number {
    return this.#nowMs
  }

  randomOf(stream: string): Random {
    return new Random(this.seed, stream)
  }

  after(ms: number, run: () => void): Timer {
    const step: Step = { at: this.#nowMs + Math.max(0, Math.ceil(ms)), tie: this.#random.next(), run }
    this.#agenda.push(step)
    return { cancel: () => (step.run = undefined) }
  }

  /** Runs the next step; false: nothing is left to happen. */
  step(): boolean {
    for (let next = this.#agenda.pop(); next !== undefined; next = this.#agenda.pop()) {
      if (next.run === undefined) continue
      this.#nowMs = next.at
      this.steps++
      next.run()
      return true
    }
    return false
  }

  tell(who: string, what: () => string): void {
    this.story?.push(`${String(this.#nowMs).padStart(6)} ms  ${who.padEnd(9)} ${what()}`)
  }
}
