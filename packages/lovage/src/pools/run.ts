/**
 * One run on the managing side, from `run()` to its result: its timers, and what it ends as should its thread die.
 * It ends once; whatever comes later is ignored.
 */
import { endOfTurn } from '../core/clock.ts'
import type { Clock, Timer } from '../core/clock.ts'
import type { RunReport, RunRequest, RunResult } from './pool.ts'

export interface LimitActions {
  readonly onSoftLimit: () => void
  readonly onHardLimit: () => void
}

const always = (): Promise<boolean> => Promise.resolve(true)

export class Run {
  readonly request: RunRequest
  readonly onReport: (report: RunReport) => void
  /** Asked just before an isolated run begins. */
  readonly mayBegin: () => Promise<boolean>
  readonly result: Promise<RunResult>
  /** Of its present thread; 0: in none. */
  claim = 0
  /** Set before its thread or process is ended on its account: what it then ends as. */
  doom: RunResult | undefined
  #resolve: ((result: RunResult) => void) | undefined
  #timers: Timer[] | undefined

  constructor(request: RunRequest, onReport: (report: RunReport) => void, mayBegin: () => Promise<boolean> = always) {
    this.request = request
    this.onReport = onReport
    this.mayBegin = mayBegin
    this.result = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  get ended(): boolean {
    return this.#resolve === undefined
  }

  end(result: RunResult): void {
    for (const timer of this.#timers ?? []) timer.cancel()
    this.#timers = undefined
    this.#resolve?.(result)
    this.#resolve = undefined
  }

  /** It has started: its limits count from now. */
  startLimits(clock: Clock, actions: LimitActions): void {
    const { softLimitMs, hardLimitMs } = this.request
    if (softLimitMs !== undefined) this.after(clock, softLimitMs, actions.onSoftLimit)
    if (hardLimitMs !== undefined) this.after(clock, hardLimitMs, actions.onHardLimit)
  }

  /** Calls `act` in `ms` milliseconds unless the run has ended by then. */
  after(clock: Clock, ms: number, act: () => void): void {
    if (this.ended) return
    const timer = clock.after(
      ms,
      // a result that is already here, but unread because this thread was busy, comes first
      () => endOfTurn(() => (this.ended ? undefined : act())),
      { ref: false },
    )
    this.#timers = [...(this.#timers ?? []), timer]
  }
}
