/**
 * The public types: what a task is to its author, its caller and its reader. Types only; the two `any`s are variance
 * escapes ("whatever it has"), everything else is checked.
 */
import type { RetryPolicy } from '../core/retry.ts'
import type { BuiltInState, ReadyState } from '../core/states.ts'
import type { InputOf, OutputOf, Schema } from './schema.ts'

export type { BuiltInState, ReadyState, RetryPolicy }

// ── Values that travel ─────────────────────────────────────────────────────────────────────────────

/**
 * What a handler's value is for the caller: awaited, and `null` where it returned nothing. Otherwise the type is kept
 * as it is, which is true because the encoder refuses what would come back as something else (Map, Set, function,
 * symbol, NaN, a class instance without toJSON).
 */
export type Returned<R> = undefined extends Awaited<R> ? Exclude<Awaited<R>, undefined | void> | null : Awaited<R>

/** Marks the argument that travels as Celery's keyword arguments. Pass a plain object. */
export type Kwargs<T> = T & { readonly '~kwargs'?: never }

// ── States and snapshots ───────────────────────────────────────────────────────────────────────────

/** A state name this program does not know: of a task written elsewhere that declared none. */
export type CustomState = string & {}
/** A task's custom states: name → what goes with it. `{}`: none. */
export type States = Readonly<Record<string, unknown>>
/** Whatever states it has. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyStates = any
export type StateOf<St extends States> = BuiltInState | CustomName<St>
type CustomName<St extends States> = string extends keyof St ? CustomState : Extract<keyof St, string>

export interface Progress {
  readonly current: number
  readonly total?: number | undefined
  /** 0–100, or undefined while the total is unknown or 0. */
  readonly percent?: number | undefined
  readonly message?: string | undefined
  readonly phase?: string | undefined
  readonly unit?: string | undefined
}
export interface TaskError {
  /** The name of what was thrown: 'TypeError', 'ValueError', … */
  readonly type: string
  readonly message: string
  readonly traceback?: string | undefined
  /** False when a retry with the same arguments cannot help (bad arguments, for one). */
  readonly retryable: boolean
  /** True: the message was written for the person at the page. */
  readonly isPublic?: boolean | undefined
  /** Why there is no further attempt, in a few words: 'no retry policy', '3 of 3 retries used'. */
  readonly note?: string | undefined
}
interface SnapshotFields {
  readonly id: string
  readonly name?: string | undefined
  readonly queue?: string | undefined
  /** 1 for the first. */
  readonly attempt: number
  readonly seq: number
  readonly queuedAt?: Date | undefined
  readonly startedAt?: Date | undefined
  readonly readyAt?: Date | undefined
  readonly progress?: Progress | undefined
  readonly meta?: unknown
  readonly result?: unknown
  readonly error?: TaskError | undefined
}
interface Unready extends SnapshotFields {
  readonly ready: false
  readonly result?: undefined
}
interface WaitingSnapshot extends Unready {
  readonly state: 'PENDING' | 'RECEIVED' | 'STARTED'
  readonly error?: undefined
}
interface ProgressSnapshot extends Unready {
  readonly state: 'PROGRESS'
  readonly progress: Progress
  readonly error?: undefined
}
interface CustomSnapshot<Name extends string, Meta> extends Unready {
  readonly state: Name
  readonly meta: Meta
  readonly error?: undefined
}
interface RetrySnapshot extends Unready {
  readonly state: 'RETRY'
  readonly error: TaskError
  readonly retryAt: Date
}
interface SuccessSnapshot<T> extends SnapshotFields {
  readonly state: 'SUCCESS'
  readonly ready: true
  readonly result: T
  readonly error?: undefined
}
interface FailureSnapshot extends SnapshotFields {
  readonly state: 'FAILURE'
  readonly ready: true
  readonly error: TaskError
  readonly result?: undefined
}
interface RevokedSnapshot extends SnapshotFields {
  readonly state: 'REVOKED'
  readonly ready: true
  readonly error: TaskError
  readonly reason: 'revoked' | 'terminated' | 'expired'
  readonly result?: undefined
}
type CustomSnapshots<St extends States> = string extends keyof St
  ? CustomSnapshot<CustomState, unknown>
  : { [K in keyof St & string]: CustomSnapshot<K, St[K]> }[keyof St & string]

/** Where a task stands: switch on `state` and its fields become certain. */
export type Snapshot<T = unknown, St extends States = AnyStates> =
  | WaitingSnapshot
  | ProgressSnapshot
  | CustomSnapshots<St>
  | RetrySnapshot
  | SuccessSnapshot<T>
  | FailureSnapshot
  | RevokedSnapshot

