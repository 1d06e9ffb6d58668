/**
 * What crosses between the side that manages runs and the side that runs tasks, whether thread or process: plain data.
 * Errors cross as documents; a `LovageError` comes out with its code, so `instanceof` holds on the other side.
 */
import { LovageError, coerceError } from '../core/errors.ts'
import type { ErrorDocument } from '../core/record.ts'
import type { PackedEnds, PackedRuns } from './packed.ts'
import type { AbortReason, RunReport, RunRequest, RunResult } from './pool.ts'

/** A run, and the claim the two sides may race for (see `claims.ts`); 0: nobody takes it back. */
export interface HandOver {
  readonly request: RunRequest
  readonly claim: number
}

export interface RunEnd {
  readonly runId: number
  readonly result: RunResult
}

/** Something was thrown outside the promise of any task. */
export interface Fault {
  readonly error: ErrorDocument
  /** The run whose code it came from, when that is known; the run may have ended long ago. */
  readonly run?: { readonly runId: number; readonly id: string; readonly name: string } | undefined
}

export type ToTasks =
  | { readonly kind: 'run'; readonly runs: PackedRuns }
  | { readonly kind: 'abort'; readonly runId: number; readonly reason: AbortReason }

export type FromTasks =
  | { readonly kind: 'ready' }
  | { readonly kind: 'load-failed'; readonly error: SerializedError }
  /** Sent only for runs with a limit and for isolated ones. */
  | { readonly kind: 'started'; readonly runId: number }
  | { readonly kind: 'ended'; readonly ends: PackedEnds }
  | { readonly kind: 'report'; readonly report: RunReport }
  | { readonly kind: 'fault'; readonly fault: Fault }

/** The task side's end of the line. */
export interface TaskPort {
  /** Leaves at once, even when the caller then blocks its loop. @throws {DOMException} the message cannot be cloned. */
  post(message: FromTasks): void
  onMessage(listener: (message: ToTasks) => void): void
}

/** The first message to a child process; a thread gets the same as its `workerData`. */
export interface TaskSideInit {
  readonly slots: number
  /** Absent in a process. */
  readonly claims?: Int32Array | undefined
  readonly data: unknown
}

export interface SerializedError {
  readonly name: string
  readonly message: string
  readonly stack?: string | undefined
  readonly cause?: SerializedError | undefined
  /** Its own enumerable fields, as JSON keeps them: `code`, `details`, `retryable`, `issues`, … */
  readonly fields: Readonly<Record<string, unknown>>
}

/** @param depth how many causes below it are taken along. */
export function serializeError(thrown: unknown, depth = 8): SerializedError {
  const error = coerceError(thrown)
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    cause: error.cause === undefined || depth === 0 ? undefined : serializeError(error.cause, depth - 1),
    fields: jsonFields(error),
  }
}

/** The error again: `instanceof` the class of `core/errors.ts` it had; the error of another class keeps its name. */
export function reviveError(serialized: SerializedError): Error {
  const { name, message, stack, cause, fields } = serialized
  const options = cause === undefined ? {} : { cause: reviveError(cause) }
  const code = fields['code']
  const error =
    typeof code === 'string' && code.startsWith('E_') ? codedError(code, message, options) : new Error(message, options)
  for (const [key, value] of Object.entries({ ...fields, name }))
    Object.defineProperty(error, key, { value, enumerable: key !== 'name', configurable: true })
  if (stack !== undefined) error.stack = stack
  return error
}

/** `instanceof` asks for the code a class was made with. */
function codedError(code: string, message: string, options: ErrorOptions): LovageError {
  class Revived extends LovageError {
    static readonly code: string = code
  }
  return new Revived(message, options)
}

function jsonFields(error: Error): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(error)) {
    if (key === 'name' || key === 'cause') continue
    const plain = jsonValue(value)
    if (plain !== undefined) fields[key] = plain
  }
  return fields
}

function jsonValue(value: unknown): unknown {
  try {
    const text: string | undefined = JSON.stringify(value)
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
