/** The tasks an app knows: what was defined, where, and what was defined twice. */
import { InvalidArgumentError, describe } from '../core/errors.ts'
import { resolveRetryPolicy } from '../core/retry.ts'
import type { ResolvedRetryPolicy, RetryPolicy } from '../core/retry.ts'
import { assertInteger, assertMs, assertOptionNames, assertText, assertTexts, longestDelayMs } from './options.ts'
import type { ObjectSchema, StateSchemas, TaskContext, TupleSchema } from './types.ts'
import type { Schema } from './schema.ts'

/** A handler as it is kept: its types are the task object's business. */
export type Handler = (task: TaskContext, ...args: readonly unknown[]) => unknown

/** A task's options with nothing left open but what has no default. */
interface ResolvedTaskOptions {
  readonly title: string | undefined
  readonly queue: string | undefined
  readonly priority: number | undefined
  /** Undefined: none was given; then an error is not retried, and `task.retry()` has Celery's default. */
  readonly retry: ResolvedRetryPolicy | undefined
  readonly retryOn: ((error: unknown) => boolean) | undefined
  readonly softTimeLimitMs: number | undefined
  readonly timeLimitMs: number | undefined
  readonly acksLate: boolean
  readonly ignoreResult: boolean
  readonly resultExpiresMs: number | undefined
  readonly isResultPrivate: boolean
}

export interface TaskDefinition {
  readonly name: string
  readonly options: ResolvedTaskOptions
  /** Undefined: declared and not (yet) implemented. */
  readonly handler: Handler | undefined
  readonly params: readonly string[] | undefined
  readonly argsSchema: TupleSchema | undefined
  readonly kwargsSchema: ObjectSchema | undefined
  readonly resultSchema: Schema | undefined
  readonly stateSchemas: StateSchemas | undefined
  /** `file:line:column` of the definition, read from a stack when asked for. */
  readonly site: () => string
}

/** A name with more than one definition, and where they are. */
export interface Duplicate {
  readonly name: string
  /** `file:line:column` of each. */
  readonly files: readonly string[]
}

/** What `app.task` and `app.declareTask` hand over, as users wrote it. */
export interface GivenOptions {
  readonly args?: TupleSchema | undefined
  readonly kwargs?: ObjectSchema | undefined
  readonly params?: readonly string[] | undefined
  readonly states?: StateSchemas | undefined
  readonly result?: Schema | 'private' | undefined
  readonly title?: string | undefined
  readonly queue?: string | undefined
  readonly priority?: number | undefined
  readonly retry?: RetryPolicy | undefined
  readonly softTimeLimitMs?: number | undefined
  readonly timeLimitMs?: number | undefined
  readonly acksLate?: boolean | undefined
  readonly ignoreResult?: boolean | undefined
  readonly resultExpiresMs?: number | undefined
}

interface Entry {
  definition: TaskDefinition
  /** One `site` for every definition with a handler, in order. */
  readonly sites: (() => string)[]
}

export class TaskRegistry {
  readonly #tasks = new Map<string, TaskDefinition>()
  readonly #entries = new Map<string, Entry>()

  get tasks(): ReadonlyMap<string, TaskDefinition> {
    return this.#tasks
  }

  /** The last definition of a name wins; `duplicates` tells of the others. */
  add(definition: TaskDefinition): TaskDefinition {
    this.#tasks.set(definition.name, definition)
    const entry = this.#entries.get(definition.name) ?? { definition, sites: [] }
    entry.definition = definition
    entry.sites.push(definition.site)
    this.#entries.set(definition.name, entry)
    return definition
  }

  /** Gives a declared task its handler. A declaration and its implementation are one definition, two implementations are two. */
  implement(declared: TaskDefinition, handler: Handler, site: () => string): TaskDefinition {
    const before = this.#tasks.get(declared.name)
    const entry = this.#entries.get(declared.name)
    if (before?.handler === undefined && entry !== undefined) entry.sites.pop()
    return this.add({ ...declared, handler, site })
  }

  /** The definitions that clash. The same place seen twice (hot reload) is none. */
  duplicates(): readonly Duplicate[] {
    const found: Duplicate[] = []
    for (const [name, { sites }] of this.#entries) {
      const places = sites.length < 2 ? [] : [...new Set(sites.map(site => site()))]
      if (places.length > 1) found.push({ name, files: places })
    }
    return found
  }
}

/** The options every task takes. */
const taskOptionNames: readonly string[] = [
  'args',
  'kwargs',
  'params',
  'states',
  'title',
  'queue',
  'priority',
  'retry',
  'softTimeLimitMs',
  'timeLimitMs',
  'acksLate',
  'ignoreResult',
  'resultExpiresMs',
  'result',
]
const retryNames: readonly string[] = ['max', 'backoff', 'delayMs', 'maxDelayMs', 'jitter', 'on']

