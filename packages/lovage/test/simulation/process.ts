/**
 * One process of the simulated world: it can be killed, frozen and put to sleep with its machine at any step, and its
 * machine's clock tells a time of its own.
 */
import type { Clock, Timer } from '../../src/core/clock.ts'
import type { Random, World } from './world.ts'

const wallAtStart = Date.UTC(2026, 0, 1)

/** A machine's wall clock: it is wrong by so much. The monotonic one is right, but stands still while the machine sleeps. */
export interface Machine {
  readonly name: string
  wallOffsetMs: number
  asleepMs: number
}

export function wallTime(world: World, machine: Machine): number {
  return wallAtStart + world.nowMs + machine.wallOffsetMs
}

/** States: living ⇄ frozen (SIGSTOP, or its machine sleeps), either → dead (SIGKILL): what it was about to do never happens. */
export class Process {
  readonly name: string
  readonly machine: Machine
  readonly clock: Clock
  readonly random: Random
  state: 'living' | 'frozen' | 'dead' = 'living'
  /** How long it has been frozen in all. */
  frozenMs = 0
  /** Started and neither fired nor cancelled. */
  timerCount = 0
  readonly #world: World
  /** What came while it was frozen. */
  #missed: (() => void)[] = []

  constructor(world: World, name: string, machine: Machine) {
    this.#world = world
    this.name = name
    this.machine = machine
    this.random = world.randomOf(name)
    this.clock = {
      now: () => wallTime(world, machine),
      monotonic: () => world.nowMs - machine.asleepMs,
      after: (ms, run) => this.#countedTimer(ms, run),
      every: (ms, run) => this.#repeat(ms, run),
    }
  }

  /** Does it now, when it thaws, or never. */
  do(run: () => void): void {
    if (this.state === 'living') run()
    else if (this.state === 'frozen') this.#missed.push(run)
  }

  /** @param withMachine its monotonic clock stands still too, and the time left of its timers. */
  freeze(ms: number, withMachine: boolean): void {
    if (this.state !== 'living') return
    this.state = 'frozen'
    this.frozenMs += ms
    this.#world.tell(this.name, () => `is ${withMachine ? 'suspended with its machine' : 'frozen'} for ${ms} ms`)
    this.#world.after(ms, () => {
      if (withMachine) this.machine.asleepMs += ms
      this.#thaw()
    })
  }

  kill(): void {
    this.state = 'dead'
    this.#missed = []
  }

  /** A timer that nobody counts: the connection's own. */
  later(ms: number, run: () => void): Timer {
    const dueAt = this.clock.monotonic() + ms
    let timer = this.#world.after(ms, fire)
    let isCancelled = false
    const arm = (leftMs: number): Timer => this.#world.after(leftMs, fire)
    const live = (work: () => void): void => this.do(work)
    const leftMs = (): number => dueAt - this.clock.monotonic()
    function fire(): void {
      live(() => {
        if (isCancelled) return
        if (leftMs() > 0) timer = arm(leftMs())
        else run()
      })
    }
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  #thaw(): void {
    if (this.state !== 'frozen') return
    this.state = 'living'
    this.#world.tell(this.name, () => 'goes on')
    for (const run of this.#missed.splice(0)) this.#world.after(0, () => this.do(run))
  }

  #countedTimer(ms: number, run: () => void): Timer {
    let isOver = false
    const end = (): void => {
      if (!isOver) this.timerCount--
      isOver = true
    }
    this.timerCount++
    const timer = this.later(ms, () => {
      end()
      run()
    })
    return {
      cancel: () => {
        end()
        timer.cancel()
      },
    }
  }

  #repeat(ms: number, run: () => void): Timer {
    let timer = this.later(ms, tick)
    let isOver = false
    const arm = (): Timer => this.later(ms, tick)
    this.timerCount++
    function tick(): void {
      timer = arm()
      run()
    }
    return {
      cancel: () => {
        if (!isOver) this.timerCount--
        isOver = true
        timer.cancel()
      },
    }
  }
}
