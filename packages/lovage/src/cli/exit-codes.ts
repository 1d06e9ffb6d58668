/** What the process says to the shell at its end: BSD's sysexits, and 1 for a task that failed. */
import { LovageError, StorageError } from '../core/errors.ts'

export const exitCodes = {
  ok: 0,
  /** The task that was waited for ended in FAILURE or REVOKED, or is not known. */
  taskFailed: 1,
  usage: 64,
  unavailable: 69,
  internal: 70,
  temporary: 75,
  config: 78,
} as const

const byCode: Readonly<Record<string, number>> = {
  E_INVALID_ARGUMENT: exitCodes.usage,
  E_ENCODE: exitCodes.usage,
  E_MESSAGE_TOO_LARGE: exitCodes.usage,
  E_CONFIG: exitCodes.config,
  E_APP_LOAD: exitCodes.config,
  E_UNSUPPORTED: exitCodes.config,
  E_TASK_ALREADY_REGISTERED: exitCodes.config,
  E_TASK_NOT_REGISTERED: exitCodes.config,
  E_TASK_NOT_IMPLEMENTED: exitCodes.config,
  E_BROKER: exitCodes.unavailable,
  E_BROKER_CONNECTION: exitCodes.unavailable,
  E_RESULT_STORE: exitCodes.unavailable,
  E_BROKER_TIMEOUT: exitCodes.temporary,
  E_PUBLISH: exitCodes.temporary,
  E_RESULT_TIMEOUT: exitCodes.temporary,
  E_TASK_FAILED: exitCodes.taskFailed,
  E_TASK_REVOKED: exitCodes.taskFailed,
}

/** A file that is full or busy may do later; one that is broken will not; the rest is a setting. */
function storageExit(error: StorageError): number {
  if (error.retryable) return exitCodes.temporary
  return error.reason === 'corrupt' || error.reason === 'failed' ? exitCodes.unavailable : exitCodes.config
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof StorageError) return storageExit(error)
  return error instanceof LovageError ? (byCode[error.code] ?? exitCodes.internal) : exitCodes.internal
}
