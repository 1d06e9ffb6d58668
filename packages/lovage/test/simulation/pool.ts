/** Runs the fates of tasks.ts in so many slots; isolated runs have a process of their own. */
import type { Timer } from '../../src/core/clock.ts'
import type { ErrorDocument } from '../../src/core/record.ts'
import type { AbortReason, Pool, RunReport, RunRequest, RunResult } from '../../src/pools/pool.ts'
import type { Life } from './entry.ts'
import type { Ledger } from './ledger.ts'
import { kindOf } from './tasks.ts'
import type { World } from './world.ts'

export interface PoolSetup {
  readonly world: World
  readonly ledger: Ledger
  readonly life: Life
  /** `Infinity`: broken on purpose. */
  readonly slots: number
  /** A task kills the process it runs in. */
  readonly onKill: () => void
}

interface PoolRun {
  readonly request: RunRequest
  readonly onReport: (report: RunReport) => void
  readonly end: (result: RunResult) => void
  readonly mayBegin: () => Promise<boolean>
  readonly timers: Timer[]
  /** waiting → ready (has a slot) → begun */
  state: 'waiting' | 'ready' | 'begun'
  isCut: boolean
}

export class SimulatedPool implements Pool {
  readonly capabilities = { killable: true }
  readonly tokens: Map<number, string> = new Map()
  readonly #setup: PoolSetup
  readonly #waiting: PoolRun[] = []
  readonly #running = new Map<number, PoolRun>()
  #isStopped = false

  constructor(setup: PoolSetup) {
    this.#setup = setup
  }

  async start(): Promise<void> {}

  stats(): { readonly slots: number; readonly running: number } {
    return { slots: this.#setup.slots, running: this.#running.size + this.#waiting.length }
  }

  run(
    request: RunRequest,
    onReport: (report: RunReport) => void,
    mayBegin: () => Promise<boolean> = async () => true,
  ): Promise<RunResult> {
    if (this.#isStopped) return Promise.resolve(lostResult({ alone: false, suspect: false }))
    return new Promise(end => {
      this.#waiting.push({ request, onReport, end, mayBegin, timers: [], state: 'waiting', isCut: false })
      this.#pump()
    })
  }

  abort(runId: number, reason: AbortReason, forceAfterMs?: number): void {
    const index = this.#waiting.findIndex(({ request }) => request.runId === runId)
    const run = index < 0 ? this.#running.get(runId) : this.#waiting.splice(index, 1)[0]
    if (run === undefined) return
    const error = { type: reason, message: 'told to stop', retryable: false }
    if (index >= 0) return run.end({ kind: 'aborted', reason, began: false, error })
    if (run.state === 'ready') return this.#end(run, { kind: 'aborted', reason, began: false, error })
    this.#cut(run)
    if (this.#entry(run).plan.heeds) this.#endAfter(run, 1, { kind: 'aborted', reason, began: true, error })
    else if (forceAfterMs !== undefined) this.#endAfter(run, forceAfterMs, forced(reason, error))
  }

  takeBack(runId: number): void {
    if (!this.#running.has(runId)) this.abort(runId, 'shutdown')
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const run of this.#waiting.splice(0)) run.end(lostResult({ alone: false, suspect: false }))
    for (const run of this.#running.values()) this.#lose(run, { alone: false, suspect: false })
  }

  /** The process dies: what runs does not end by itself. */
  cutAll(): void {
    for (const run of this.#running.values()) {
      if (run.state !== 'begun') continue
      this.#cut(run)
      this.#setup.ledger.ranOut(this.tokens.get(run.request.runId) ?? '', this.#setup.life.process, false)
    }
  }

  #entry({ request }: PoolRun): ReturnType<Ledger['entry']> {
    return this.#setup.ledger.entry(request.id)
  }

  /** The books know that this run may not end by itself. */
  #cut(run: PoolRun): void {
    run.isCut = true
    this.#entry(run).cutRuns++
  }

  #pump(): void {
    while (this.#running.size < this.#setup.slots) {
      const run = this.#waiting.shift()
      if (run === undefined) return
      this.#running.set(run.request.runId, run)
      run.state = 'ready'
      if (run.request.isolated === true) void this.#askThenBegin(run)
      else this.#begin(run)
    }
  }

  async #askThenBegin(run: PoolRun): Promise<void> {
    const mayBegin = await run.mayBegin()
    if (this.#running.get(run.request.runId) !== run) return
    const error = { type: 'shutdown', message: 'it does not begin', retryable: false }
    if (mayBegin) this.#begin(run)
    else this.#end(run, { kind: 'aborted', reason: 'shutdown', began: false, error })
  }

  #begin(run: PoolRun): void {
    const { ledger, world, life } = this.#setup
    const { runId, id, message, isolated } = run.request
    run.state = 'begun'
    const { plan, runs } = this.#entry(run)
    const fate = kindOf(plan.name).fate(Number(message.headers['retries']), runs.size)
    ledger.ran(this.tokens.get(runId) ?? '', id, life)
    world.tell(life.process.name, () => `runs ${id} (${plan.name})${isolated === true ? ' alone' : ''}`)
    const { durationMs } = plan
    if (durationMs > 40) this.#after(run, durationMs / 2, () => this.#progress(run))
    if (fate.kind !== 'kills') return this.#endAfter(run, durationMs, fate)
    this.#after(run, durationMs, () => this.#kill(run, fate.what))
  }

  #progress(run: PoolRun): void {
    const { runId } = run.request
    run.onReport({ kind: 'progress', runId, progress: { current: 1, total: 2 } })
  }

  #kill(run: PoolRun, what: 'process' | 'thread'): void {
    if (run.request.isolated === true) this.#lose(run, { alone: true, suspect: true })
    else if (what === 'process') this.#setup.onKill()
    else
      for (const other of this.#running.values())
        if (other.request.isolated !== true) this.#lose(other, { alone: false, suspect: true })
  }

  #lose(run: PoolRun, how: { readonly alone: boolean; readonly suspect: boolean }): void {
    this.#cut(run)
    this.#endAfter(run, 0, lostResult(how))
  }

  #after(run: PoolRun, ms: number, work: () => void): void {
    run.timers.push(this.#setup.life.process.clock.after(ms, work))
  }

  /** In place of the end it would have had. */
  #endAfter(run: PoolRun, ms: number, result: RunResult): void {
    if (run.isCut) for (const timer of run.timers.splice(0)) timer.cancel()
    this.#after(run, ms, () => this.#end(run, result))
  }

  #end(run: PoolRun, result: RunResult): void {
    const { runId } = run.request
    const { ledger, life } = this.#setup
    for (const timer of run.timers) timer.cancel()
    this.#running.delete(runId)
    const isSuspect = result.kind === 'lost' && result.suspect && !result.alone
    const isLate = kindOf(this.#entry(run).plan.name).policy?.acksLate === true
    if (run.state === 'begun') ledger.ranOut(this.tokens.get(runId) ?? '', life.process, isSuspect && isLate)
    this.tokens.delete(runId)
    run.end(result)
    this.#pump()
  }
}

function lostResult(how: { readonly alone: boolean; readonly suspect: boolean }): RunResult {
  return { kind: 'lost', ...how, error: { type: 'WorkerLostError', message: 'it is gone', retryable: false } }
}

/** As the threads pool ends a run by force: a stopping worker's may run again elsewhere. */
function forced(reason: AbortReason, error: ErrorDocument): RunResult {
  if (reason === 'shutdown') return { kind: 'lost', alone: false, suspect: false, error }
  return { kind: 'killed', reason: 'terminated', error }
}
