/**
 * The default pool: tasks run in a thread of their own, so that one that never yields cannot keep the engine from
 * renewing leases. `slots` of them run side by side in it. A run that must be ended by force takes its thread along:
 * what had not started moves to a new thread, what had started ends as lost without suspicion. A thread in which
 * something was thrown outside every task's promise takes no more, finishes what it has, and is replaced.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { ResourceLimits } from 'node:worker_threads'
import { endOfTurn } from '../core/clock.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { IllegalStateError, InvalidArgumentError, ShutdownError, describe } from '../core/errors.ts'
import { abortedResult, forcedResult, lostResult, stoppedResult, timeLimitResult } from './abort.ts'
import { IsolatedRuns } from './isolated.ts'
import type { Fault, FromTasks, RunEnd } from './messages.ts'
import { unpackEnds } from './packed.ts'
import type { AbortReason, Pool, PoolCapabilities, PoolStats, RunReport, RunRequest, RunResult } from './pool.ts'
import { Run } from './run.ts'
import { TaskThread } from './task-thread.ts'
import type { ThreadEnd } from './task-thread.ts'

export interface ThreadsPoolOptions {
  /** Runs side by side, in all threads together. */
  readonly slots: number
  /** @default 1; never more than `slots`. More than one lets tasks that compute use several cores. */
  readonly threads?: number | undefined
  /** The module a thread or an isolated process runs: it calls `serveTasks` of `task-side.ts`. */
  readonly entry: URL
  /** What the entry gets to load the tasks by: plain data. */
  readonly workerData: unknown
  readonly clock: Clock
  /** @default process.execArgv */
  readonly execArgv?: readonly string[] | undefined
  /** Memory limits of a thread. @default Node's */
  readonly resourceLimits?: ResourceLimits | undefined
  /** Starts the process of an isolated run, with an IPC channel that clones. @default forks `entry` */
  readonly spawnIsolated?: (() => ChildProcess) | undefined
  /** Told of what no result tells: stray throws, threads that died. @default process.emitWarning */
  readonly onFault?: ((message: string) => void) | undefined
}

/** Threads that keep dying by themselves are replaced after this long, doubling up to the longest. */
const respawnDelayMs = 100
const longestRespawnDelayMs = 5000

export function createThreadsPool(options: ThreadsPoolOptions): Pool {
  assertCount('slots', options.slots)
  assertCount('threads', options.threads ?? 1)
  return new ThreadsPool(options)
}

/**
 * idle → starting → running → stopping → stopped → starting …
 * `start` moves to starting and, once every thread has loaded the tasks, to running; when one cannot, back to idle.
 * `stop` moves to stopping from starting and running, and to stopped when nothing is left.
 */
type PoolState = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped'

class ThreadsPool implements Pool {
  readonly capabilities: PoolCapabilities = { killable: true }
  readonly #options: ThreadsPoolOptions
  readonly #isolated: IsolatedRuns
  readonly #threads = new Set<TaskThread>()
  /** Pending replacements. */
  readonly #respawns = new Set<Timer>()
  #state: PoolState = 'idle'
  /** While starting, and while stopping. */
  #transition: Promise<void> | undefined
  /** Not handed to a thread yet. */
  #waiting: Run[] = []
  #dispatchIsDue = false
  /** Threads that died by themselves since a run last ended well. */
  #deaths = 0

  constructor(options: ThreadsPoolOptions) {
    this.#options = options
    const { clock, slots, workerData } = options
    const spawn = options.spawnIsolated ?? ((): ChildProcess => forkEntry(options))
    // a suspect is a whole process: no more of them than the machine has cores
    this.#isolated = new IsolatedRuns({ limit: Math.min(slots, availableParallelism()), clock, spawn, workerData })
  }

