/**
 * What was thrown ⇄ Celery's exception document, `{"exc_type":"ValueError","exc_message":["boom"],"exc_module":"builtins"}`.
 * It is data in both directions: no name from the wire ever becomes code here.
 */
import type { ErrorDocument } from '../core/record.ts'
import { coerceError, describe, LovageError, PublicError } from '../core/errors.ts'
import { redactText } from '../core/redact.ts'
import { argsRepr, valueRepr } from './repr.ts'

const maxMessageBytes = 8 * 1024
const maxTracebackBytes = 64 * 1024
/** Causes of causes of causes. */
const maxCauses = 8

/** Celery's form, as it stands in a result document. */
export interface CeleryException {
  readonly exc_type: string
  readonly exc_message: readonly unknown[]
  readonly exc_module: string
}

export interface ErrorDocumentOptions {
  /** @default what the error's class says; true for what is not ours. */
  readonly retryable?: boolean | undefined
  /** @default whether it is a PublicError. */
  readonly isPublic?: boolean | undefined
  /** RETRY: epoch milliseconds of the next attempt. */
  readonly retryAt?: number | undefined
  /** REVOKED only. */
  readonly reason?: ErrorDocument['reason']
}

/** Of any thrown value, an Error or not; never throws. Message and stack are capped, secrets by their looks hidden. */
export function errorDocument(thrown: unknown, options: ErrorDocumentOptions = {}): ErrorDocument {
  const error = safely(() => coerceError(thrown), new Error('A value that cannot be read was thrown'))
  const traceback = safely(() => tracebackOf(error), '')
  return {
    type: safely(() => typeName(error), 'Error'),
    message: cut(redactText(safely(() => String(error.message), '').slice(0, maxMessageBytes * 2)), maxMessageBytes),
    ...(traceback === '' ? {} : { traceback: cut(redactText(traceback), maxTracebackBytes) }),
    retryable: options.retryable ?? isRetryable(error),
    ...((options.isPublic ?? error instanceof PublicError) ? { isPublic: true } : {}),
    ...(options.retryAt === undefined ? {} : { retryAt: options.retryAt }),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  }
}

/** Getters and `toString` of what was thrown are strangers' code. */
function safely<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}

const longestName = 255

/** A subclass that does not set its `name` is known by its class. */
function typeName(error: Error): string {
  const name = error.name === 'Error' ? error.constructor.name : error.name
  return typeof name === 'string' && name !== '' ? name.slice(0, longestName) : 'Error'
}

/** The stack, and those of its causes, as Node prints them; not more than is kept. */
function tracebackOf(error: Error): string {
  let traceback = ''
  let next: unknown = error
  for (let depth = 0; depth < maxCauses && next instanceof Error && traceback.length < maxTracebackBytes; depth++) {
    const stack = String(next.stack ?? `${next.name}: ${next.message}`).slice(0, maxTracebackBytes * 2)
    traceback += depth === 0 ? stack : `\n[cause]: ${stack}`
    next = next.cause
  }
  return traceback
}

/** With the same arguments they would come again. */
const lastingCodes: ReadonlySet<string> = new Set(
  (
    'E_CONFIG E_TASK_ALREADY_REGISTERED E_TASK_NOT_REGISTERED E_TASK_NOT_IMPLEMENTED E_INVALID_ARGUMENT E_ILLEGAL_STATE ' +
    'E_UNSUPPORTED E_APP_LOAD E_MESSAGE_TOO_LARGE E_DECODE E_ENCODE E_CONTENT_DISALLOWED E_MAX_RETRIES E_TASK_REVOKED'
  ).split(' '),
)

function isRetryable(error: Error): boolean {
  return !(error instanceof LovageError && lastingCodes.has(error.code))
}

/** By bytes of UTF-8, between characters, with a word on what is missing. */
function cut(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text.toWellFormed()
  const marker = `… [cut at ${maxBytes} bytes]`
  const kept = Buffer.from(text.slice(0, maxBytes)).subarray(0, maxBytes - Buffer.byteLength(marker))
  return kept.toString('utf8').replace(/�+$/, '') + marker
}