// ── Results ────────────────────────────────────────────────────────────────────────────────────────

export interface WaitOptions {
  /** @default no limit */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}
export interface RevokeOptions {
  /** Also end it by force when it runs and does not heed its signal. @default false */
  readonly terminate?: boolean | undefined
  readonly reason?: string | undefined
}

/** One sent task, by id: readable from any process, as often as one likes. */
export interface AsyncResult<T = unknown, St extends States = AnyStates> {
  readonly id: string
  /** Whether an `idempotencyKey` found a task sent earlier: then this is that one, and nothing was sent. */
  readonly deduplicated: boolean
  /** Where it stands now; undefined: no such task is known here. */
  snapshot(): Promise<Snapshot<T, St> | undefined>
  state(): Promise<StateOf<St> | undefined>
  /** Celery's `info`: the result, the error, the progress or the meta, whichever goes with the present state. */
  info(): Promise<unknown>
  ready(): Promise<boolean>
  successful(): Promise<boolean>
  failed(): Promise<boolean>
  /**
   * The value. Waits for it; an id that nobody knows yet is waited for too.
   * @throws {TaskFailedError} @throws {TaskRevokedError} @throws {ResultTimeoutError} @throws `signal.reason`
   */
  get(options?: WaitOptions): Promise<T>
  /** Every newer snapshot, the present one first, ending with the ready one. An unknown id yields nothing until it is known. */
  watch(options?: { readonly signal?: AbortSignal | undefined }): AsyncIterable<Snapshot<T, St>>
  /**
   * Asks that it does not run, or stops: a request, heeded by the worker that has it, within a week. The worker makes it
   * REVOKED. Nothing happens to a ready task.
   */
  revoke(options?: RevokeOptions): Promise<void>
  /** Removes what is kept of it, when it is ready. */
  forget(): Promise<void>
}

// ── The task's own side ────────────────────────────────────────────────────────────────────────────

export interface ProgressDetails {
  /** 200 characters at most. */
  readonly message?: string | undefined
  readonly phase?: string | undefined
  readonly unit?: string | undefined
}
export interface RetryOptions {
  /** @default by the task's retry policy; without one a second, doubled each time, without jitter */
  readonly countdownMs?: number | undefined
  readonly eta?: Date | undefined
  /** @default the call's own `maxRetries`, else the policy's `max`; without one 3 */
  readonly maxRetries?: number | undefined
  /** Why: what the snapshot shows meanwhile, and what is kept when the retries are used up. */
  readonly cause?: unknown
}
export interface Logger {
  debug(message: string, fields?: object): void
  info(message: string, fields?: object): void
  warn(message: string, fields?: object): void
  error(message: string, fields?: object): void
}
export interface TaskRequest {
  readonly id: string
  readonly name: string
  readonly queue: string
  readonly retries: number
  readonly redelivered: boolean
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, unknown>>
  readonly rootId: string
  readonly parentId?: string | undefined
  readonly eta?: Date | undefined
  readonly expiresAt?: Date | undefined
}
/** A handler's first parameter: the task as it runs. */
export interface TaskContext<St extends States = AnyStates> {
  readonly id: string
  /** Retries before this attempt: 0 at first. */
  readonly retries: number
  /** Aborts on revoke, soft time limit and cold stop; `reason` says which. */
  readonly signal: AbortSignal
  readonly log: Logger
  readonly request: TaskRequest
  /** State PROGRESS. Free to call in a tight loop: at most four a second leave, the last one always. Never throws. */
  progress(current: number, total?: number, details?: ProgressDetails): void
  /** A custom state, declared in the task's options. What is no such state, or does not fit its schema, is logged and not reported. */
  updateState<K extends string>(state: Declared<St, K>, meta: K extends keyof St ? St[K] : unknown): void
  /** @throws what `signal.reason` is, when that ends the wait. */
  sleep(ms: number): Promise<void>
  /** Throws. Write `throw task.retry(…)`: the compiler then knows that the code below is not reached. */
  retry(options?: RetryOptions): never
  /** Throws. There was nothing to do: the task ends in SUCCESS with no value. */
  ignore(reason?: string): never
  /** Throws. The message goes back to the queue, or to the dead letters. */
  reject(options?: { readonly requeue?: boolean | undefined }): never
}
type Declared<St extends States, K extends string> = K extends BuiltInState
  ? `${K} is Lovage's to set`
  : K extends keyof St
    ? K
    : `declare it in the task's options: { states: { ${K}: … } }`

