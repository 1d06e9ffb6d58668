/**
 * The side where tasks run: takes runs in the order given, at most `slots` at a time, and sends back what became of
 * them. Between two starts the microtasks drain, so that a finished result is known, and sent, before a task that may
 * block the loop begins. An idle runner has no timer and does nothing.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { endOfTurn, systemClock } from '../core/clock.ts'
import type { Clock } from '../core/clock.ts'
import { IllegalStateError } from '../core/errors.ts'
import { errorDocument } from '../protocol/exceptions.ts'
import { abortError, abortedResult } from './abort.ts'
import { startClaimed } from './claims.ts'
import type { HandOver, RunEnd, TaskPort, ToTasks } from './messages.ts'
import { packEnds, unpackRuns } from './packed.ts'
import type { AbortReason, RunControl, RunReport, RunRequest, RunResult, RunTask } from './pool.ts'

export interface ServeOptions {
  readonly slots: number
  /** Shared with the managing side; absent: it takes nothing back. */
  readonly claims?: Int32Array | undefined
  readonly clock?: Clock | undefined
}

/** Results wait at most this long for others to travel with before the next task is started. */
const flushAfterMs = 2
/** A task that took longer than this until its first wait is not quick: results are sent before it starts. */
const quickMs = 1
/** Starts follow each other without a turn of the event loop for at most this long. */
const yieldAfterMs = 5
/** Names remembered as quick. */
const quickNames = 1000

/**
 * Runs what arrives at `port`, and says `ready`. For the life of this thread or process: from now on what is thrown
 * outside a task's promise is caught and reported as a fault, and `process.exit()` called by a task throws in it.
 */
export function serveRuns(port: TaskPort, runTask: RunTask, options: ServeOptions): void {
  const runner = new TaskRunner(port, runTask, options)
  guardProcess(runner)
  port.onMessage(message => runner.take(message))
  port.post({ kind: 'ready' })
}

/** What one running task is given, and what the runner knows of it. */
class ActiveRun implements RunControl {
  readonly request: RunRequest
  readonly #port: TaskPort
  #reason: AbortReason | undefined
  /** Made when first asked for: most tasks never look at it. */
  #controller: AbortController | undefined