/** Where a Python client finds the class of a name; it looks only into modules it has imported. */
const moduleNames: readonly (readonly [module: string, names: string])[] = [
  [
    'celery.exceptions',
    'TaskRevokedError MaxRetriesExceededError NotRegistered ChordError Ignore Reject Retry ImproperlyConfigured ' +
      'AlreadyRegistered TaskError InvalidTaskError BackendError',
  ],
  ['billiard.exceptions', 'TimeLimitExceeded SoftTimeLimitExceeded WorkerLostError Terminated'],
  ['kombu.exceptions', 'EncodeError DecodeError ContentDisallowed OperationalError'],
  [
    'builtins',
    'BaseException Exception ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError BufferError ' +
      'ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError EOFError ' +
      'FileExistsError FileNotFoundError FloatingPointError ImportError IndentationError IndexError InterruptedError ' +
      'IsADirectoryError KeyError KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError ' +
      'NotADirectoryError NotImplementedError OSError OverflowError PermissionError ProcessLookupError RecursionError ' +
      'ReferenceError RuntimeError StopAsyncIteration StopIteration SyntaxError SystemError SystemExit TimeoutError ' +
      'TypeError UnicodeDecodeError UnicodeEncodeError UnicodeError ValueError ZeroDivisionError',
  ],
]

const modules: ReadonlyMap<string, string> = new Map(
  moduleNames.flatMap(([module, names]) => names.split(' ').map(name => [name, module])),
)

/** Ours that have another name there. */
const celeryNames: ReadonlyMap<string, string> = new Map([
  ['TaskNotRegisteredError', 'NotRegistered'],
  ['TaskAlreadyRegisteredError', 'AlreadyRegistered'],
  ['ConfigurationError', 'ImproperlyConfigured'],
  ['ContentDisallowedError', 'ContentDisallowed'],
])

/** The module of what Python has no class for: it makes one up of the same name. */
const ourModule = 'lovage'

/** As a Celery client reads it: it raises the class of that name where it has one. */
export function toCeleryException(document: ErrorDocument): CeleryException {
  const named = celeryNames.get(document.type) ?? document.type
  // Python walks the dots of a name
  const type = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/.test(named) ? named : 'Error'
  return {
    exc_type: type,
    exc_message: document.message === '' ? [] : [document.message],
    exc_module: document.module ?? modules.get(type) ?? ourModule,
  }
}

const reasons = ['revoked', 'terminated', 'expired'] as const

/** Of whatever stands in a failed result; a shape nobody knows is told as it is. Never throws. */
export function fromCeleryException(value: unknown, traceback?: string | null): ErrorDocument {
  const { exc_type: type, exc_message: message, exc_module: module } = isMap(value) ? value : {}
  const name = typeof type === 'string' && type !== '' ? type.slice(0, longestName) : 'Exception'
  const text = cut(typeof type === 'string' ? messageOf(name, message) : describe(value), maxMessageBytes)
  const reason = name === 'TaskRevokedError' ? reasons.find(word => word === text) : undefined
  return {
    type: name,
    ...(typeof module === 'string' && module !== ourModule ? { module: module.slice(0, longestName) } : {}),
    message: text,
    ...(typeof traceback === 'string' && traceback !== '' ? { traceback: cut(traceback, maxTracebackBytes) } : {}),
    retryable: !lastingNames.has(name),
    // a Python task says it by the name of its class
    ...(name === 'PublicError' ? { isPublic: true } : {}),
    ...(reason === undefined ? {} : { reason }),
  }
}

const lastingNames: ReadonlySet<string> = new Set([
  'NotRegistered',
  'MaxRetriesExceededError',
  'TaskRevokedError',
  'ContentDisallowed',
  'DecodeError',
  'EncodeError',
  'InvalidArgumentError',
])

/** As Python's `str(error)`: the only argument, or all of them as a tuple. */
function messageOf(type: string, args: unknown): string {
  if (!Array.isArray(args)) return typeof args === 'string' ? args : valueRepr(args)
  if (args.length === 0) return ''
  const only: unknown = args[0]
  if (args.length > 1) return argsRepr(args)
  return typeof only === 'string' && type !== 'KeyError' ? only : valueRepr(only)
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `ValueError('boom')`, as events carry it. */
export function exceptionRepr(document: ErrorDocument): string {
  return `${document.type}(${document.message === '' ? '' : valueRepr(document.message)})`
}
