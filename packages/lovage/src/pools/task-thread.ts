/** One thread that runs tasks, seen from the managing side: its line, the runs it holds, its end. */
import { Worker } from 'node:worker_threads'
import type { ResourceLimits } from 'node:worker_threads'
import { AppLoadError, ShutdownError } from '../core/errors.ts'
import { Claims } from './claims.ts'
import { reviveError } from './messages.ts'
import type { FromTasks, HandOver, TaskSideInit, ToTasks } from './messages.ts'
import { packRuns } from './packed.ts'
import type { Run } from './run.ts'

export interface TaskThreadOptions {
  readonly entry: URL
  /** The place in the pool that it fills. */
  readonly seat: number
  readonly slots: number
  readonly workerData: unknown
  readonly execArgv?: readonly string[] | undefined
  readonly resourceLimits?: ResourceLimits | undefined
}

export interface TaskThreadEvents {
  /** Anything but `ready` and `load-failed`. */
  readonly onMessage: (thread: TaskThread, message: FromTasks) => void
  /** Once, after its last message. */
  readonly onGone: (thread: TaskThread, end: ThreadEnd) => void
}

export interface ThreadEnd {
  /** A clause for an error message: `the task thread exited with code 3`. */
  readonly why: string
  /** Where it was when it ended; `doomed`: we ended it. */
  readonly phase: ThreadPhase
}

/**
 * loading → open: it is ready. open → retiring: it takes no more and is ended when its runs have. Any → doomed: it is
 * being ended. Any → gone: it has ended.
 */
export type ThreadPhase = 'loading' | 'open' | 'retiring' | 'doomed' | 'gone'

export class TaskThread {
  /** Resolves when the tasks are loaded. @throws {AppLoadError} they cannot be. @throws {ShutdownError} ended before. */
  readonly ready: Promise<void>
  /** Handed over and not ended, in the order given. */
  readonly runs: Map<number, Run> = new Map()
  readonly seat: number
  readonly slots: number
  phase: ThreadPhase = 'loading'
  readonly #worker: Worker
  readonly #claims = new Claims()
  readonly #entry: URL
  #outgoing: HandOver[] = []
  #failure: unknown

  constructor(options: TaskThreadOptions, events: TaskThreadEvents) {
    this.seat = options.seat
    this.slots = options.slots
    this.#entry = options.entry
    this.#worker = startWorker(options, this.#claims)
    this.ready = this.#watch(events)
    // whoever spawned it without waiting hears of it by `onGone`
    this.ready.catch(() => undefined)
  }

  get room(): number {
    return this.#claims.room
  }

  /** Gives it a run with the next `flush`. */
  handOver(run: Run): void {
    run.claim = this.#claims.take()
    this.runs.set(run.request.runId, run)
    this.#outgoing.push({ request: run.request, claim: run.claim })
  }

  /** Sends what was handed over, as one message. */
  flush(): void {
    if (this.#outgoing.length === 0) return
    const runs = this.#outgoing
    this.#outgoing = []
    this.post({ kind: 'run', runs: packRuns(runs) })
  }

  post(message: ToTasks): void {
    this.#worker.postMessage(message)
  }

  /** Whether it has begun to run it. */
  hasStarted(run: Run): boolean {
    return this.#claims.isStarted(run.claim)
  }

  /** Takes a run away that has not started; false: it has. */
  takeBack(run: Run): boolean {
    if (!this.#claims.cancel(run.claim)) return false
    this.#forget(run)
    return true
  }

  /** The run is over: undefined when this thread does not have it any more. */
  release(runId: number): Run | undefined {
    const run = this.runs.get(runId)
    if (run === undefined) return undefined
    this.#claims.release(run.claim)
    this.#forget(run)
    return run
  }

  /** Ends it, whatever it is doing; a native call that blocks is waited for. Idempotent. */
  async terminate(): Promise<void> {
    if (this.phase === 'gone') return
    this.phase = 'doomed'
    await this.#worker.terminate()
  }

  #forget(run: Run): void {
    this.runs.delete(run.request.runId)
    run.claim = 0
  }

  #watch(events: TaskThreadEvents): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#worker.on('message', (message: FromTasks) => {
      if (message.kind === 'load-failed') return this.#loadFailed(reviveError(message.error), reject)
      if (message.kind !== 'ready') return events.onMessage(this, message)
      if (this.phase === 'loading') this.phase = 'open'
      resolve()
    })
    this.#worker.on('messageerror', error => this.#fail(error))
    this.#worker.on('error', error => {
      this.#failure = error
    })
    this.#worker.on('exit', code => {
      const end = { why: whyGone(this.#failure, code), phase: this.phase }
      this.phase = 'gone'
      const stopped = end.phase === 'doomed'
      reject(stopped ? new ShutdownError('the pool was stopped while it loaded the tasks') : this.#loadError(end.why))
      events.onGone(this, end)
    })
    return promise
  }

  #loadFailed(error: Error, reject: (error: Error) => void): void {
    reject(error)
    this.#fail(error)
  }

  #fail(error: unknown): void {
    this.#failure = error
    void this.#worker.terminate()
  }

  #loadError(why: string): AppLoadError {
    const file = this.#entry.pathname
    return new AppLoadError(`${file}: ${why} before the tasks were loaded`, { cause: this.#failure, details: { file } })
  }
}

function startWorker(options: TaskThreadOptions, claims: Claims): Worker {
  const init: TaskSideInit = { slots: options.slots, claims: claims.words, data: options.workerData }
  const { execArgv, resourceLimits } = options
  const common = { name: 'lovage-tasks', workerData: init, ...(resourceLimits === undefined ? {} : { resourceLimits }) }
  try {
    return new Worker(options.entry, execArgv === undefined ? common : { ...common, execArgv: [...execArgv] })
  } catch (error) {
    // V8's own flags, `--max-old-space-size`, hold for the process and are refused when given to a thread
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_INVALID_EXEC_ARGV')) throw error
    return new Worker(options.entry, common)
  }
}

function whyGone(failure: unknown, code: number): string {
  if (!(failure instanceof Error)) return `the task thread exited with code ${code}`
  if ('code' in failure && failure.code === 'ERR_WORKER_OUT_OF_MEMORY')
    return `the task thread ran out of memory (${failure.message})`
  return `the task thread died of ${failure.name}: ${failure.message}`
}
