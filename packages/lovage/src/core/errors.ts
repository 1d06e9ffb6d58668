/**
 * Every error Lovage throws, in one registry. A class has one `code`; a code has a page in docs/errors.md.
 * `instanceof` works across copies of this package and across threads: it asks for the brand, not the prototype.
 */

const brand = Symbol.for('lovage.error')

export interface ErrorOptions {
  readonly cause?: unknown
  /** Facts for programs: the value, the file, the ids. Never secrets. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/** The base of all of them. `code` is stable; the message says what happened, with which value, and what to do. */
export class LovageError extends Error {
  readonly code: string = 'E_LOVAGE'
  readonly details: Readonly<Record<string, unknown>>
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean = false
  override readonly name: string

  constructor(message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.details = options.details ?? {}
    Object.defineProperty(this, brand, { value: codeOf(new.target) ?? 'E_LOVAGE' })
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false
    const code: unknown = Reflect.get(value, brand)
    if (typeof code !== 'string') return false
    if (this === LovageError) return true
    // a user's subclass has no code of its own: only the prototype tells it from its siblings
    return Object.hasOwn(this, 'code') ? codeOf(this) === code : super[Symbol.hasInstance](value)
  }
}

/** The code a class stands for; undefined for the base, which stands for all. */
function codeOf(type: { readonly prototype: object }): string | undefined {
  return (type as { readonly code?: string }).code
}

// ── Usage: the programmer's, before any I/O ─────────────────────────────────────────────────────────

/** An option, a variable or a file of configuration cannot be used. */
export class ConfigurationError extends LovageError {
  static readonly code: string = 'E_CONFIG'
  override readonly code: string = 'E_CONFIG'
}
/** Two definitions of one task name reached a worker. */
export class TaskAlreadyRegisteredError extends LovageError {
  static readonly code: string = 'E_TASK_ALREADY_REGISTERED'
  override readonly code: string = 'E_TASK_ALREADY_REGISTERED'
}
/** No task of that name is known here. */
export class TaskNotRegisteredError extends LovageError {
  static readonly code: string = 'E_TASK_NOT_REGISTERED'
  override readonly code: string = 'E_TASK_NOT_REGISTERED'
}
/** The task was declared, but no file loaded here implements it. */
export class TaskNotImplementedError extends LovageError {
  static readonly code: string = 'E_TASK_NOT_IMPLEMENTED'
  override readonly code: string = 'E_TASK_NOT_IMPLEMENTED'
}
export interface InvalidArgumentIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}
/** An argument or option is not what the task or call takes. */
export class InvalidArgumentError extends LovageError {
  static readonly code: string = 'E_INVALID_ARGUMENT'
  override readonly code: string = 'E_INVALID_ARGUMENT'
  readonly issues: readonly InvalidArgumentIssue[]
  constructor(
    message: string,
    options: ErrorOptions & { readonly issues?: readonly InvalidArgumentIssue[] | undefined } = {},
  ) {
    super(message, options)
    this.issues = options.issues ?? []
  }
}
/** A call that this object's state does not allow: used after close, settled twice. */
export class IllegalStateError extends LovageError {
  static readonly code: string = 'E_ILLEGAL_STATE'
  override readonly code: string = 'E_ILLEGAL_STATE'
}
/** The driver in use cannot do this; the message names one that can. */
export class UnsupportedError extends LovageError {
  static readonly code: string = 'E_UNSUPPORTED'
  override readonly code: string = 'E_UNSUPPORTED'
}
/** A task file is missing, does not load, or throws on import. */
export class AppLoadError extends LovageError {
  static readonly code: string = 'E_APP_LOAD'
  override readonly code: string = 'E_APP_LOAD'
}

// ── Transport: callers of publish and consume ───────────────────────────────────────────────────────

