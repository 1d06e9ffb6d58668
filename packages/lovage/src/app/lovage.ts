/** The app: configuration, tasks, and the way to send and read them. Constructing it does no I/O; the first use opens. */
import { InvalidArgumentError, describe } from '../core/errors.ts'
import { AppState } from './app-state.ts'
import { createResult } from './async-result.ts'
import { internalsKey } from './internals.ts'
import type { AppInternals } from './internals.ts'
import { createQueue } from './queue.ts'
import type { Queue } from './queue.ts'
import { createDefinition, definitionSite } from './registry.ts'
import type { GivenOptions } from './registry.ts'
import type { OutputOf, Schema } from './schema.ts'
import { sendByName } from './send.ts'
import type { LogLevel } from './settings.ts'
import { assertHandler, createDeclaredTask, createTask } from './task.ts'
import type {
  AnyTask,
  AsyncResult,
  CallArgs,
  DeclaredTask,
  DeclareOptions,
  HandlerArgs,
  Known,
  Metas,
  ObjectSchema,
  ResultOf,
  Returned,
  SendRest,
  SendResult,
  States,
  StateSchemas,
  StatesOf,
  Task,
  TaskContext,
  TaskOptions,
  Tuple,
  TupleSchema,
} from './types.ts'

/** Every option but `routes` and `include` may also come from the environment, which wins: `leaseMs` is LOVAGE_LEASE_MS. */
export interface LovageOptions {
  /** @default the embedded store, `.lovage/queue.db` in the project */
  readonly brokerUrl?: string | undefined
  /** @default the broker's */
  readonly resultBackend?: string | undefined
  /** Task name, exact or with `*` and `?`, → queue: `{ 'ts.*': 'ts' }`. */
  readonly routes?: Readonly<Record<string, string>> | undefined
  /** @default 'celery' */
  readonly defaultQueue?: string | undefined
  /** Files with tasks, loaded by workers only: `[() => import('./tasks/images.ts')]`. */
  readonly include?: readonly (() => Promise<unknown>)[] | undefined
  /** The queues a worker takes. @default the default queue and those that the worker's tasks are sent to */
  readonly queues?: readonly string[] | undefined
  /** How long a task belongs to a worker that shows no life. @default 30000 */
  readonly leaseMs?: number | undefined
  /** How long results are kept. Not on rpc://, where the broker's policy says so. @default 86400000 */
  readonly resultExpiresMs?: number | undefined
  /** How long a stopping worker lets its tasks run on. @default 25000 */
  readonly shutdownTimeoutMs?: number | undefined
  /** Tasks that one worker runs at a time. */
  readonly concurrency?: number | undefined
  /** The most that the arguments of one call may take, 16 MiB at most. @default 1048576 */
  readonly maxBodyBytes?: number | undefined
  /** @default 'info' */
  readonly logLevel?: LogLevel | undefined
  /** Signs handles, ≥ 32 bytes; several: the first signs, all verify. */
  readonly secret?: string | readonly string[] | undefined
}

/** How long `close` waits for calls that are being sent. */
const defaultGraceMs = 5000

/**
 * `Tasks`: the types of tasks that live elsewhere: `new Lovage<typeof tasks>('mysite')` with `import type * as tasks`.
 * @example
 * export const app = new Lovage('mysite')
 * export const add = app.task('core.tasks.add', (_task, x: number, y: number) => x + y)
 */
export class Lovage<Tasks = unknown> {
  readonly name: string
  readonly #state: AppState

  /** @throws {ConfigurationError} for an option that does not exist. Values are checked at the first use. */
  constructor(name: string, options: LovageOptions = {}) {
    this.#state = new AppState(name, options)
    this.name = name
  }

  /** Defines a task. The same name again replaces it, but a worker refuses to start with two. @throws {InvalidArgumentError} */
  task<Name extends string, P extends Tuple, R>(
    name: Name,
    handler: (task: TaskContext<{}>, ...args: P) => R,
  ): Task<Name, (...args: P) => Returned<R>, {}>
  task<
    Name extends string,
    R,
    A extends TupleSchema = never,
    K extends ObjectSchema = never,
    Sc extends StateSchemas = {},
    P extends HandlerArgs<A, K> = HandlerArgs<A, K>,
  >(
    name: Name,
    options: TaskOptions<A, K, P, Sc>,
    handler: (task: TaskContext<Metas<Sc>>, ...args: P) => R,
  ): Task<Name, (...args: CallArgs<A, K, P>) => Returned<R>, Metas<Sc>>
  task(name: string, ...rest: readonly unknown[]): AnyTask {
    const [options, handler] = rest.length > 1 ? rest : [{}, rest[0]]
    assertHandler(name, handler)
    assertObject(name, options)
    const site = definitionSite()
    return createTask(this.#state, this.#state.registry.add(createDefinition(name, options, { handler, site })))
  }

  /** A task's name and types, to call it by: written in Python, or implemented in a file that only workers load. */
  declareTask<
    Name extends string,
    A extends TupleSchema = never,
    K extends ObjectSchema = never,
    R extends Schema = Schema,
    Sc extends StateSchemas = StateSchemas,
  >(
    name: Name,
    options?: DeclareOptions<A, K, R, Sc>,
  ): DeclaredTask<Name, (...args: CallArgs<A, K, Tuple>) => OutputOf<R>, Metas<Sc>, HandlerArgs<A, K>>
  declareTask(name: string, options: unknown = {}): DeclaredTask {
    assertObject(name, options)
    const site = definitionSite()
    return createDeclaredTask(this.#state, this.#state.registry.add(createDefinition(name, options, { site })))
  }

  /** Sends a task by its name; arguments go as they are given, unchecked. Options are the last. */
  sendTask<Name extends (keyof Known<Tasks> & string) | (string & {})>(
    name: Name,
    ...rest: SendRest<Tasks, Name>
  ): Promise<SendResult<Tasks, Name>>
  sendTask(name: string, ...rest: readonly unknown[]): Promise<AsyncResult> {
    return sendByName(this.#state, name, rest)
  }

  /** A task sent earlier, by its id: `app.result<typeof loop>(id)`. */
  result(id: string): AsyncResult<unknown, States>
  result<T extends AnyTask>(id: string): AsyncResult<ResultOf<T>, StatesOf<T>>
  result(id: string): AsyncResult {
    return createResult(this.#state, id)
  }

  queue(name: string): Queue {
    return createQueue(this.#state, name)
  }

  /** Waits for what is being sent, `graceMs` at most (5000), and lets go of the connections. For good. Idempotent. */
  close(options: { readonly graceMs?: number | undefined } = {}): Promise<void> {
    return this.#state.close(options.graceMs ?? defaultGraceMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal */
  get [internalsKey](): AppInternals {
    return this.#state
  }
}

/** Any app, whatever tasks it knows. */
export type AnyLovage = Lovage<AnyTasks>
// oxlint-disable-next-line typescript/no-explicit-any
type AnyTasks = any

function assertObject(name: string, options: unknown): asserts options is GivenOptions {
  if (typeof options === 'object' && options !== null) return
  throw new InvalidArgumentError(`${name}: the options are ${describe(options)}: expected an object`)
}
