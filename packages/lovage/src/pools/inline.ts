/**
 * Runs tasks in this thread, `slots` side by side: for tests, and for programs that embed a worker and take the risk.
 * A task that never yields blocks everything; nothing can be ended by force. At the hard limit and when force is due
 * the signal is aborted, and the run lasts until the task heeds it.
 */
import type { Clock } from '../core/clock.ts'
import { IllegalStateError, InvalidArgumentError, describe } from '../core/errors.ts'
import { errorDocument } from '../protocol/exceptions.ts'
import { abortError, abortedResult, stoppedResult } from './abort.ts'
import type {
  AbortReason,
  Pool,
  PoolCapabilities,
  PoolStats,
  RunControl,
  RunReport,
  RunRequest,
  RunResult,
  RunTask,
} from './pool.ts'
import { Run } from './run.ts'

export interface InlinePoolOptions {
  readonly slots: number
  readonly runTask: RunTask
  readonly clock: Clock
}

export function createInlinePool(options: InlinePoolOptions): Pool {
  if (!Number.isInteger(options.slots) || options.slots < 1)
    throw new InvalidArgumentError(`slots is ${describe(options.slots)}: give a whole number from 1 up`)
  return new InlinePool(options)
}

interface InlineRun {
  readonly run: Run
  readonly controller: AbortController
  reason: AbortReason | undefined
}

class InlinePool implements Pool {
  readonly capabilities: PoolCapabilities = { killable: false }
  readonly #options: InlinePoolOptions
  readonly #running = new Map<number, InlineRun>()
  #waiting: Run[] = []
  /** idle → running by `start`; running → stopped by `stop`; stopped → running by `start`. */
  #state: 'idle' | 'running' | 'stopped' = 'idle'

  constructor(options: InlinePoolOptions) {
    this.#options = options
  }

  start(): Promise<void> {
    this.#state = 'running'
    return Promise.resolve()
  }

  run(request: RunRequest, onReport: (report: RunReport) => void): Promise<RunResult> {
    if (this.#state === 'idle')
      return Promise.reject(new IllegalStateError('the pool was not started: await start() first'))
    const run = new Run(request, onReport)
    if (this.#state === 'stopped') run.end(stoppedResult(request))
    else {
      this.#waiting.push(run)
      this.#startNext()
    }
    return run.result
  }

  takeBack(runId: number): void {
    this.#abortWaiting(runId, 'shutdown')
  }

  #abortWaiting(runId: number, reason: AbortReason): void {
    const at = this.#waiting.findIndex(run => run.request.runId === runId)
    const [waiting] = at < 0 ? [] : this.#waiting.splice(at, 1)
    waiting?.end(abortedResult(waiting.request, reason))
  }

  abort(runId: number, reason: AbortReason): void {
    this.#abortWaiting(runId, reason)
    const running = this.#running.get(runId)
    if (running !== undefined) abortInline(running, reason)
  }

  stats(): PoolStats {
    return { slots: this.#options.slots, running: this.#running.size }
  }

  stop(): Promise<void> {
    if (this.#state === 'running') this.#state = 'stopped'
    for (const run of this.#waiting.splice(0)) run.end(stoppedResult(run.request))
    for (const inline of this.#running.values()) {
      inline.run.end(stoppedResult(inline.run.request))
      abortInline(inline, 'shutdown')
    }
    this.#running.clear()
    return Promise.resolve()
  }

  #startNext(): void {
    while (this.#running.size < this.#options.slots) {
      const run = this.#waiting.shift()
      if (run === undefined) return
      const inline: InlineRun = { run, controller: new AbortController(), reason: undefined }
      this.#running.set(run.request.runId, inline)
      const abort = (): void => abortInline(inline, 'soft-time-limit')
      run.startLimits(this.#options.clock, { onSoftLimit: abort, onHardLimit: abort })
      void this.#runToEnd(inline)
    }
  }

  async #runToEnd(inline: InlineRun): Promise<void> {
    const { run } = inline
    run.end(await callTask(this.#options.runTask, inline))
    // after a stop and a start this number may be another's
    if (this.#running.get(run.request.runId) === inline) this.#running.delete(run.request.runId)
    this.#startNext()
  }
}

function abortInline(inline: InlineRun, reason: AbortReason): void {
  if (inline.reason !== undefined) return
  inline.reason = reason
  inline.controller.abort(abortError(reason, inline.run.request))
}

/** `runTask` never rejects; should it all the same, the run has thrown. */
async function callTask(runTask: RunTask, inline: InlineRun): Promise<RunResult> {
  const control: RunControl = {
    signal: inline.controller.signal,
    abortReason: () => inline.reason,
    report: report => (inline.run.ended ? undefined : inline.run.onReport(report)),
  }
  try {
    return await runTask(inline.run.request, control)
  } catch (error) {
    return { kind: 'threw', error: errorDocument(error), wantsRetry: false }
  }
}
