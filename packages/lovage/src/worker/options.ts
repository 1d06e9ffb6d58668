/** What a worker may be told, and what that comes to. */
import { availableParallelism } from 'node:os'
import type { Config } from '../app/config.ts'
import type { AppInternals } from '../app/internals.ts'
import { createLogger } from '../app/logger.ts'
import type { Logger } from '../app/types.ts'
import { ConfigurationError, describe } from '../core/errors.ts'
import type { ExecutorEvents } from './executor.ts'

/** Where the app can be loaded again: what the task thread is given. */
export interface AppSource {
  /** Absolute path of the module that exports the app. */
  readonly file: string
  /** Which export; the only app among them, when absent. */
  readonly exportName?: string | undefined
  /** More modules with tasks, absolute paths. */
  readonly include?: readonly string[] | undefined
  /** Where `tsconfig.json` and `package.json` are looked for. */
  readonly projectRoot?: string | undefined
}

export interface WorkerOptions {
  /** @default the app's default queue, `celery`, and those that its own tasks are sent to */
  readonly queues?: readonly string[] | undefined
  /** How many tasks run at once. @default the number of cores */
  readonly concurrency?: number | undefined
  /** Where they run: `threads` needs `source`. @default 'threads' with `source`, else 'inline' */
  readonly pool?: 'inline' | 'threads' | undefined
  /** Task threads of the `threads` pool, for tasks that compute; the slots are shared among them. @default 1 */
  readonly threads?: number | undefined
  /** The part before `@host` of the node name. @default 'lovage' */
  readonly name?: string | undefined
  /** Stop on SIGTERM, SIGINT and SIGQUIT. @default false */
  readonly signals?: boolean | undefined
  /** The module that exports the app, to be loaded again in the task thread. It must not start a worker or a server on import. */
  readonly source?: AppSource | undefined
  /** The soft limit of tasks that have none of their own. @default none */
  readonly softTimeLimitMs?: number | undefined
  /** The hard limit of tasks that have none of their own. @default none */
  readonly timeLimitMs?: number | undefined
  /** How long a warm stop waits for what runs. @default 25000 */
  readonly shutdownTimeoutMs?: number | undefined
  /** @default JSON or pretty lines on stderr, by `logLevel` */
  readonly logger?: Logger | undefined
  /** @internal */
  readonly events?: ExecutorEvents | undefined
}

export interface ResolvedWorkerOptions {
  /** Undefined: those of the tasks, which are known when all are loaded. */
  readonly queues: readonly string[] | undefined
  readonly concurrency: number
  readonly pool: 'inline' | 'threads'
  readonly threads: number
  readonly name: string
  readonly signals: boolean
  readonly source: AppSource | undefined
  readonly shutdownTimeoutMs: number
  readonly softTimeLimitMs: number | undefined
  readonly timeLimitMs: number | undefined
  readonly logger: Logger
  readonly events: ExecutorEvents | undefined
}

/** @throws {ConfigurationError} a value cannot be used. */
export function resolveWorkerOptions(options: WorkerOptions, config: Config): ResolvedWorkerOptions {
  const pool = options.pool ?? (options.source === undefined ? 'inline' : 'threads')
  if (pool === 'threads' && options.source === undefined) {
    throw new ConfigurationError(
      "The threads pool loads the app again in its thread: say from where, `source: { file: '/abs/tasks.ts' }`, or take `pool: 'inline'`",
    )
  }
  return {
    queues: givenQueues(options.queues ?? config.queues.value),
    concurrency: positive('concurrency', options.concurrency ?? config.concurrency.value ?? availableParallelism()),
    pool,
    threads: positive('threads', options.threads ?? 1),
    name: nameOf(options.name ?? 'lovage'),
    signals: options.signals ?? false,
    source: options.source,
    shutdownTimeoutMs: options.shutdownTimeoutMs ?? config.shutdownTimeoutMs.value,
    softTimeLimitMs: options.softTimeLimitMs,
    timeLimitMs: options.timeLimitMs,
    logger: options.logger ?? createLogger({ level: config.logLevel.value }),
    events: options.events,
  }
}

function positive(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0 && value <= 10_000) return value
  throw new ConfigurationError(`${option} is ${describe(value)}; give a whole number from 1 to 10000`)
}

function givenQueues(queues: readonly string[]): readonly string[] | undefined {
  if (queues.length === 0) return undefined
  const wanted = [...new Set(queues.map(queue => queue.trim()).filter(queue => queue !== ''))]
  if (wanted.length > 0) return wanted
  throw new ConfigurationError(
    `queues is ${describe(queues)}: name at least one, or leave it out for those of the tasks`,
  )
}

/** The default queue, and those that the tasks implemented here are sent to. */
export function queuesOfTasks(app: AppInternals): readonly string[] {
  const own = [...app.tasks.values()].filter(({ handler }) => handler !== undefined)
  const queues = own.map(({ name, options }) => options.queue ?? app.queueOf(name))
  return [...new Set([app.config.defaultQueue.value, ...queues])]
}

function nameOf(name: string): string {
  if (/^[\w.-]{1,200}$/.test(name)) return name
  throw new ConfigurationError(`name is ${describe(name)}; give letters, digits, dots and dashes: the host is added`)
}
