/** One life of a simulated worker: the real Executor and Revokes over a simulated pool, with the fetching and the stop of the real Worker. */
import type { Backend } from '../../src/backend.ts'
import type { Delivery } from '../../src/broker.ts'
import type { Timer } from '../../src/core/clock.ts'
import { coerceError } from '../../src/core/errors.ts'
import { Executor } from '../../src/worker/executor.ts'
import { Revokes } from '../../src/worker/revokes.ts'
import { queueName } from './cluster.ts'
import { connect, type Wiring } from './connect.ts'
import type { Life } from './entry.ts'
import type { Ledger } from './ledger.ts'
import { leaseMs } from './plan.ts'
import { SimulatedPool } from './pool.ts'
import type { Process } from './process.ts'
import { kindOf } from './tasks.ts'
import type { World } from './world.ts'

export interface WorkerSetup extends Wiring {
  readonly world: World
  readonly ledger: Ledger
  /** The process ends: of its own will, or because a task kills it. */
  readonly onEnd: (process: Process, isKilled: boolean) => void
}

const pollMs = 1000
const unheededMs = 100
/** What a stop may take beyond the grace: two rounds of insisting, the pool, and a broker that does not answer. */
const stopMarginMs = 6 * unheededMs + 400
/** The heartbeat, and the poll behind lost wake-ups. */
const timersAtRest = 2

export class SimulatedWorker {
  readonly process: Process
  readonly #setup: WorkerSetup
  readonly #executor: Executor
  readonly #backend: Backend
  readonly #pool: SimulatedPool
  readonly #revokes = new Revokes()
  readonly #timers: Timer[] = []
  #watchesSince = Infinity
  #prefetch: number
  #onFetched: (() => void) | undefined
  /** Its subscription has ended: nothing is taken any more. */
  #isClosed = false
  /** Under way; what it brings after the worker began to stop is dropped, and given back when it leaves. */
  #fetching: Promise<void> | undefined
  /** starting → working (listens for revokes) → stopping */
  #state: 'starting' | 'working' | 'stopping' = 'starting'

  constructor(setup: WorkerSetup, process: Process) {
    this.#setup = setup
    this.process = process
    this.#backend = connect(setup, process)
    this.#pool = this.#createPool()
    this.#executor = this.#createExecutor()
    this.#prefetch = this.#executor.prefetch
    setup.world.tell(process.name, () => 'starts')
    void this.#begin()
  }

  get isStopping(): boolean {
    return this.#state === 'stopping'
  }

  /** Nothing is held, nothing runs. */
  get isIdle(): boolean {
    return this.#executor.heldCount === 0 && this.#pool.stats().running === 0
  }

  /** It dies: what runs in it does not end by itself. */
  cutRuns(): void {
    this.#pool.cutAll()
  }