/** The broker refused or failed. */
export class BrokerError extends LovageError {
  static readonly code: string = 'E_BROKER'
  override readonly code: string = 'E_BROKER'
}
/** The broker cannot be reached. */
export class BrokerConnectionError extends LovageError {
  static readonly code: string = 'E_BROKER_CONNECTION'
  override readonly code: string = 'E_BROKER_CONNECTION'
  override readonly retryable: boolean = true
}
/** The broker did not answer in time: the message may or may not have been taken. */
export class BrokerTimeoutError extends LovageError {
  static readonly code: string = 'E_BROKER_TIMEOUT'
  override readonly code: string = 'E_BROKER_TIMEOUT'
  override readonly retryable: boolean = true
}
/** A message was not accepted. `accepted` says whether it may be in the queue all the same. */
export class PublishError extends LovageError {
  static readonly code: string = 'E_PUBLISH'
  override readonly code: string = 'E_PUBLISH'
  override readonly retryable: boolean = true
  /** `'no'`: certainly not queued. `'unknown'`: it may be; sent again with the same id it is the same task, which may run twice. */
  readonly accepted: 'no' | 'unknown'
  /** Of a batch: the ids that were taken, and those that were not. */
  readonly acceptedIds: readonly string[]
  readonly rejectedIds: readonly string[]
  constructor(
    message: string,
    options: ErrorOptions & {
      readonly accepted: 'no' | 'unknown'
      readonly acceptedIds?: readonly string[]
      readonly rejectedIds?: readonly string[]
    },
  ) {
    super(message, options)
    this.accepted = options.accepted
    this.acceptedIds = options.acceptedIds ?? []
    this.rejectedIds = options.rejectedIds ?? []
  }
}
/** Body or headers are over the limit. */
export class MessageTooLargeError extends LovageError {
  static readonly code: string = 'E_MESSAGE_TOO_LARGE'
  override readonly code: string = 'E_MESSAGE_TOO_LARGE'
}
/** The delivery is no longer this worker's: its lease ended and someone else has it, or will. */
export class DeliveryLostError extends LovageError {
  static readonly code: string = 'E_DELIVERY_LOST'
  override readonly code: string = 'E_DELIVERY_LOST'
}
/** Why a database file cannot be used. */
export type StorageReason =
  | 'missing'
  | 'read-only'
  | 'full'
  | 'network'
  | 'not-a-database'
  | 'corrupt'
  | 'newer-version'
  | 'unsound-library'
  | 'busy'
  | 'refused'
  | 'failed'
/** The embedded store's file cannot be opened, read or written. `reason` says why in one word. */
export class StorageError extends LovageError {
  static readonly code: string = 'E_STORAGE'
  override readonly code: string = 'E_STORAGE'
  readonly reason: StorageReason
  override readonly retryable: boolean
  constructor(message: string, options: ErrorOptions & { readonly reason: StorageReason }) {
    super(message, options)
    this.reason = options.reason
    this.retryable = options.reason === 'full' || options.reason === 'busy'
  }
}

const refusals: ReadonlySet<string> = new Set([
  InvalidArgumentError.code,
  UnsupportedError.code,
  MessageTooLargeError.code,
  'E_ENCODE',
])

/** Whether a write failed for what it holds: no repeat of it can succeed. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof LovageError)) return false
  return refusals.has(error.code) || (error instanceof StorageError && error.reason === 'refused')
}

// ── Protocol: the message itself ────────────────────────────────────────────────────────────────────

/** A message or a value on the wire cannot be read. */
export class DecodeError extends LovageError {
  static readonly code: string = 'E_DECODE'
  override readonly code: string = 'E_DECODE'
}
/** A value cannot travel: it would come back as something else. Names the path. */
export class EncodeError extends LovageError {
  static readonly code: string = 'E_ENCODE'
  override readonly code: string = 'E_ENCODE'
}
/** The content type is refused (pickle and yaml always are). */
export class ContentDisallowedError extends LovageError {
  static readonly code: string = 'E_CONTENT_DISALLOWED'
  override readonly code: string = 'E_CONTENT_DISALLOWED'
}

// ── Task outcomes: whoever waits for the result ─────────────────────────────────────────────────────