// ── Tasks ──────────────────────────────────────────────────────────────────────────────────────────

/** How one call is sent. */
export interface ApplyOptions {
  /** Not before so many milliseconds from now. */
  readonly countdownMs?: number | undefined
  /** Not before this instant. */
  readonly eta?: Date | undefined
  /** REVOKED (`expired`) when it has not started so many milliseconds from now. */
  readonly expiresInMs?: number | undefined
  readonly expiresAt?: Date | undefined
  /** @default the task's, else by `routes`, else the app's `defaultQueue` */
  readonly queue?: string | undefined
  /** 0–9, 9 first. */
  readonly priority?: number | undefined
  readonly maxRetries?: number | undefined
  readonly softTimeLimitMs?: number | undefined
  readonly timeLimitMs?: number | undefined
  readonly ignoreResult?: boolean | undefined
  /**
   * A second call by an app of this name with the same key and task sends nothing and gives the first one's result,
   * `deduplicated`. Kept as long as results are, counted from when the task is due.
   */
  readonly idempotencyKey?: string | undefined
  /** @default a fresh UUIDv7 */
  readonly taskId?: string | undefined
  /** Custom headers, for the handler's `task.request.headers`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Who may see it: what the `authorize` hook is given. */
  readonly owner?: string | undefined
  readonly tags?: readonly string[] | undefined
  /** Ends the wait for the broker; what was handed over by then may be accepted all the same. */
  readonly signal?: AbortSignal | undefined
}
export type Tuple = readonly unknown[]
/** Any function of arguments and result. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyRun = (...args: any) => unknown

/** `Run` is the task as its caller sees it: `(...args) => result`, after the wire. */
export interface Task<Name extends string = string, Run extends AnyRun = AnyRun, St extends States = {}> {
  readonly name: Name
  /**
   * Resolves when the broker has taken responsibility.
   * @throws {InvalidArgumentError | EncodeError | MessageTooLargeError | BrokerConnectionError} before anything is sent.
   * @throws {PublishError}
   */
  delay(...args: Parameters<Run>): Promise<AsyncResult<ReturnType<Run>, St>>
  /** The same arguments as `delay`, in an array, then how to send them. */
  applyAsync(args: Readonly<Parameters<Run>>, options?: ApplyOptions): Promise<AsyncResult<ReturnType<Run>, St>>
  /** Many at once, one trip; results in the order given. @throws {PublishError} with `acceptedIds` and `rejectedIds`. */
  applyMany(
    batch: Iterable<Readonly<Parameters<Run>>>,
    options?: ApplyOptions,
  ): Promise<AsyncResult<ReturnType<Run>, St>[]>
  /** One sent earlier, by its id. */
  result(id: string): AsyncResult<ReturnType<Run>, St>
  /**
   * One attempt, here and now, without a broker: for tests and scripts. Rejects with what the handler threw, be it an
   * error or the signal of `task.retry()`, `ignore()` or `reject()`.
   * @throws {TaskNotImplementedError} when it was only declared.
   */
  run(...args: Parameters<Run>): Promise<ReturnType<Run>>
  /** Never set: carries the types. */
  readonly '~types'?: { readonly name: Name; readonly run: Run; readonly states: St } | undefined
}
/** A task known by name and types: written in Python, or in a file that only workers load. */
export interface DeclaredTask<
  Name extends string = string,
  Run extends AnyRun = AnyRun,
  St extends States = {},
  Out extends Tuple = Tuple,
> extends Task<Name, Run, St> {
  implement(handler: (task: TaskContext<St>, ...args: Out) => Awaitable<ReturnType<Run>>): Task<Name, Run, St>
}
export type AnyTask = Task<string, AnyRun, AnyStates>
export type ResultOf<T extends AnyTask> = ReturnType<NonNullable<T['~types']>['run']>
export type ArgsOf<T extends AnyTask> = Parameters<NonNullable<T['~types']>['run']>
export type StatesOf<T extends AnyTask> = NonNullable<T['~types']>['states']
type Awaitable<T> = T | PromiseLike<T>

