/** One life of a simulated worker: the real Executor over a simulated pool, with the fetching and the stop of the real Worker. */
import type { Backend } from '../../src/backend.ts'
import type { Pool, RunRequest, RunReport, RunResult, AbortReason } from '../../src/pools/pool.ts'
import type { Timer } from '../../src/core/clock.ts'
import type { ErrorDocument } from '../../src/core/record.ts'
import { Executor } from '../../src/worker/executor.ts'
import type { Cluster } from './cluster.ts'
import type { Ledger } from './invariants.ts'
import { kindOf } from './tasks.ts'
import { Process, type World } from './world.ts'

export interface WorkerSetup {
  readonly world: World
  readonly cluster: Cluster
  readonly ledger: Ledger
  readonly slots: number
  readonly leaseMs: number
  /** Behind lost wake-ups; undefined: nothing is. */
  readonly pollMs: number | undefined
  readonly revoked: ReadonlySet<string>
  readonly onKill: (process: Process) => void
}

const unheeded = 100

export class SimulatedWorker {
  readonly process: Process
  readonly #setup: WorkerSetup
  readonly #backend: Backend
  readonly #executor: Executor
  readonly #pool: SimulatedPool
  #prefetch: number
  #isFetching = false
  #isStopping = false

  constructor(setup: WorkerSetup, name: string) {
    this.#setup = setup
    this.process = new Process(setup.world, name)
    this.#backend = setup.cluster.connect(this.process)
    this.#pool = new SimulatedPool(setup, this.process)
    this.#executor = this.#createExecutor()
    this.#prefetch = this.#executor.prefetch
    const { cluster, leaseMs, pollMs } = setup
    cluster.listen(this.process, () => this.#fetch())
    this.process.clock.every(leaseMs / 3, () => void cluster.heartbeat(this.process, name).catch(() => undefined))
    if (pollMs !== undefined) this.process.clock.every(pollMs, () => this.#fetch())
    this.#fetch()
  }

  get isStopping(): boolean {
    return this.#isStopping
  }

  /** It dies: what runs in it does not end by itself. */
  cutRuns(): void {
    this.#pool.cutAll()
  }

  revoke(id: string): void {
    this.process.do(() => this.#executor.revoke(id, false, unheeded))
  }

  /** As `Worker.stop`: takes no more, gives back what has not started, lets the rest end, then insists. */
  async stop(graceMs: number): Promise<void> {
    const { cluster, world } = this.#setup
    this.#isStopping = true
    world.tell(this.process.name, () => 'stops')
    this.#executor.returnUnstarted()
    await this.#atMost(graceMs)
    this.#executor.abortAll(unheeded)
    await this.#atMost(2 * unheeded)
    await this.#pool.stop()
    await this.#atMost(2 * unheeded)
    await cluster.leave(this.process, this.process.name).catch(() => undefined)
    if (this.process.state === 'living') this.#setup.onKill(this.process)
  }

  #createExecutor(): Executor {
    const { world, revoked, slots } = this.#setup
    return new Executor({
      backend: this.#backend,
      pool: this.#pool,
      slots,
      clock: this.process.clock,
      random: () => world.random.next(),
      startedValue: '{}',
      findTask: name => {
        const { policy } = kindOf(name)
        return policy && { policy, softTimeLimitMs: undefined, timeLimitMs: undefined }
      },
      isRevoked: id => (revoked.has(id) ? { terminate: false } : undefined),
      onPrefetch: prefetch => {
        this.#prefetch = prefetch
        this.#fetch()
      },
      events: {
        received: run => void this.#pool.tokens.set(run.runId, run.delivery.token),
        settled: () => this.#fetch(),
        trouble: (error, what) => world.tell(this.process.name, () => `could not ${what}: ${error.message}`),
      },
    })
  }

  #fetch(): void {
    const limit = this.#prefetch - this.#executor.heldCount
    if (this.#isFetching || this.#isStopping || limit <= 0) return
    this.#isFetching = true
    this.#setup.cluster.claim(this.process, this.process.name, limit).then(
      deliveries => {
        this.#isFetching = false
        if (deliveries.length > 0) this.#executor.accept(deliveries)
      },
      () => (this.#isFetching = false),
    )
  }

  #atMost(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = this.process.clock.after(ms, resolve)
      void this.#executor.idle().then(() => {
        timer.cancel()
        resolve()
      })
    })
  }
}

interface PoolRun {
  readonly request: RunRequest
  readonly onReport: (report: RunReport) => void
  readonly end: (result: RunResult) => void
  timer: Timer | undefined
}