  /** What is left of it when all has drained and it idles; undefined: nothing too much. */
  leftovers(): string | undefined {
    if (this.#state !== 'working' || this.process.state !== 'living') return undefined
    const { name, timerCount } = this.process
    if (!this.isIdle) return `${name} holds ${this.#executor.heldCount} deliveries after all has drained`
    return timerCount === timersAtRest ? undefined : `${name} idles with ${timerCount} timers, not ${timersAtRest}`
  }

  /** As `Worker.stop`: takes no more, gives back what has not started, lets the rest end, then insists. */
  async stop(graceMs: number): Promise<void> {
    const { cluster, world, network, onEnd } = this.#setup
    if (this.#state === 'stopping') return
    // told to stop while it starts: it has nothing yet
    if (this.#state === 'starting') return onEnd(this.process, false)
    const startedAt = world.nowMs - this.process.frozenMs
    this.#state = 'stopping'
    world.tell(this.process.name, () => 'stops')
    cluster.unlisten(this.process)
    await this.#endSubscription()
    this.#executor.returnUnstarted()
    await this.#atMost(graceMs)
    if (this.#executor.heldCount > 0) {
      this.#executor.abortAll(unheededMs)
      await this.#atMost(2 * unheededMs)
    }
    await this.#pool.stop()
    await this.#atMost(unheededMs)
    this.#executor.abandon()
    await this.#atMost(unheededMs, this.#executor.giveBack())
    this.#revokes.stop()
    for (const timer of this.#timers) if (this.#setup.breakage !== 'leaked-timer') timer.cancel()
    const owner = this.process.name
    const left = network.call({
      process: this.process,
      service: 'broker',
      tasks: [],
      effect: () => cluster.leave(this.process, owner),
    })
    const isClean = await left.then(
      () => true,
      () => false,
    )
    if (this.process.state === 'dead') return
    this.#judgeStop(isClean, world.nowMs - this.process.frozenMs - startedAt - graceMs)
    onEnd(this.process, false)
  }

  /** What is on its way still comes, or it is too late for it: it is given back with the connection. */
  async #endSubscription(): Promise<void> {
    if (this.#fetching !== undefined)
      await new Promise<void>(resolve => {
        const timer = this.process.clock.after(unheededMs, resolve)
        this.#onFetched = () => {
          timer.cancel()
          resolve()
        }
      })
    this.#isClosed = true
  }

  #judgeStop(isClean: boolean, overtimeMs: number): void {
    const { ledger, cluster } = this.#setup
    const { name, timerCount } = this.process
    const late = overtimeMs > stopMarginMs ? `${name} took ${overtimeMs} ms more than its grace` : undefined
    ledger.judge('17 a clean stop leaves nothing and ends in time', late)
    if (timerCount > 0) ledger.judge('13 nothing stays behind', `${name} ended with ${timerCount} timers`)
    if (!isClean) return
    const held = cluster.heldBy(name)
    const left = held > 0 ? `${name} left ${held} deliveries unsettled` : undefined
    ledger.judge('17 a clean stop leaves nothing and ends in time', left)
    const listeners = cluster.listeners(this.process)
    if (listeners > 0) ledger.judge('13 nothing stays behind', `${name} left ${listeners} listeners`)
  }

  /** Listens for revokes before it takes anything; a supervisor tries again when it cannot. */
  async #begin(): Promise<void> {
    const { cluster, breakage } = this.#setup
    const { clock, name } = this.process
    try {
      await this.#listenForRevokes()
    } catch {
      if (this.#state === 'starting') this.process.later(50, () => void this.#begin())
      return
    }
    if (this.#state !== 'starting') return
    this.#state = 'working'
    cluster.listen(this.process, () => this.#fetch())
    const heartbeat = (): void => void this.#ask(() => cluster.heartbeat(name)).catch(() => undefined)
    this.#timers.push(clock.every(leaseMs / 3, heartbeat))
    this.#timers.push(clock.every(pollMs, () => breakage !== 'lost-wakeup' && this.#fetch()))
    this.#fetch()
  }

  async #listenForRevokes(): Promise<void> {
    // not after the server began to tell
    const since = this.#setup.world.nowMs
    await this.#revokes.start(this.#backend.coordination, (id, { terminate }) =>
      this.#executor.revoke(id, terminate, unheededMs),
    )
    this.#watchesSince = since
  }

  #ask<T>(effect: () => T): Promise<T> {
    return this.#setup.network.call({ process: this.process, service: 'broker', tasks: [], effect })
  }

  #createPool(): SimulatedPool {
    const { world, ledger, plan, breakage, onEnd } = this.#setup
    const since = (): number => this.#watchesSince
    const life: Life = {
      process: this.process,
      slots: plan.slots,
      get watchesSince() {
        return since()
      },
      knowsRevoked: id => this.#revokes.find(id) !== undefined,
    }
    const slots = breakage === 'unlimited-pool' ? Infinity : plan.slots
    return new SimulatedPool({ world, ledger, life, slots, onKill: () => onEnd(this.process, true) })
  }

  #createExecutor(): Executor {
    const { world, ledger, plan } = this.#setup
    return new Executor({
      backend: this.#backend,
      pool: this.#pool,
      slots: plan.slots,
      clock: this.process.clock,
      random: () => this.process.random.next(),
      startedValue: '{}',
      sender: { origin: this.process.name, queueOf: () => queueName },
      findTask: name => {
        const known = kindOf(name).policy
        const runsAgain = this.#setup.breakage === 'early-ack-runs-again'
        const policy = known && { ...known, acksLate: known.acksLate || runsAgain }
        return policy && { policy, softTimeLimitMs: undefined, timeLimitMs: undefined }
      },
      isRevoked: id => this.#revokes.find(id),
      onPrefetch: prefetch => {
        this.#prefetch = prefetch
        this.#fetch()
      },
      events: {
        received: run => {
          this.#pool.tokens.set(run.runId, run.delivery.token)
          ledger.received(run.delivery.token, run)
        },
        settled: () => this.#fetch(),
        trouble: (error, what) =>
          world.tell(this.process.name, () => `could not ${what}: ${coerceError(error).message}`),
      },
    })
  }

  #fetch(): void {
    const { network, cluster } = this.#setup
    const limit = this.#prefetch - this.#executor.heldCount
    if (this.#fetching !== undefined || this.#state !== 'working' || limit <= 0) return
    const { process } = this
    const effect = (): ReturnType<typeof cluster.claim> =>
      this.#state === 'working' ? cluster.claim(process, process.name, limit) : []
    const fetching = network.call({ process, service: 'broker', tasks: [], isSession: true, effect })
    this.#fetching = fetching.then(
      deliveries => this.#fetched(deliveries),
      () => this.#fetched([]),
    )
  }

  #fetched(deliveries: readonly Delivery[]): void {
    this.#fetching = undefined
    if (deliveries.length > 0 && !this.#isClosed) this.#executor.accept(deliveries)
    this.#onFetched?.()
  }

  #atMost(ms: number, done: Promise<void> = this.#executor.idle()): Promise<void> {
    return new Promise(resolve => {
      const timer = this.process.clock.after(ms, resolve)
      void done.then(() => {
        timer.cancel()
        resolve()
      })
    })
  }
}
