/** What a throw means: a wish of the task, the end it was told to come to, or a failure, and whether to try again. */
import type { AbortReason, RunResult } from '../pools/pool.ts'
import type { ErrorDocument } from '../core/record.ts'
import { formatDuration } from '../core/duration.ts'
import { InvalidArgumentError } from '../core/errors.ts'
import { errorDocument } from '../protocol/exceptions.ts'
import type { TaskDefinition } from './registry.ts'
import { isTaskSignal } from './signals.ts'
import type { RetrySignal, TaskSignal } from './signals.ts'

export interface ThrownFacts {
  readonly phase: 'binding' | 'decoding' | 'running' | 'encoding'
  /** Undefined: there is no such task here. */
  readonly definition: TaskDefinition | undefined
  readonly abort: { readonly signal: AbortSignal; readonly reason: AbortReason | undefined }
}

export function classifyThrown(thrown: unknown, { phase, definition, abort }: ThrownFacts): RunResult {
  if (phase === 'encoding') return failure(thrown)
  if (phase === 'decoding') return { kind: 'unreadable', error: errorDocument(thrown, { retryable: false }) }
  if (phase === 'binding' && (definition === undefined || isBadInput(thrown))) return badInput(thrown, definition)
  if (abort.reason !== undefined && abort.reason !== 'soft-time-limit') {
    return { kind: 'aborted', reason: abort.reason, began: true, error: errorDocument(abort.signal.reason) }
  }
  if (isTaskSignal(thrown)) return fromSignal(thrown)
  // a library's own AbortError says less than the reason does
  const error = abort.reason !== undefined && isAbort(thrown, abort.signal.reason) ? abort.signal.reason : thrown
  return { kind: 'threw', error: errorDocument(error), wantsRetry: wantsRetry(definition, error) }
}

/** Not tried again: with the same arguments it would come again. */
function failure(thrown: unknown): RunResult {
  return { kind: 'threw', error: errorDocument(thrown, { retryable: false }), wantsRetry: false }
}

/** Whoever gave the arguments may know what is wrong with them; which tasks there are is not for them. */
function badInput(thrown: unknown, definition: TaskDefinition | undefined): RunResult {
  const isPublic = definition !== undefined && thrown instanceof InvalidArgumentError
  return {
    kind: 'threw',
    error: errorDocument(thrown, { retryable: false, ...(isPublic ? { isPublic } : {}) }),
    wantsRetry: false,
  }
}

/** A schema that breaks, because a database it asks is away, is no bad input. */
function isBadInput(thrown: unknown): boolean {
  return thrown instanceof InvalidArgumentError || !errorDocument(thrown).retryable
}

function fromSignal(signal: TaskSignal): RunResult {
  switch (signal.kind) {
    case 'retry':
      return {
        kind: 'retry',
        error: retryError(signal),
        countdownMs: signal.countdownMs,
        maxRetries: signal.maxRetries,
      }
    case 'ignore':
      return { kind: 'ignored', reason: signal.reason }
    case 'reject':
      return { kind: 'rejected', requeue: signal.requeue }
    default:
      return signal satisfies never
  }
}

/** Without a cause it is Celery's `Retry`, by which the worker knows that there was none. */
function retryError({ cause, countdownMs }: RetrySignal): ErrorDocument {
  if (cause !== undefined) return errorDocument(cause)
  const when = countdownMs === undefined ? '' : ` in ${formatDuration(countdownMs)}`
  return { type: 'Retry', module: 'celery.exceptions', message: `Retry${when}`, retryable: true }
}

function isAbort(thrown: unknown, reason: unknown): boolean {
  return thrown === reason || (thrown instanceof Error && (thrown.name === 'AbortError' || thrown.cause === reason))
}

/** A filter that throws accepts nothing. */
function wantsRetry(definition: TaskDefinition | undefined, error: unknown): boolean {
  const accepts = definition?.options.retryOn
  if (accepts === undefined) return true
  try {
    return accepts(error)
  } catch {
    return false
  }
}
