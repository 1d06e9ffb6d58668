/** What the reasons for ending a run become: errors for `task.signal`, documents for the result. */
import { ShutdownError, SoftTimeLimitExceeded, TaskRevokedError } from '../core/errors.ts'
import type { LovageError } from '../core/errors.ts'
import type { ErrorDocument } from '../core/record.ts'
import type { AbortReason, RunRequest, RunResult } from './pool.ts'

/** What `task.signal` aborts with. */
export function abortError(reason: AbortReason, request: RunRequest): LovageError {
  const details = { taskId: request.id, task: request.name }
  switch (reason) {
    case 'revoked':
    case 'terminated':
      return new TaskRevokedError(`${request.name} (${request.id}) was ${reason}`, { taskId: request.id, details })
    case 'soft-time-limit':
      return new SoftTimeLimitExceeded(
        `${request.name} (${request.id}) is over its soft time limit of ${request.softLimitMs} ms`,
        { details: { ...details, softLimitMs: request.softLimitMs } },
      )
    case 'shutdown':
      return new ShutdownError(`the worker is stopping; ${request.name} (${request.id}) will run again elsewhere`, {
        details,
      })
    default:
      return reason satisfies never
  }
}

/** The end of a run that was told to stop before it began. */
export function abortedResult(request: RunRequest, reason: AbortReason): RunResult {
  return { kind: 'aborted', reason, began: false, error: abortDocument(reason, request) }
}

/** The end of a run that was stopped by force after it had been aborted for `reason`. */
export function forcedResult(request: RunRequest, reason: AbortReason): RunResult {
  switch (reason) {
    case 'revoked':
    case 'terminated':
      return { kind: 'killed', reason: 'terminated', error: abortDocument('terminated', request) }
    case 'soft-time-limit':
      return timeLimitResult(request)
    // it was not the task's fault: it runs again elsewhere
    case 'shutdown':
      return stoppedResult(request)
    default:
      return reason satisfies never
  }
}

/** The end of a run whose hard limit passed. */
export function timeLimitResult(request: RunRequest): RunResult {
  const message = `${request.name} (${request.id}) was ended by force at its hard time limit of ${request.hardLimitMs} ms`
  const error = { type: 'TimeLimitExceeded', module: 'billiard.exceptions', message, retryable: true }
  return { kind: 'killed', reason: 'time-limit', error }
}

/** The end of a run that the pool's stop cut off. */
export function stoppedResult(request: RunRequest): RunResult {
  return { kind: 'lost', alone: false, suspect: false, error: abortDocument('shutdown', request) }
}

/** The end of a run whose thread or process is gone. `why`: a clause, `the thread exited with code 3`. */
export function lostResult(why: string, blame: { readonly alone: boolean; readonly suspect: boolean }): RunResult {
  const error = { type: 'WorkerLostError', module: 'billiard.exceptions', message: why, retryable: false }
  return { kind: 'lost', alone: blame.alone, suspect: blame.suspect, error }
}

function abortDocument(reason: AbortReason, request: RunRequest): ErrorDocument {
  // the message is Celery's: TaskRevokedError('revoked' | 'terminated')
  if (reason === 'revoked' || reason === 'terminated')
    return { type: 'TaskRevokedError', module: 'celery.exceptions', message: reason, retryable: false, reason }
  const { name, message } = abortError(reason, request)
  return { type: name, message, retryable: true }
}