/** The task ended in FAILURE; what was thrown there, by name, because the class may not exist here. */
export class TaskFailedError extends LovageError {
  static readonly code: string = 'E_TASK_FAILED'
  override readonly code: string = 'E_TASK_FAILED'
  readonly taskId: string
  /** The name of what was thrown: `TypeError`, `ValueError`, … */
  readonly remoteType: string
  readonly remoteMessage: string
  readonly remoteTraceback: string | undefined
  constructor(
    message: string,
    options: ErrorOptions & {
      readonly taskId: string
      readonly remoteType: string
      readonly remoteMessage: string
      readonly remoteTraceback?: string | undefined
    },
  ) {
    super(message, options)
    this.taskId = options.taskId
    this.remoteType = options.remoteType
    this.remoteMessage = options.remoteMessage
    this.remoteTraceback = options.remoteTraceback
  }
}
/**
 * What a task throws to tell the person at the page: `throw new PublicError('This file is empty')`. Its message is shown
 * there as it is; every other error is shown as a reference that stands in the worker's log. Retried as any error is.
 */
export class PublicError extends LovageError {
  static readonly code: string = 'E_PUBLIC'
  override readonly code: string = 'E_PUBLIC'
  override readonly retryable: boolean = true
}
/** The task was revoked before or while it ran, or expired before it started. */
export class TaskRevokedError extends LovageError {
  static readonly code: string = 'E_TASK_REVOKED'
  override readonly code: string = 'E_TASK_REVOKED'
  readonly taskId: string
  constructor(message: string, options: ErrorOptions & { readonly taskId: string }) {
    super(message, options)
    this.taskId = options.taskId
  }
}
/** The soft time limit passed: what `task.signal` aborts with. Celery's name. */
export class SoftTimeLimitExceeded extends LovageError {
  static readonly code: string = 'E_SOFT_TIME_LIMIT'
  override readonly code: string = 'E_SOFT_TIME_LIMIT'
}
/** The hard time limit passed and the task was ended. Celery's name. */
export class TimeLimitExceeded extends LovageError {
  static readonly code: string = 'E_TIME_LIMIT'
  override readonly code: string = 'E_TIME_LIMIT'
}
/** The retries are used up. Celery's name. */
export class MaxRetriesExceededError extends LovageError {
  static readonly code: string = 'E_MAX_RETRIES'
  override readonly code: string = 'E_MAX_RETRIES'
}
/** The process that ran the task died. Celery's name. */
export class WorkerLostError extends LovageError {
  static readonly code: string = 'E_WORKER_LOST'
  override readonly code: string = 'E_WORKER_LOST'
}
/** The worker is stopping: what `task.signal` aborts with on a cold stop; the task will run again elsewhere. */
export class ShutdownError extends LovageError {
  static readonly code: string = 'E_SHUTDOWN'
  override readonly code: string = 'E_SHUTDOWN'
}

// ── Results ─────────────────────────────────────────────────────────────────────────────────────────

/** The result store refused or failed. */
export class ResultStoreError extends LovageError {
  static readonly code: string = 'E_RESULT_STORE'
  override readonly code: string = 'E_RESULT_STORE'
  override readonly retryable: boolean = true
}
/** No final state within the time given. `known` is false when no task of that id was ever seen. */
export class ResultTimeoutError extends LovageError {
  static readonly code: string = 'E_RESULT_TIMEOUT'
  override readonly code: string = 'E_RESULT_TIMEOUT'
  readonly taskId: string
  readonly known: boolean
  constructor(message: string, options: ErrorOptions & { readonly taskId: string; readonly known: boolean }) {
    super(message, options)
    this.taskId = options.taskId
    this.known = options.known
  }
}

/** One line per code, compared with docs/errors.md by a test. */
export const errorRegistry: Readonly<
  Record<string, { readonly class: string; readonly retryable: boolean | 'depends'; readonly summary: string }>
