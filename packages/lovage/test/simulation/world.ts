/**
 * A simulated world: one seed, one line of time, processes that can be killed and frozen at any step. Nothing in it is
 * random but by the seed, and nothing waits for real time, so a seed is a history.
 */
import type { Clock, Timer } from '../../src/core/clock.ts'
import { Heap } from '../../src/drivers/memory/heap.ts'
import type { Instant } from '../../src/drivers/memory/queue-state.ts'

/** mulberry32: small, and the same on every machine. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1)
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

const wallAtStart = Date.UTC(2026, 0, 1)

export class World {
  readonly random: Random
  /** What happened, for people; only kept when asked for. */
  readonly story: string[] | undefined
  steps = 0
  /** The wall clock jumps; the monotonic one does not. */
  wallJumpMs = 0
  #monotonic = 0
  readonly #agenda = new Heap<Step>((a, b) => a.at < b.at || (a.at === b.at && a.tie < b.tie))

  constructor(seed: number, tells: boolean) {
    this.random = new Random(seed)
    this.story = tells ? [] : undefined
  }

  now(): Instant {
    return { now: wallAtStart + this.#monotonic + this.wallJumpMs, monotonic: this.#monotonic }
  }

  after(ms: number, run: () => void): Timer {
    const step: Step = { at: this.#monotonic + Math.max(0, Math.ceil(ms)), tie: this.random.next(), run }
    this.#agenda.push(step)
    return { cancel: () => (step.run = undefined) }
  }

  /** Runs the next step; false: nothing is left to happen. */
  step(): boolean {
    for (let next = this.#agenda.pop(); next !== undefined; next = this.#agenda.pop()) {
      if (next.run === undefined) continue
      this.#monotonic = next.at
      this.steps++
      next.run()
      return true
    }
    return false
  }

  tell(who: string, what: () => string): void {
    this.story?.push(`${String(this.#monotonic).padStart(6)} ms  ${who.padEnd(9)} ${what()}`)
  }
}

/** One process. States: living ⇄ frozen (SIGSTOP), either → dead (SIGKILL): what it was about to do never happens. */
export class Process {
  readonly name: string
  readonly clock: Clock
  state: 'living' | 'frozen' | 'dead' = 'living'
  readonly #world: World
  /** What came while it was frozen. */
  #missed: (() => void)[] = []

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.clock = {
      now: () => world.now().now,
      monotonic: () => world.now().monotonic,
      after: (ms, run) => this.#timer(ms, run),
      every: (ms, run) => this.#repeat(ms, run),
    }
  }

  /** Does it now, when it thaws, or never. */
  do(run: () => void): void {
    if (this.state === 'living') run()
    else if (this.state === 'frozen') this.#missed.push(run)
  }

  freeze(ms: number): void {
    if (this.state !== 'living') return
    this.state = 'frozen'
    this.#world.tell(this.name, () => `is frozen for ${ms} ms`)
    this.#world.after(ms, () => this.#thaw())
  }

  kill(): void {
    this.state = 'dead'
    this.#missed = []
  }

  #thaw(): void {
    if (this.state !== 'frozen') return
    this.state = 'living'
    this.#world.tell(this.name, () => 'goes on')
    for (const run of this.#missed.splice(0)) this.#world.after(0, () => this.do(run))
  }

  #timer(ms: number, run: () => void): Timer {
    let isCancelled = false
    const timer = this.#world.after(ms, () => this.do(() => (isCancelled ? undefined : run())))
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  #repeat(ms: number, run: () => void): Timer {
    let timer = this.#timer(ms, tick)
    const arm = (): Timer => this.#timer(ms, tick)
    function tick(): void {
      timer = arm()
      run()
    }
    return { cancel: () => timer.cancel() }
  }
}