/** Runs the fates of tasks.ts in so many slots; isolated runs have a process of their own. */
class SimulatedPool implements Pool {
  readonly capabilities = { killable: true }
  readonly tokens = new Map<number, string>()
  readonly #setup: WorkerSetup
  readonly #process: Process
  readonly #waiting: PoolRun[] = []
  readonly #running = new Map<number, PoolRun>()

  constructor(setup: WorkerSetup, process: Process) {
    this.#setup = setup
    this.#process = process
  }

  async start(): Promise<void> {}

  stats(): { readonly slots: number; readonly running: number } {
    return { slots: this.#setup.slots, running: this.#running.size }
  }

  run(request: RunRequest, onReport: (report: RunReport) => void): Promise<RunResult> {
    return new Promise(resolve => {
      this.#waiting.push({ request, onReport, end: resolve, timer: undefined })
      this.#pump()
    })
  }

  abort(runId: number, reason: AbortReason, forceAfterMs?: number): void {
    const index = this.#waiting.findIndex(({ request }) => request.runId === runId)
    const run = index < 0 ? this.#running.get(runId) : this.#waiting.splice(index, 1)[0]
    if (run === undefined) return
    const error = { type: reason, message: 'told to stop', retryable: false }
    if (index >= 0) return run.end({ kind: 'aborted', reason, began: false, error })
    this.#cut(run)
    if (this.#plan(run).heeds) this.#endAfter(run, 1, { kind: 'aborted', reason, began: true, error })
    else if (forceAfterMs !== undefined) this.#endAfter(run, forceAfterMs, forced(reason, error))
  }

  takeBack(runId: number): void {
    if (!this.#running.has(runId)) this.abort(runId, 'shutdown')
  }

  async stop(): Promise<void> {
    for (const run of [...this.#running.values(), ...this.#waiting.splice(0)]) this.#lose(run, false)
  }

  #plan({ request }: PoolRun): ReturnType<Ledger['entry']>['plan'] {
    return this.#setup.ledger.entry(request.id).plan
  }

  /** The books know that this run may not end by itself. */
  #cut({ request }: PoolRun): void {
    this.#setup.ledger.entry(request.id).cutRuns++
  }

  #pump(): void {
    while (this.#running.size < this.#setup.slots) {
      const run = this.#waiting.shift()
      if (run === undefined) return
      this.#start(run)
    }
  }

  #start(run: PoolRun): void {
    const { ledger, world } = this.#setup
    const { runId, id, message, isolated } = run.request
    this.#running.set(runId, run)
    const entry = ledger.entry(id)
    const fate = kindOf(entry.plan.name).fate(Number(message.headers['retries']), entry.runs.size)
    ledger.ran(this.tokens.get(runId) ?? '', id)
    world.tell(this.#process.name, () => `runs ${id} (${entry.plan.name})${isolated === true ? ' alone' : ''}`)
    const { durationMs } = entry.plan
    if (durationMs > 40) this.#process.clock.after(durationMs / 2, () => this.#progress(run))
    if (fate.kind !== 'kills') return this.#endAfter(run, durationMs, fate)
    run.timer = this.#process.clock.after(durationMs, () => this.#kill(run, fate.what))
  }

  #progress(run: PoolRun): void {
    const { runId } = run.request
    if (this.#running.get(runId) === run) run.onReport({ kind: 'progress', runId, progress: { current: 1, total: 2 } })
  }

  #kill(run: PoolRun, what: 'process' | 'thread'): void {
    if (run.request.isolated === true) this.#lose(run, true, true)
    else if (what === 'process') this.#setup.onKill(this.#process)
    else for (const other of this.#running.values()) if (other.request.isolated !== true) this.#lose(other, true)
  }

  #lose(run: PoolRun, suspect: boolean, alone = false): void {
    this.#cut(run)
    const error = { type: 'WorkerLostError', message: 'it is gone', retryable: false }
    this.#endAfter(run, 0, { kind: 'lost', error, alone, suspect })
  }

  #endAfter(run: PoolRun, ms: number, result: RunResult): void {
    run.timer?.cancel()
    run.timer = this.#process.clock.after(ms, () => {
      this.#running.delete(run.request.runId)
      run.end(result)
      this.#pump()
    })
  }

  /** What runs when the process dies is cut short. */
  cutAll(): void {
    for (const run of this.#running.values()) this.#cut(run)
  }
}

/** As the threads pool ends a run by force: a stopping worker's may run again elsewhere. */
function forced(reason: AbortReason, error: ErrorDocument): RunResult {
  if (reason === 'shutdown') return { kind: 'lost', alone: false, suspect: false, error }
  return { kind: 'killed', reason: 'terminated', error }
}