  start(): Promise<void> {
    switch (this.#state) {
      case 'running':
        return Promise.resolve()
      case 'starting':
        return this.#transition ?? Promise.resolve()
      case 'stopping':
        return this.stop().then(() => this.start())
      case 'idle':
      case 'stopped':
        this.#transition = this.#start()
        return this.#transition
      default:
        return this.#state satisfies never
    }
  }

  run(
    request: RunRequest,
    onReport: (report: RunReport) => void,
    mayBegin?: () => Promise<boolean>,
  ): Promise<RunResult> {
    if (this.#state === 'idle')
      return Promise.reject(new IllegalStateError('the pool was not started: await start() first'))
    const run = new Run(request, onReport, mayBegin)
    if (this.#state === 'stopping' || this.#state === 'stopped') run.end(stoppedResult(request))
    else if (request.isolated === true) this.#isolated.add(run)
    else this.#wait(run)
    return run.result
  }

  abort(runId: number, reason: AbortReason, forceAfterMs?: number): void {
    const [thread, run] = this.#find(runId)
    if (run === undefined) {
      if (!this.#abortWaiting(runId, reason)) this.#isolated.abort(runId, reason, forceAfterMs)
      return
    }
    if (thread.takeBack(run)) return run.end(abortedResult(run.request, reason))
    thread.post({ kind: 'abort', runId, reason })
    if (forceAfterMs === undefined) return
    run.after(this.#options.clock, forceAfterMs, () => this.#force(run, forcedResult(run.request, reason)))
  }

  takeBack(runId: number): void {
    const [thread, run] = this.#find(runId)
    if (run === undefined) {
      if (!this.#abortWaiting(runId, 'shutdown')) this.#isolated.abortWaiting(runId, 'shutdown')
    } else if (thread.takeBack(run)) run.end(abortedResult(run.request, 'shutdown'))
  }

  stats(): PoolStats {
    let running = this.#isolated.running
    for (const thread of this.#threads) for (const run of thread.runs.values()) if (thread.hasStarted(run)) running++
    return { slots: this.#options.slots, running }
  }

  stop(): Promise<void> {
    if (this.#state === 'stopping') return this.#transition ?? Promise.resolve()
    if (this.#state === 'idle' || this.#state === 'stopped') return Promise.resolve()
    this.#state = 'stopping'
    this.#transition = this.#endAll().then(() => {
      this.#state = 'stopped'
    })
    return this.#transition
  }

  async #start(): Promise<void> {
    this.#state = 'starting'
    this.#deaths = 0
    const { slots, threads = 1 } = this.#options
    const seats = Math.min(slots, threads)
    const ready = Array.from({ length: seats }, (_, seat) => this.#spawn(seat).ready)
    const [failed] = (await Promise.allSettled(ready)).filter(each => each.status === 'rejected')
    const stopped = this.#isStopping()
    if (failed === undefined && !stopped) {
      this.#state = 'running'
      return this.#dispatch()
    }
    if (!stopped) {
      await this.#endAll()
      this.#state = 'idle'
    }
    throw stopped ? new ShutdownError('the pool was stopped while it started') : failed?.reason
  }

  /** A method, because the compiler does not know that the state changes while one waits. */
  #isStopping(): boolean {
    return this.#state === 'stopping' || this.#state === 'stopped'
  }

  async #endAll(): Promise<void> {
    for (const timer of this.#respawns) timer.cancel()
    this.#respawns.clear()
    for (const run of this.#waiting.splice(0)) run.end(stoppedResult(run.request))
    for (const thread of this.#threads) for (const run of thread.runs.values()) run.doom ??= stoppedResult(run.request)
    await Promise.all([this.#isolated.stop(), ...[...this.#threads].map(thread => thread.terminate())])
  }

  // Handing out

  #wait(run: Run): void {
    this.#waiting.push(run)
    this.#dispatchSoon()
  }

  #dispatchSoon(): void {
    if (this.#dispatchIsDue || this.#waiting.length === 0) return
    this.#dispatchIsDue = true
    endOfTurn(() => {
      this.#dispatchIsDue = false
      this.#dispatch()
    })
  }

  /** Hands out what waits, to each thread as one message. */
  #dispatch(): void {
    let count = 0
    for (const run of this.#waiting) {
      const thread = this.#leastLoaded()
      if (thread === undefined) break
      thread.handOver(run)
      count++
    }
    this.#waiting.splice(0, count)
    for (const thread of this.#threads) thread.flush()
  }

  #leastLoaded(): TaskThread | undefined {
    let best: TaskThread | undefined
    for (const thread of this.#threads)
      if (this.#hasRoom(thread) && thread.runs.size < (best?.runs.size ?? Infinity)) best = thread
    return best
  }

  /** A thread whose predecessor still finishes its runs gets only as many as there are slots left. */
  #hasRoom(thread: TaskThread): boolean {
    if (thread.phase !== 'open' || thread.room === 0) return false
    let retiring = 0
    for (const other of this.#threads)
      if (other.phase === 'retiring' && other.seat === thread.seat) retiring += other.runs.size
    return retiring === 0 || thread.runs.size < thread.slots - retiring
  }

  /** An idle thread takes over half of what waits in the busiest one. */
  #level(idle: TaskThread): void {
    if (this.#threads.size === 1 || idle.runs.size > 0 || this.#waiting.length > 0) return
    const [busiest] = [...this.#threads].toSorted((a, b) => b.runs.size - a.runs.size)
    if (busiest === undefined || busiest.runs.size <= busiest.slots) return
    const last = [...busiest.runs.values()].slice(-Math.ceil((busiest.runs.size - busiest.slots) / 2))
    this.#takeBack(busiest, last)
  }

  /** What has not started waits again, before all others. */
  #takeBack(thread: TaskThread, runs: readonly Run[]): void {
    const taken = runs.filter(run => thread.takeBack(run))
    if (taken.length === 0) return
    this.#waiting = [...taken, ...this.#waiting]
    this.#dispatchSoon()
  }

  #find(runId: number): [TaskThread, Run] | [undefined, undefined] {
    for (const thread of this.#threads) {
      const run = thread.runs.get(runId)
      if (run !== undefined) return [thread, run]
    }
    return [undefined, undefined]
  }

  #abortWaiting(runId: number, reason: AbortReason): boolean {
    const at = this.#waiting.findIndex(run => run.request.runId === runId)
    const [run] = at < 0 ? [] : this.#waiting.splice(at, 1)
    run?.end(abortedResult(run.request, reason))
    return run !== undefined
  }

  // Hearing back

  #take(thread: TaskThread, message: FromTasks): void {
    switch (message.kind) {
      case 'ended':
        return this.#ended(thread, unpackEnds(message.ends))
      case 'started':
        return this.#started(thread, message.runId)
      case 'report':
        return thread.runs.get(message.report.runId)?.onReport(message.report)
      case 'fault':
        return this.#faulted(thread, message.fault)
      case 'ready':
      case 'load-failed':
        return
      default:
        message satisfies never
    }
  }

  #ended(thread: TaskThread, ends: readonly RunEnd[]): void {
    this.#deaths = 0
    for (const { runId, result } of ends) thread.release(runId)?.end(result)
    if (thread.phase === 'retiring' && thread.runs.size === 0) void thread.terminate()
    else if (thread.phase === 'open') this.#level(thread)
    this.#dispatchSoon()
  }

  #started(thread: TaskThread, runId: number): void {
    const run = thread.runs.get(runId)
    run?.startLimits(this.#options.clock, {
      onSoftLimit: () => thread.post({ kind: 'abort', runId, reason: 'soft-time-limit' }),
      onHardLimit: () => this.#force(run, timeLimitResult(run.request)),
    })
  }

  #faulted(thread: TaskThread, { run, error }: Fault): void {
    const found = run === undefined ? undefined : thread.release(run.runId)
    found?.end({ kind: 'threw', error, wantsRetry: false })
    if (found === undefined) {
      this.#deaths++
      const where = run === undefined ? 'outside every task' : `by ${run.name} (${run.id}), which had ended`
      this.#report(`thrown ${where}: ${error.traceback ?? error.message}`)
    }
    this.#retire(thread)
    this.#dispatchSoon()
  }

  #retire(thread: TaskThread): void {
    if (thread.phase === 'open') {
      thread.phase = 'retiring'
      this.#takeBack(thread, [...thread.runs.values()])
      this.#respawn(thread.seat)
    }
    if (thread.runs.size === 0) void thread.terminate()
  }

  /** Ends the run with its thread. */
  #force(run: Run, result: RunResult): void {
    const [thread] = this.#find(run.request.runId)
    if (thread === undefined) return
    run.doom ??= result
    if (thread.phase === 'open') this.#respawn(thread.seat)
    thread.phase = 'doomed'
    this.#takeBack(thread, [...thread.runs.values()])
    void thread.terminate()
  }

  #gone(thread: TaskThread, { why, phase }: ThreadEnd): void {
    this.#threads.delete(thread)
    const isRunning = this.#state === 'running'
    if (isRunning) this.#takeBack(thread, [...thread.runs.values()])
    for (const run of thread.runs.values())
      run.end(run.doom ?? lostWith(thread, run, phase === 'doomed' ? undefined : why))
    this.#dispatchSoon()
    // one that was retiring or that we ended has its successor already
    if (!isRunning || phase === 'retiring' || phase === 'doomed') return
    this.#deaths++
    this.#report(why)
    this.#respawn(thread.seat)
  }

