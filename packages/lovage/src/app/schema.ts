/** Standard Schema v1, the part that is read: any library that speaks it can check arguments. Nothing to install. */
import { describe, InvalidArgumentError } from '../core/errors.ts'
import { isSecretKey, redacted, redactText } from '../core/redact.ts'

/** A schema of any Standard Schema library: zod, valibot, arktype, … `In` is what a caller gives, `Out` what a handler gets. */
export interface Schema<In = unknown, Out = In> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>
    readonly types?: { readonly input: In; readonly output: Out } | undefined
  }
}
export type SchemaResult<Out> =
  { readonly value: Out; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}
export type InputOf<S> = S extends {
  readonly '~standard': { readonly types?: { readonly input: infer In } | undefined }
}
  ? In
  : never
export type OutputOf<S> = S extends {
  readonly '~standard': { readonly types?: { readonly output: infer Out } | undefined }
}
  ? Out
  : never

/**
 * A schema that checks nothing: types without a validation library. The value is taken on trust.
 * @example
 * app.task('shop.export', { kwargs: unchecked<{ month: string }>() }, (_task, { month }) => month)
 */
export function unchecked<T>(): Schema<T, T> {
  return { '~standard': { version: 1, vendor: 'lovage', validate: value => ({ value: value as T }) } }
}

/** What is being checked, for the error message. */
export interface CheckedValue {
  readonly task: string
  /** `args`: the value is the list of positional arguments; `kwargs`: the object of keyword arguments. */
  readonly part: 'args' | 'kwargs'
}

/**
 * The schema's output for `value`; a promise only where the schema is asynchronous.
 * @throws {InvalidArgumentError} naming task, argument, value and issue; also as the promise's rejection.
 */
export function validate(schema: Schema, value: unknown, checked: CheckedValue): unknown {
  const result = schema['~standard'].validate(value)
  return result instanceof Promise
    ? result.then(later => outputOf(later, value, checked))
    : outputOf(result, value, checked)
}

function outputOf(result: SchemaResult<unknown>, value: unknown, checked: CheckedValue): unknown {
  if (result.issues === undefined) return result.value
  throw new InvalidArgumentError(renderIssues(result.issues, value, checked), {
    issues: result.issues,
    details: { task: checked.task, part: checked.part },
  })
}

/** More than this many issues say nothing new. */
const shownIssues = 3

/** `core.tasks.loop: argument 1 ("abc"): expected number, received NaN`. */
function renderIssues(issues: readonly SchemaIssue[], value: unknown, checked: CheckedValue): string {
  const shown = issues.slice(0, shownIssues).map(issue => renderIssue(issue, value, checked.part))
  const more = issues.length > shownIssues ? `; and ${issues.length - shownIssues} more` : ''
  return `${checked.task}: ${shown.join('; ')}${more}`
}

function renderIssue(issue: SchemaIssue, value: unknown, part: 'args' | 'kwargs'): string {
  const path = (issue.path ?? []).map(segment => (typeof segment === 'object' ? segment.key : segment))
  const message = issue.message.replace(/^Invalid input: /, '')
  return `${renderPath(path, part)} (${renderValue(valueAt(value, path), path)}): ${message}`
}

function renderPath(path: readonly PropertyKey[], part: 'args' | 'kwargs'): string {
  const [first, ...rest] = path
  if (first === undefined) return part === 'args' ? 'arguments' : 'keyword arguments'
  const head = part === 'args' ? `argument ${Number(first) + 1}` : `argument "${String(first)}"`
  return head + rest.map(key => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = (at as Readonly<Record<PropertyKey, unknown>>)[key]
  }
  return at
}

/** A value under a name that sounds like a secret is not shown, wherever in the value it stands. */
function renderValue(value: unknown, path: readonly PropertyKey[]): string {
  if (path.some(key => isSecretKey(String(key)))) return redacted
  return redactText(typeof value === 'object' && value !== null ? describe(withoutSecrets(value)) : describe(value))
}

/** A copy three levels deep, of 20 items each: more than 80 characters show. */
function withoutSecrets(value: object, depth = 0): unknown {
  if (depth > 2) return '…'
  const clean = (key: string, item: unknown): unknown => {
    if (isSecretKey(key)) return redacted
    return typeof item === 'object' && item !== null && !(item instanceof Date) ? withoutSecrets(item, depth + 1) : item
  }
  if (Array.isArray(value)) return value.slice(0, 20).map(item => clean('', item))
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, 20)
      .map(([key, item]) => [key, clean(key, item)]),
  )
}
