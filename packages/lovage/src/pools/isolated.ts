/**
 * Runs that may take their process along: each in a child process of its own, which ends with it. At most `limit` at
 * a time; the others wait in the order given.
 */
import type { ChildProcess } from 'node:child_process'
import type { Clock } from '../core/clock.ts'
import { abortedResult, forcedResult, lostResult, stoppedResult, timeLimitResult } from './abort.ts'
import type { FromTasks, TaskSideInit, ToTasks } from './messages.ts'
import { packRuns, unpackEnds } from './packed.ts'
import type { AbortReason, RunResult } from './pool.ts'
import type { Run } from './run.ts'

export interface IsolatedOptions {
  readonly limit: number
  readonly clock: Clock
  readonly spawn: () => ChildProcess
  readonly workerData: unknown
}

/** A child that has sent its result has this long to end by itself. */
const exitGraceMs = 1000

export class IsolatedRuns {
  readonly #options: IsolatedOptions
  readonly #children = new Set<IsolatedProcess>()
  #waiting: Run[] = []

  constructor(options: IsolatedOptions) {
    this.#options = options
  }

  get running(): number {
    return [...this.#children].filter(child => !child.run.ended).length
  }

  add(run: Run): void {
    this.#waiting.push(run)
    this.#startNext()
  }

  /** False: no such run is here. */
  abort(runId: number, reason: AbortReason, forceAfterMs?: number): boolean {
    if (this.abortWaiting(runId, reason)) return true
    const child = [...this.#children].find(each => each.run.request.runId === runId)
    child?.abort(reason, forceAfterMs)
    return child !== undefined
  }

  /** Only if it has no process yet; false: no such run waits here. */
  abortWaiting(runId: number, reason: AbortReason): boolean {
    const waiting = this.#waiting.find(run => run.request.runId === runId)
    if (waiting === undefined) return false
    this.#waiting = this.#waiting.filter(run => run !== waiting)
    waiting.end(abortedResult(waiting.request, reason))
    return true
  }

  /** Ends all of them; resolves when no child is left. */
  async stop(): Promise<void> {
    for (const run of this.#waiting.splice(0)) run.end(stoppedResult(run.request))
    await Promise.all([...this.#children].map(child => child.kill(stoppedResult(child.run.request))))
  }

  #startNext(): void {
    if (this.#children.size >= this.#options.limit) return
    const run = this.#waiting.shift()
    if (run === undefined) return
    const child = new IsolatedProcess(run, this.#options)
    this.#children.add(child)
    void child.gone.then(() => {
      this.#children.delete(child)
      this.#startNext()
    })
    this.#startNext()
  }
}

class IsolatedProcess {
  readonly run: Run
  /** Resolves when the process is gone and its last message was read. */
  readonly gone: Promise<void>
  readonly #clock: Clock
  readonly #child: ChildProcess
  #started = false

  constructor(run: Run, options: IsolatedOptions) {
    this.run = run
    this.#clock = options.clock
    this.#child = options.spawn()
    this.gone = this.#watch()
    this.#send({ slots: 1, data: options.workerData })
  }

  abort(reason: AbortReason, forceAfterMs: number | undefined): void {
    if (!this.#started) return void this.kill(abortedResult(this.run.request, reason))
    this.#send({ kind: 'abort', runId: this.run.request.runId, reason })
    if (forceAfterMs === undefined) return
    this.run.after(this.#clock, forceAfterMs, () => void this.kill(forcedResult(this.run.request, reason)))
  }

  /** Ends the process by force, and the run with `result` unless it ends by itself first. Resolves when it is gone. */
  kill(result: RunResult): Promise<void> {
    this.run.doom ??= result
    this.#child.kill('SIGKILL')
    return this.gone
  }

  #send(message: ToTasks | TaskSideInit): void {
    // a failed send means that the child is gone, and `exit` tells that
    this.#child.send(message, () => undefined)
  }

  async #watch(): Promise<void> {
    this.#child.on('message', message => this.#take(message as FromTasks))
    const why = await new Promise<string>(resolve => {
      this.#child.once('error', error => this.#child.pid ?? resolve(`no process could be started: ${error.message}`))
      this.#child.once('exit', (code, signal) => this.#afterLastMessage(() => resolve(this.#whyGone(code, signal))))
    })
    this.run.end(this.run.doom ?? lostResult(why, { alone: this.#started, suspect: this.#started }))
  }

  /** `exit` may come before the last messages were read. */
  #afterLastMessage(act: () => void): void {
    if (this.#child.connected) this.#child.once('disconnect', act)
    else act()
  }

  #take(message: FromTasks): void {
    switch (message.kind) {
      case 'ready':
        return void this.#handOver()
      case 'load-failed':
        // its tasks are those of the thread that runs well: not the fault of this run
        return void this.kill(lostResult(message.error.message, { alone: false, suspect: false }))
      case 'started':
        return this.#begin()
      case 'report':
        return this.run.ended ? undefined : this.run.onReport(message.report)
      case 'fault':
        return void this.kill({ kind: 'threw', error: message.fault.error, wantsRetry: false })
      case 'ended':
        return this.#finish(unpackEnds(message.ends)[0]?.result)
      default:
        message satisfies never
    }
  }

  /** Asks first: whoever notes that it begins is to note it as late as can be. */
  async #handOver(): Promise<void> {
    const { request } = this.run
    const mayBegin = await this.run.mayBegin()
    if (this.run.ended || this.run.doom !== undefined) return
    if (mayBegin) this.#send({ kind: 'run', runs: packRuns([{ request, claim: 0 }]) })
    else void this.kill(abortedResult(request, 'shutdown'))
  }

  #begin(): void {
    this.#started = true
    this.run.startLimits(this.#clock, {
      onSoftLimit: () => this.abort('soft-time-limit', undefined),
      onHardLimit: () => void this.kill(timeLimitResult(this.run.request)),
    })
  }

  #finish(result: RunResult | undefined): void {
    if (result !== undefined) this.run.end(result)
    if (this.#child.connected) this.#child.disconnect()
    const timer = this.#clock.after(exitGraceMs, () => this.#child.kill('SIGKILL'), { ref: false })
    void this.gone.then(() => timer.cancel())
  }

  #whyGone(code: number | null, signal: NodeJS.Signals | null): string {
    const { name, id } = this.run.request
    const end = signal === null ? `exited with code ${code}` : `was ended by ${signal}`
    return `the process that ran ${name} (${id}) alone ${end}`
  }
}