type ParamNames<P extends Tuple> = { readonly [I in keyof P]: string }
export interface TaskOptions<A = never, K = never, P extends Tuple = Tuple, Sc = StateSchemas> {
  /** Positional arguments: a schema of a tuple. */
  readonly args?: A | undefined
  /** Keyword arguments: a schema of an object; the handler's last argument. */
  readonly kwargs?: K | undefined
  /** Wire names of the positional arguments, so that a caller's keyword arguments bind. */
  readonly params?: NoInfer<ParamNames<P>> | undefined
  /** Custom states this task reports, with the schema of what goes with each. */
  readonly states?: Sc | undefined
  /** For people: what a page shows instead of the name. */
  readonly title?: string | undefined
  readonly queue?: string | undefined
  /** 0–9, 9 first. */
  readonly priority?: number | undefined
  /** @default no retries */
  readonly retry?: RetryPolicy | undefined
  /** `task.signal` aborts after so many milliseconds. */
  readonly softTimeLimitMs?: number | undefined
  /** It is ended by force after so many milliseconds. */
  readonly timeLimitMs?: number | undefined
  /** Acknowledge after the result is kept, so that a lost worker's task runs again; false: before it runs. @default true */
  readonly acksLate?: boolean | undefined
  /** @default false */
  readonly ignoreResult?: boolean | undefined
  /** @default the app's `resultExpiresMs`. Not on rpc://, where the broker's policy says how long */
  readonly resultExpiresMs?: number | undefined
  /** `'private'`: what it returns is not for browsers, whatever their handles allow. */
  readonly result?: 'private' | undefined
}
export interface DeclareOptions<A = never, K = never, R = Schema, Sc = StateSchemas> extends Omit<
  TaskOptions<A, K, Tuple, Sc>,
  'params' | 'result'
> {
  readonly params?: readonly string[] | undefined
  readonly result?: R | undefined
}
export type StateSchemas = Readonly<Record<string, Schema>>
export type Metas<Sc> = Sc extends infer S ? { [K in keyof S]: InputOf<S[K]> } : never
export type TupleSchema = Schema<unknown, Tuple>
export type ObjectSchema = Schema<unknown, object>
/** What a handler gets, from the schemas; any arguments where there are none. */
export type HandlerArgs<A, K> = [A] extends [never]
  ? [K] extends [never]
    ? Tuple
    : readonly [kwargs: OutputOf<K>]
  : [K] extends [never]
    ? TupleOf<OutputOf<A>>
    : readonly [...TupleOf<OutputOf<A>>, kwargs: OutputOf<K>]
/** What a caller gives, from the schemas; else what the handler takes. */
export type CallArgs<A, K, P extends Tuple> = [A] extends [never]
  ? [K] extends [never]
    ? P
    : [kwargs: Kwargs<InputOf<K>>]
  : [K] extends [never]
    ? TupleOf<InputOf<A>>
    : [...TupleOf<InputOf<A>>, kwargs: Kwargs<InputOf<K>>]
type TupleOf<T> = Extract<T, Tuple>

// ── Tasks that live elsewhere ──────────────────────────────────────────────────────────────────────

/** The tasks among a module's exports, by wire name. */
export type Known<M> = {
  [K in keyof M as IsAny<M[K]> extends true ? never : M[K] extends AnyTask ? M[K]['name'] : never]: M[K]
}
type IsAny<T> = 0 extends 1 & T ? true : false
type Find<M, Name> = Name extends keyof Known<M> ? Extract<Known<M>[Name], AnyTask> : never
type SendArgs<A extends Tuple> = A extends readonly [...infer Positional, Kwargs<infer _>]
  ? '~kwargs' extends keyof Last<A>
    ? [args: Readonly<Positional>, kwargs: Last<A>, options?: ApplyOptions]
    : SendPositional<A>
  : SendPositional<A>
type Last<A extends Tuple> = A extends readonly [...Tuple, infer L] ? L : never
type SendPositional<A extends Tuple> = [] extends A
  ? [args?: Readonly<A>, kwargs?: NoKwargs, options?: ApplyOptions]
  : [args: Readonly<A>, kwargs?: NoKwargs, options?: ApplyOptions]
type NoKwargs = Readonly<Record<string, never>>
type UnknownArgs = [args?: Tuple, kwargs?: Readonly<Record<string, unknown>>, options?: ApplyOptions]
export type SendRest<M, Name> = [Find<M, Name>] extends [never] ? UnknownArgs : SendArgs<ArgsOf<Find<M, Name>>>
export type SendResult<M, Name> = [Find<M, Name>] extends [never]
  ? AsyncResult<unknown, States>
  : AsyncResult<ResultOf<Find<M, Name>>, StatesOf<Find<M, Name>>>

// ── For the browser ────────────────────────────────────────────────────────────────────────────────

/** A signed string: which task, what may be done with it, until when. Put it in JSON, in an attribute, in a URL. */
export type TaskHandle<T = unknown, St extends States = AnyStates> = string & {
  readonly '~handle'?: { readonly result: T; readonly states: St }
}