/** @throws {InvalidArgumentError} naming task, option and value. */
export function createDefinition(
  name: string,
  given: GivenOptions,
  parts: { readonly handler?: Handler; readonly site: () => string },
): TaskDefinition {
  assertTaskName(name)
  assertTaskOptions(name, given, parts.handler === undefined)
  return {
    name,
    options: resolveTaskOptions(given),
    handler: parts.handler,
    params: given.params,
    argsSchema: given.args,
    kwargsSchema: given.kwargs,
    resultSchema: given.result === 'private' ? undefined : given.result,
    stateSchemas: given.states,
    site: parts.site,
  }
}

/** @throws {InvalidArgumentError} */
export function assertTaskName(name: unknown): void {
  if (name === undefined) throw new InvalidArgumentError('A task needs a name, such as "shop.exportOrders"')
  assertText('The name of a task', name)
}

function resolveTaskOptions(given: GivenOptions): ResolvedTaskOptions {
  return {
    title: given.title,
    queue: given.queue,
    priority: given.priority,
    retry: given.retry === undefined ? undefined : resolveRetryPolicy(given.retry),
    retryOn: given.retry?.on,
    softTimeLimitMs: given.softTimeLimitMs,
    timeLimitMs: given.timeLimitMs,
    acksLate: given.acksLate ?? true,
    ignoreResult: given.ignoreResult ?? false,
    resultExpiresMs: given.resultExpiresMs,
    isResultPrivate: given.result === 'private',
  }
}

function assertTaskOptions(name: string, given: GivenOptions, isDeclared: boolean): void {
  assertOptionNames(name, given, taskOptionNames)
  assertText(`${name}: queue`, given.queue)
  assertInteger(`${name}: priority`, given.priority, { min: 0, max: 9 })
  assertMs(`${name}: softTimeLimitMs`, given.softTimeLimitMs)
  assertMs(`${name}: timeLimitMs`, given.timeLimitMs)
  assertMs(`${name}: resultExpiresMs`, given.resultExpiresMs)
  assertTexts(`${name}: params`, given.params)
  assertRetry(`${name}: retry`, given.retry)
  assertSchema(`${name}: args`, given.args)
  assertSchema(`${name}: kwargs`, given.kwargs)
  assertResult(`${name}: result`, given.result, isDeclared)
  for (const [state, schema] of Object.entries(given.states ?? {})) assertSchema(`${name}: states.${state}`, schema)
}

function assertRetry(where: string, policy: RetryPolicy | undefined): void {
  if (policy === undefined) return
  if (typeof policy !== 'object')
    throw new InvalidArgumentError(`${where} is ${describe(policy)}: expected an object such as { max: 3 }`)
  assertOptionNames(where, policy, retryNames)
  if (policy.max === undefined)
    throw new InvalidArgumentError(`${where} says no max: how many retries after the first attempt?`)
  assertInteger(`${where}.max`, policy.max, { min: 0, max: Number.MAX_SAFE_INTEGER })
  assertMs(`${where}.delayMs`, policy.delayMs, longestDelayMs)
  assertMs(`${where}.maxDelayMs`, policy.maxDelayMs, longestDelayMs)
  if (policy.backoff === undefined || policy.backoff === 'fixed' || policy.backoff === 'exponential') return
  throw new InvalidArgumentError(`${where}.backoff is ${describe(policy.backoff)}: expected "fixed" or "exponential"`)
}

/** A schema says what another program's task returns; of a task defined here the handler says it. */
function assertResult(where: string, result: GivenOptions['result'], isDeclared: boolean): void {
  if (result === 'private') return
  if (isDeclared) return assertSchema(where, result)
  if (result !== undefined) throw new InvalidArgumentError(`${where} is ${describe(result)}: expected "private"`)
}

function assertSchema(where: string, schema: Schema | undefined): void {
  if (schema === undefined || typeof schema['~standard']?.validate === 'function') return
  throw new InvalidArgumentError(
    `${where} is no schema: expected one of a Standard Schema library (zod ≥ 3.24, valibot, arktype), or unchecked<T>()`,
  )
}

/** Where the caller of the function that calls this stands: captured now, which is cheap, and read when asked for, which is not. */
export function definitionSite(): () => string {
  const captured: { stack?: string } = {}
  Error.captureStackTrace(captured, definitionSite)
  return () => {
    // the first line is the error's, the second that of the function that asked
    const line = captured.stack?.split('\n')[2] ?? ''
    const place = line.replace(/^\s*at (?:.*\()?(?:file:\/\/)?/, '').replace(/\)$/, '')
    // a query is the mark of a reload: the place is the same
    return place.replace(/\?[^:]*/, '') || 'an unknown place'
  }
}