  constructor(request: RunRequest, port: TaskPort) {
    this.request = request
    this.#port = port
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(abortError(this.#reason, this.request))
    }
    return this.#controller.signal
  }

  readonly abortReason = (): AbortReason | undefined => this.#reason

  readonly report = (report: RunReport): void => postReport(this.#port, report)

  abort(reason: AbortReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#controller?.abort(abortError(reason, this.request))
  }
}

class TaskRunner {
  readonly #port: TaskPort
  readonly #runTask: RunTask
  readonly #slots: number
  readonly #claims: Int32Array | undefined
  readonly #clock: Clock
  /** Whose code is running: follows timers and promises, so that a stray throw has a name. */
  readonly #current = new AsyncLocalStorage<ActiveRun>()
  readonly #running = new Map<number, ActiveRun>()
  readonly #quick = new Set<string>()
  #queue: HandOver[] = []
  /** How many of `#queue` are gone. */
  #head = 0
  #ends: RunEnd[] = []
  #stepIsDue = false
  #flushIsDue = false
  #flushedAt = 0
  #turnBeganAt = 0
  /** The task started last, until it is known how long it kept the loop. */
  #lastStart: { readonly name: string; readonly at: number } | undefined

  constructor(port: TaskPort, runTask: RunTask, options: ServeOptions) {
    this.#port = port
    this.#runTask = runTask
    this.#slots = options.slots
    this.#claims = options.claims
    this.#clock = options.clock ?? systemClock
  }

  get current(): ActiveRun | undefined {
    return this.#current.getStore()
  }

  take(message: ToTasks): void {
    switch (message.kind) {
      case 'run':
        if (this.#head === this.#queue.length) this.#turnBeganAt = this.#clock.monotonic()
        for (const run of unpackRuns(message.runs)) this.#queue.push(run)
        return this.#proceed()
      case 'abort':
        return this.#abort(message.runId, message.reason)
      default:
        message satisfies never
    }
  }

  /** Something was thrown outside a task's promise. */
  fault(thrown: unknown): void {
    const { runId, id, name } = this.current?.request ?? {}
    const run = runId === undefined || id === undefined || name === undefined ? undefined : { runId, id, name }
    this.#flush()
    this.#port.post({ kind: 'fault', fault: { error: errorDocument(thrown), run } })
  }

  #abort(runId: number, reason: AbortReason): void {
    const active = this.#running.get(runId)
    // its listeners are the task's code: what they throw is its own
    if (active !== undefined) this.#current.run(active, () => active.abort(reason))
    const at = this.#queue.findIndex((run, index) => index >= this.#head && run.request.runId === runId)
    const [run] = at < 0 ? [] : this.#queue.splice(at, 1)
    if (run !== undefined && startClaimed(this.#claims, run.claim)) this.#end(runId, abortedResult(run.request, reason))
  }

  #canStart(): boolean {
    return this.#head < this.#queue.length && this.#running.size < this.#slots
  }

  #proceed(): void {
    if (!this.#stepIsDue && this.#canStart()) this.#stepNext()
  }

  /** Once the microtasks have drained: those of the run started last, those of the runs that just ended. */
  #stepNext(): void {
    this.#stepIsDue = true
    // a tick queued by a tick would come before the microtasks, one queued by a microtask comes after all of them
    queueMicrotask(this.#queueStep)
  }

  readonly #queueStep = (): void => process.nextTick(this.#step)

  readonly #step = (): void => {
    this.#stepIsDue = false
    const now = this.#clock.monotonic()
    this.#learn(now)
    if (!this.#canStart()) return
    if (now - this.#turnBeganAt > yieldAfterMs) return this.#yield()
    const next = this.#next()
    if (next === undefined) return this.#settleTurn()
    if (this.#ends.length > 0 && (!this.#quick.has(next.name) || now - this.#flushedAt > flushAfterMs)) this.#flush()
    this.#lastStart = { name: next.name, at: now }
    this.#start(next)
    this.#stepNext()
  }

  /** Lets timers, sockets and messages have their turn. */
  #yield(): void {
    this.#stepIsDue = true
    endOfTurn(() => {
      this.#turnBeganAt = this.#clock.monotonic()
      this.#step()
    })
  }

  /** The next one that is still ours; undefined: none is left. */
  #next(): RunRequest | undefined {
    while (this.#head < this.#queue.length) {
      const run = this.#queue[this.#head++]
      if (run !== undefined && startClaimed(this.#claims, run.claim)) return run.request
    }
    this.#queue = []
    this.#head = 0
    return undefined
  }

  /** Whether the task started last kept the loop long. */
  #learn(now: number): void {
    if (this.#lastStart === undefined) return
    const { name, at } = this.#lastStart
    this.#lastStart = undefined
    if (now - at > quickMs) this.#quick.delete(name)
    else if (this.#quick.size < quickNames) this.#quick.add(name)
  }

  #start(request: RunRequest): void {
    const active = new ActiveRun(request, this.#port)
    this.#running.set(request.runId, active)
    if (request.softLimitMs !== undefined || request.hardLimitMs !== undefined || request.isolated === true)
      this.#port.post({ kind: 'started', runId: request.runId })
    const result = this.#current.run(active, callTask, this.#runTask, active)
    void result.then(value => {
      this.#running.delete(request.runId)
      this.#end(request.runId, value)
    })
  }

  #end(runId: number, result: RunResult): void {
    this.#ends.push({ runId, result })
    this.#proceed()
    this.#settleTurn()
  }

  /** Results leave at once when nothing is left to do, else together at the end of this turn. */
  #settleTurn(): void {
    if (this.#running.size === 0 && this.#head === this.#queue.length) return this.#flush()
    if (this.#flushIsDue || this.#ends.length === 0) return
    this.#flushIsDue = true
    endOfTurn(() => {
      this.#flushIsDue = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#ends.length === 0) return
    const ends = this.#ends
    this.#ends = []
    this.#flushedAt = this.#clock.monotonic()
    this.#port.post({ kind: 'ended', ends: packEnds(ends) })
  }
}

/** `runTask` never rejects; should it all the same, the run has thrown. */
async function callTask(runTask: RunTask, active: ActiveRun): Promise<RunResult> {
  try {
    return await runTask(active.request, active)
  } catch (error) {
    return { kind: 'threw', error: errorDocument(error), wantsRetry: false }
  }
}

/** A log's fields are the task's own and may hold what cannot be cloned: functions, sockets. */
function postReport(port: TaskPort, report: RunReport): void {
  try {
    port.post({ kind: 'report', report })
  } catch (error) {
    if (report.kind !== 'log') throw error
    port.post({ kind: 'report', report: { ...report, fields: printable(report.fields) } })
  }
}

function printable(fields: object | undefined): object {
  try {
    return JSON.parse(JSON.stringify(fields ?? {})) as object
  } catch (error) {
    return { fields: `not shown: ${errorDocument(error).message}` }
  }
}

function guardProcess(runner: TaskRunner): void {
  process.on('uncaughtException', error => runner.fault(error))
  process.on('unhandledRejection', reason => runner.fault(reason))
  const exit = process.exit.bind(process)
  process.exit = (code?: number | string | null): never => {
    if (runner.current === undefined) exit(code)
    throw new IllegalStateError(
      `process.exit(${code ?? ''}) was called in the task ${runner.current?.request.name}: it would end its neighbours too. Throw an error, or return`,
      { details: { exitCode: code ?? null } },
    )
  }
}
