/**
 * A worker: takes tasks from queues and runs them. `Worker` (this life) → `Consumer` (fetches) → `Executor` (one
 * delivery after another) → `Pool` (where the function runs) → settle.
 */
import { hostname } from 'node:os'
import { extname } from 'node:path'
import type { AppInternals } from '../app/internals.ts'
import { internals } from '../app/internals.ts'
import { createRunTask } from '../app/run-task.ts'
import type { AnyLovage } from '../app/lovage.ts'
import type { Backend } from '../backend.ts'
import { sleep, type Clock } from '../core/clock.ts'
import { ConfigurationError, TaskAlreadyRegisteredError, coerceError } from '../core/errors.ts'
import { isReadyState } from '../core/states.ts'
import { createInlinePool } from '../pools/inline.ts'
import type { Pool } from '../pools/pool.ts'
import { createThreadsPool } from '../pools/threads.ts'
import { Consumer } from './consumer.ts'
import { Executor, type ExecutorEvents } from './executor.ts'
import { Lifecycle, type LifeState } from './lifecycle.ts'
import { Listening } from './listening.ts'
import { logEvents } from './log-events.ts'
import { queuesOfTasks, resolveWorkerOptions, type ResolvedWorkerOptions, type WorkerOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { Presence, type WorkerCard } from './presence.ts'
import { Revokes } from './revokes.ts'
import { findRunnable } from './runnable.ts'
import { onStopSignals } from './stop-signals.ts'
import { version } from './version.ts'

/** How long a terminated task may take to heed its signal before it is ended by force. */
const terminateGraceMs = 1500
/** On a cold stop, how long tasks may take to heed theirs. */
const coldGraceMs = 500

/** Node's own notices in a task thread: about its SQLite, and about projects without a `type`. */
const quietly = ['--disable-warning=ExperimentalWarning', '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON']

/** Of a task thread: three semi-spaces of 16 MiB. V8's own 192 MB stay resident once a burst has filled them. */
const resourceLimits = { maxYoungGenerationSizeMb: 48 }

/** What a running worker is made of. */
interface Parts {
  readonly backend: Backend
  readonly pool: Pool
  readonly executor: Executor
  readonly consumer: Consumer
  readonly presence: Presence
  readonly revokes: Revokes
  readonly listening: Listening
  readonly endSignals: () => void
}

export class Worker {
  readonly #app: AnyLovage
  readonly #internals: AppInternals
  readonly #options: ResolvedWorkerOptions
  readonly #clock: Clock
  readonly #life: Lifecycle
  #parts: Parts | undefined
  /** The node name it has taken; the one it would take, before it started. */
  #node: string
  /** Ends the drain early. */
  #cold: AbortController = new AbortController()
  #graceMs: number

  /** @throws {ConfigurationError} an option cannot be used. */
  constructor(app: AnyLovage, options: WorkerOptions = {}) {
    this.#app = app
    this.#internals = internals(app)
    this.#options = resolveWorkerOptions(options, this.#internals.config)
    this.#clock = this.#internals.clock
    this.#node = `${this.#options.name}@${hostname()}`
    this.#graceMs = this.#options.shutdownTimeoutMs
    this.#life = new Lifecycle({ open: () => this.#open(), close: () => this.#close() })
  }

  get state(): LifeState {
    return this.#life.state
  }

  /** `name@host`, unique among living workers once started. */
  get node(): string {
    return this.#node
  }

  /** The queues it takes from; those of the tasks known so far, when none were given. */
  get queues(): readonly string[] {
    return this.#options.queues ?? queuesOfTasks(this.#internals)
  }

  get concurrency(): number {
    return this.#options.concurrency
  }

  get pool(): string {
    return this.#options.pool
  }

  /**
   * Resolves when it takes tasks.
   * @throws {ConfigurationError} the app defines no tasks.
   * @throws {TaskAlreadyRegisteredError} a name is defined twice.
   * @throws {AppLoadError} the task thread cannot load the app.
   * @throws {BrokerConnectionError | StorageError} the broker cannot be opened.
   */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options
    signal?.throwIfAborted()
    const onAbort = (): void => void this.stop({ graceMs: 0 })
    signal?.addEventListener('abort', onAbort, { once: true })
    if (this.#life.state === 'idle' || this.#life.state === 'stopped') this.#resetStop()
    const forget = (): void => signal?.removeEventListener('abort', onAbort)
    try {
      await this.#life.start()
    } catch (error) {
      forget()
      throw error
    }
    if (signal !== undefined) void this.stopped().then(forget)
  }

  /**
   * Warm: takes no more, gives back what has not started, lets the rest end. What still runs after `graceMs` is told to
   * stop and given back. Called again with less, it hurries. Resolves when nothing of it runs.
   * @param options graceMs: default `shutdownTimeoutMs` (25 seconds); 0 is a cold stop.
   */
  stop(options: { readonly graceMs?: number | undefined } = {}): Promise<void> {
    const graceMs = options.graceMs ?? this.#options.shutdownTimeoutMs
    if (graceMs === 0) this.#cold.abort()
    this.#graceMs = Math.min(this.#graceMs, graceMs)
    return this.#life.stop()
  }

  /** Resolves when it has stopped, for whatever reason: a call, a signal, a broker that is gone for good. */
  stopped(): Promise<void> {
    return this.#life.stopped()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #open(): Promise<void> {
    await this.#internals.loadIncludes()
    checkTasks(this.#internals)
    const backend = await this.#internals.backend()
    const pool = this.#createPool()
    const started: (() => Promise<void> | void)[] = [() => pool.stop()]
    try {
      await pool.start()
      const revokes = new Revokes()
      const listening = new Listening(revokes)
      const presence = new Presence(backend.coordination, this.#clock)
      started.push(
        () => presence.stop(),
        () => listening.stop(),
      )
      const parts = await this.#assemble({ backend, pool, revokes, presence, listening })
      this.#parts = parts
    } catch (error) {
      for (const undo of started.reverse()) await this.#attempt('undo a start', undo)
      throw error
    }
  }

  async #assemble(made: Pick<Parts, 'backend' | 'pool' | 'revokes' | 'presence' | 'listening'>): Promise<Parts> {
    const { backend, pool, revokes, presence, listening } = made
    const { logger } = this.#options
    this.#node = await presence.start(this.#card(), error => logger.warn(`heartbeat: ${coerceError(error).message}`))
    const executor = this.#createExecutor(backend, pool, revokes)
    await listening.start({
      backend,
      card: { ...this.#card(), node: this.#node },
      clock: this.#clock,
      logger,
      onRevoke: (id, { terminate }) => executor.revoke(id, terminate, terminateGraceMs),
    })
    const consumer = new Consumer({
      backend,
      queues: this.queues,
      node: this.#node,
      prefetch: executor.prefetch,
      onDeliveries: batch => executor.accept(batch),
      onInterruption: reason =>
        reason === undefined
          ? logger.info('The broker is back: tasks are taken again')
          : logger.warn(`No task is taken for now: ${reason.message}`),
      onEnd: error => this.#brokerGone(error),
    })
    await consumer.start()
    return { ...made, executor, consumer, endSignals: this.#listenForSignals() }
  }

  #createExecutor(backend: Backend, pool: Pool, revokes: Revokes): Executor {
    return new Executor({
      backend,
      pool,
      slots: this.#options.concurrency,
      clock: this.#clock,
      random: Math.random,
      startedValue: JSON.stringify({ pid: process.pid, hostname: this.#node }),
      findTask: name => findRunnable(this.#internals, name, this.#options),
      sender: { origin: `gen${process.pid}@${hostname()}`, queueOf: name => queueOf(this.#internals, name) },
      isRevoked: id => revokes.find(id),
      onPrefetch: prefetch => this.#parts?.consumer.setPrefetch(prefetch),
      events: joinEvents(joinEvents(logEvents(this.#options.logger), forgetEnded(revokes)), this.#options.events),
    })
  }

  #createPool(): Pool {
    const { pool, concurrency: slots, threads, source } = this.#options
    if (pool === 'inline' || source === undefined) {
      return createInlinePool({ slots, clock: this.#clock, runTask: createRunTask(this.#app) })
    }
    const entry = new URL(`./task-thread${extname(import.meta.filename)}`, import.meta.url)
    const execArgv = [...process.execArgv, ...quietly]
    const onFault = (message: string): void => this.#options.logger.error(message)
    const parts = { entry, workerData: source, clock: this.#clock, execArgv, resourceLimits, onFault }
    return createThreadsPool({ slots, threads, ...parts })
  }

  #card(): WorkerCard {
    const { concurrency, pool } = this.#options
    return {
      node: this.#node,
      pid: process.pid,
      host: hostname(),
      queues: this.queues,
      tasks: tasksHere(this.#internals),
      concurrency,
      pool,
      startedAt: this.#clock.now(),
      version,
    }
  }

  #listenForSignals(): () => void {
    if (!this.#options.signals) return () => undefined
    const { logger } = this.#options
    return onStopSignals({
      warm: signal => {
        logger.info(
          `${signal}: warm shutdown, waiting for ${this.#parts?.executor.runningCount ?? 0} running; again for a cold one`,
        )
        void this.stop()
      },
      cold: signal => {
        logger.warn(`${signal}: cold shutdown, running tasks are told to stop and given back`)
        void this.stop({ graceMs: 0 })
      },
    })
  }

  #brokerGone(error: Error): void {
    this.#options.logger.error(`The broker is gone for good: ${error.message}`)
    void this.stop({ graceMs: 0 })
  }

  async #close(): Promise<void> {
    const parts = this.#parts
    if (parts === undefined) return
    const { consumer, executor, pool, presence, listening, endSignals } = parts
    await this.#attempt('end the subscription', () => consumer.stop())
    executor.returnUnstarted()
    await this.#drain(executor)
    await this.#attempt('stop the pool', () => pool.stop())
    // what the pool gave up is given back: a moment for the broker to take it
    await this.#atMost(executor.idle(), coldGraceMs)
    executor.abandon()
    await this.#atMost(executor.giveBack(), coldGraceMs)
    await this.#attempt('stop listening', () => listening.stop())
    await this.#attempt('sign off', () => presence.stop())
    endSignals()
    this.#parts = undefined
    this.#resetStop()
  }

  /** The next stop is a warm one, until somebody asks for less. */
  #resetStop(): void {
    this.#cold = new AbortController()
    this.#graceMs = this.#options.shutdownTimeoutMs
  }

  /** A broker that is gone refuses every step of a stop: it must end all the same. */
  async #attempt(what: string, step: () => Promise<void> | void): Promise<void> {
    try {
      await step()
    } catch (error) {
      this.#options.logger.warn(`Could not ${what}: ${coerceError(error).message}`)
    }
  }

  async #drain(executor: Executor): Promise<void> {
    await this.#atMost(executor.idle(), this.#graceMs, this.#cold.signal)
    if (executor.heldCount === 0) return
    executor.abortAll(coldGraceMs)
    await this.#atMost(executor.idle(), 2 * coldGraceMs)
  }

  /** Waits for `done`, for `ms` at most, or until the signal aborts. */
  async #atMost(done: Promise<void>, ms: number, signal?: AbortSignal): Promise<void> {
    const ended = new AbortController()
    const limit = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal])
    await Promise.race([done, sleep(this.#clock, ms, limit).catch(() => undefined)])
    ended.abort()
  }
}

function checkTasks(app: AppInternals): void {
  const twice = app.duplicates()[0]
  if (twice !== undefined) {
    throw new TaskAlreadyRegisteredError(
      `The task ${twice.name} is defined twice: at ${twice.files.join(' and at ')}. Rename one, or delete it`,
      { details: { ...twice } },
    )
  }
  if (tasksHere(app).length === 0)
    throw new ConfigurationError('0 tasks: what was loaded defines none. -I, or `include` in new Lovage()?')
}

/** As a call from here: the task's own queue, else by the routes. */
function queueOf(app: AppInternals, name: string): string {
  return app.tasks.get(name)?.options.queue ?? app.queueOf(name)
}

/** Names of the tasks that can be run here: what is only declared cannot. */
function tasksHere(app: AppInternals): readonly string[] {
  return [...app.tasks.values()].filter(({ handler }) => handler !== undefined).map(({ name }) => name)
}

function forgetEnded(revokes: Revokes): ExecutorEvents {
  return {
    settled({ request }, outcome, lost) {
      if (!lost && hasEnded(outcome)) revokes.ended(request.id)
    },
  }
}

/** Of a copy, or an attempt that was closed already, the task may still wait for its next one. */
function hasEnded(outcome: Outcome): boolean {
  if (outcome.kind === 'superseded') return outcome.by !== undefined && isReadyState(outcome.by.state)
  return outcome.kind !== 'returned' && outcome.kind !== 'retrying'
}

function joinEvents(first: ExecutorEvents, second: ExecutorEvents | undefined): ExecutorEvents {
  if (second === undefined) return first
  return {
    received: run => (first.received?.(run), second.received?.(run)),
    started: run => (first.started?.(run), second.started?.(run)),
    report: (run, report) => (first.report?.(run, report), second.report?.(run, report)),
    settled: (run, outcome, lost) => (first.settled?.(run, outcome, lost), second.settled?.(run, outcome, lost)),
    unsettled: (run, error, fate) => (first.unsettled?.(run, error, fate), second.unsettled?.(run, error, fate)),
    trouble: (error, what) => (first.trouble?.(error, what), second.trouble?.(error, what)),
  }
}