  #report(message: string): void {
    const text = `lovage pool: ${message}`
    if (this.#options.onFault === undefined) process.emitWarning(text)
    else this.#options.onFault(text)
  }

  // Threads

  #spawn(seat: number): TaskThread {
    const { slots, threads = 1, entry, workerData, execArgv, resourceLimits } = this.#options
    const seats = Math.min(slots, threads)
    const share = Math.floor(slots / seats) + (seat < slots % seats ? 1 : 0)
    const thread = new TaskThread(
      { seat, slots: share, entry, workerData, execArgv, resourceLimits },
      {
        onMessage: (from, message) => this.#take(from, message),
        onGone: (from, end) => this.#gone(from, end),
      },
    )
    this.#threads.add(thread)
    return thread
  }

  /** At once, unless threads keep dying. */
  #respawn(seat: number): void {
    const spawn = (): void =>
      void this.#spawn(seat).ready.then(
        () => this.#dispatch(),
        () => undefined,
      )
    if (this.#deaths < 2) return spawn()
    const delayMs = Math.min(longestRespawnDelayMs, respawnDelayMs * 2 ** (this.#deaths - 2))
    const timer = this.#options.clock.after(delayMs, () => {
      this.#respawns.delete(timer)
      spawn()
    })
    this.#respawns.add(timer)
  }
}

/** What a run ends as whose thread is gone. `why` undefined: it was ended on another's account. */
function lostWith(thread: TaskThread, run: Run, why: string | undefined): RunResult {
  if (!thread.hasStarted(run)) return stoppedResult(run.request)
  const because = why ?? 'its thread was ended by force, because of another task that ran in it'
  return lostResult(`${run.request.name} (${run.request.id}): ${because}`, { alone: false, suspect: why !== undefined })
}

function forkEntry({ entry, execArgv }: ThreadsPoolOptions): ChildProcess {
  return fork(entry, {
    // so that a body of bytes arrives as bytes
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
  })
}

function assertCount(option: string, value: number): void {
  if (Number.isInteger(value) && value > 0) return
  throw new InvalidArgumentError(`${option} is ${describe(value)}: give a whole number from 1 up`)
}