> = {
  E_CONFIG: { class: 'ConfigurationError', retryable: false, summary: 'A setting cannot be used' },
  E_TASK_ALREADY_REGISTERED: {
    class: 'TaskAlreadyRegisteredError',
    retryable: false,
    summary: 'Two definitions of one task name',
  },
  E_TASK_NOT_REGISTERED: {
    class: 'TaskNotRegisteredError',
    retryable: false,
    summary: 'No task of that name is known here',
  },
  E_TASK_NOT_IMPLEMENTED: {
    class: 'TaskNotImplementedError',
    retryable: false,
    summary: 'Declared, but implemented by no file loaded here',
  },
  E_INVALID_ARGUMENT: {
    class: 'InvalidArgumentError',
    retryable: false,
    summary: 'An argument or option is not what is taken',
  },
  E_ILLEGAL_STATE: { class: 'IllegalStateError', retryable: false, summary: 'A call the present state does not allow' },
  E_UNSUPPORTED: { class: 'UnsupportedError', retryable: false, summary: 'The driver in use cannot do this' },
  E_APP_LOAD: { class: 'AppLoadError', retryable: false, summary: 'A task file cannot be loaded' },
  E_BROKER: { class: 'BrokerError', retryable: false, summary: 'The broker refused or failed' },
  E_BROKER_CONNECTION: { class: 'BrokerConnectionError', retryable: true, summary: 'The broker cannot be reached' },
  E_BROKER_TIMEOUT: { class: 'BrokerTimeoutError', retryable: true, summary: 'The broker did not answer in time' },
  E_PUBLISH: { class: 'PublishError', retryable: true, summary: 'A message was not accepted' },
  E_MESSAGE_TOO_LARGE: {
    class: 'MessageTooLargeError',
    retryable: false,
    summary: 'Body or headers are over the limit',
  },
  E_DELIVERY_LOST: {
    class: 'DeliveryLostError',
    retryable: false,
    summary: 'The delivery belongs to another worker now',
  },
  E_STORAGE: { class: 'StorageError', retryable: 'depends', summary: 'The embedded store cannot be used' },
  E_DECODE: { class: 'DecodeError', retryable: false, summary: 'A message or value cannot be read' },
  E_ENCODE: { class: 'EncodeError', retryable: false, summary: 'A value cannot travel' },
  E_CONTENT_DISALLOWED: { class: 'ContentDisallowedError', retryable: false, summary: 'The content type is refused' },
  E_TASK_FAILED: { class: 'TaskFailedError', retryable: false, summary: 'The task ended in FAILURE' },
  E_PUBLIC: { class: 'PublicError', retryable: true, summary: 'A failure told to the person at the page' },
  E_TASK_REVOKED: { class: 'TaskRevokedError', retryable: false, summary: 'The task was revoked or expired' },
  E_SOFT_TIME_LIMIT: { class: 'SoftTimeLimitExceeded', retryable: false, summary: 'The soft time limit passed' },
  E_TIME_LIMIT: { class: 'TimeLimitExceeded', retryable: false, summary: 'The hard time limit passed' },
  E_MAX_RETRIES: { class: 'MaxRetriesExceededError', retryable: false, summary: 'The retries are used up' },
  E_WORKER_LOST: { class: 'WorkerLostError', retryable: false, summary: 'The process that ran the task died' },
  E_SHUTDOWN: { class: 'ShutdownError', retryable: false, summary: 'The worker is stopping' },
  E_RESULT_STORE: { class: 'ResultStoreError', retryable: true, summary: 'The result store refused or failed' },
  E_RESULT_TIMEOUT: { class: 'ResultTimeoutError', retryable: false, summary: 'No final state within the time given' },
}

/** Where a code is explained: in the package, and in the repository without its first part. */
export function errorPage(code: string): string {
  return `lovage/docs/errors.md#${code.toLowerCase()}`
}

/** What a task threw, whatever it is, as an Error. */
export function coerceError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  if (typeof thrown === 'object' && thrown !== null && 'message' in thrown && typeof thrown.message === 'string') {
    const error = new Error(thrown.message)
    if ('name' in thrown && typeof thrown.name === 'string') error.name = thrown.name
    return error
  }
  return new Error(typeof thrown === 'string' ? thrown : `A value that is no Error was thrown: ${describe(thrown)}`)
}

/** A value for an error message: what it is, 80 characters at most, never throwing. */
export function describe(value: unknown): string {
  let text: string
  try {
    text =
      typeof value === 'bigint'
        ? `${value}n`
        : isUnspeakable(value)
          ? String(value)
          : typeof value === 'function'
            ? `function ${value.name}`
            : (JSON.stringify(value) ?? String(value))
  } catch {
    text = Object.prototype.toString.call(value)
  }
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

/** Values for which JSON says `null`: NaN, the infinities, a Date that is none. */
function isUnspeakable(value: unknown): boolean {
  return typeof value === 'number' ? !Number.isFinite(value) : value instanceof Date && Number.isNaN(value.getTime())
}
