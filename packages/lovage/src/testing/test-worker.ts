/**
 * Takes over an app that nothing has used yet: its tasks are sent to a private memory broker and run in this process.
 * The app's own module stays as it is; no server, no file, no thread.
 */
import type { AnyLovage } from '../app/lovage.ts'
import type { AnyTask, Logger } from '../app/types.ts'
import { internals } from '../app/internals.ts'
import { joinBackend } from '../backend.ts'
import { systemClock, type Clock } from '../core/clock.ts'
import { openMemory } from '../drivers/memory/memory.ts'
import type { ExecutorEvents } from '../worker/executor.ts'
import type { Outcome } from '../worker/outcome.ts'
import type { Run } from '../worker/run.ts'
import { Worker } from '../worker/worker.ts'

export interface TestWorkerOptions {
  /** @default the default queue, and those that tasks and routes name */
  readonly queues?: readonly string[] | undefined
  /** How many tasks run at once. @default 10 */
  readonly concurrency?: number | undefined
  /** A `TestClock`, for tasks that wait: countdowns, retries, `task.sleep`. @default the system's */
  readonly clock?: Clock | undefined
  /** @default none */
  readonly logger?: Logger | undefined
}

/** What happened to one task: one entry for every state it was seen in. */
export interface TaskEvent {
  readonly id: string
  readonly name: string
  /** `RECEIVED`, `STARTED`, `PROGRESS`, a custom state, `RETRY`, `SUCCESS`, `FAILURE`, `REVOKED`. */
  readonly state: string
}

export interface TestWorker {
  /** All that happened so far, in order. */
  readonly events: readonly TaskEvent[]
  /**
   * The next event in this state, of this task if one is given: the oldest that no call was given yet, or the first to come.
   * So it does not matter whether it has happened already.
   */
  next(state: string, task?: AnyTask): Promise<TaskEvent>
  /** Ends what runs, and gives the app back as it was. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** @throws {IllegalStateError} the app is already in use: take it over before the first `delay()`. */
export async function startTestWorker(app: AnyLovage, options: TestWorkerOptions = {}): Promise<TestWorker> {
  const clock = options.clock ?? systemClock
  const connection = openMemory(new URL('memory:'), { clock })
  const backend = joinBackend(connection, connection)
  const giveBack = internals(app).takeOver(backend, clock)
  const log = new EventLog()
  const worker = new Worker(app, {
    pool: 'inline',
    concurrency: options.concurrency ?? 10,
    queues: options.queues,
    logger: options.logger ?? silent,
    events: log.events,
  })
  const stop = async (): Promise<void> => {
    await worker.stop({ graceMs: 0 })
    await backend.close()
    giveBack()
  }
  try {
    await backend.open()
    await worker.start()
  } catch (error) {
    await stop()
    throw error
  }
  return { events: log.seen, next: (state, task) => log.next(state, task?.name), stop, [Symbol.asyncDispose]: stop }
}

interface Waiter {
  readonly state: string
  readonly name: string | undefined
  readonly resolve: (event: TaskEvent) => void
}

class EventLog {
  readonly seen: TaskEvent[] = []
  readonly #given = new Set<TaskEvent>()
  readonly #waiters: Waiter[] = []

  readonly events: ExecutorEvents = {
    received: run => this.#add(run, 'RECEIVED'),
    started: run => this.#add(run, 'STARTED'),
    report: (run, report) => {
      if (report.kind !== 'log') this.#add(run, report.kind === 'progress' ? 'PROGRESS' : report.state)
    },
    settled: (run, outcome) => {
      const state = stateOf(outcome)
      if (state !== undefined) this.#add(run, state)
    },
  }

  next(state: string, name: string | undefined): Promise<TaskEvent> {
    const event = this.seen.find(each => !this.#given.has(each) && matches(each, state, name))
    if (event === undefined) return new Promise(resolve => this.#waiters.push({ state, name, resolve }))
    this.#given.add(event)
    return Promise.resolve(event)
  }

  #add(run: Run, state: string): void {
    const event = { id: run.request.id, name: run.request.task, state }
    this.seen.push(event)
    const index = this.#waiters.findIndex(waiter => matches(event, waiter.state, waiter.name))
    const [waiter] = index < 0 ? [] : this.#waiters.splice(index, 1)
    if (waiter === undefined) return
    this.#given.add(event)
    waiter.resolve(event)
  }
}

function matches(event: TaskEvent, state: string, name: string | undefined): boolean {
  return event.state === state && (name === undefined || event.name === name)
}

/** The state an outcome leaves; undefined: none. */
function stateOf(outcome: Outcome): string | undefined {
  switch (outcome.kind) {
    case 'succeeded':
      return 'SUCCESS'
    case 'failed':
    case 'parked':
      return 'FAILURE'
    case 'retrying':
      return 'RETRY'
    case 'revoked':
      return 'REVOKED'
    case 'returned':
    case 'superseded':
      return undefined
    default:
      return outcome satisfies never
  }
}

const nothing = (): void => undefined
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
