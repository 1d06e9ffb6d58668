/** What is known of one task: the record a result store keeps, and what it gives back. */
import type { StateVersion } from './states.ts'

/** What does not change while a task lives. Written with its first record; a later one only fills gaps. */
export interface TaskFacts {
  readonly name?: string | undefined
  readonly queue?: string | undefined
  /** Epoch milliseconds. */
  readonly queuedAt?: number | undefined
  readonly owner?: string | undefined
  readonly tags?: readonly string[] | undefined
  /** Absent: it is its own. */
  readonly rootId?: string | undefined
  readonly parentId?: string | undefined
  /** The id of the task this one is a replay of. */
  readonly replayOf?: string | undefined
  /** Where a foreign client wants its results, and under which id. */
  readonly replyTo?: string | undefined
  readonly correlationId?: string | undefined
}

/** One change of state, as its writer sends it. */
export interface StateRecord extends StateVersion {
  readonly id: string
  /** Epoch milliseconds of the change. */
  readonly at: number
  /** Epoch milliseconds when this attempt began, with a record that is the first to tell. */
  readonly startedAt?: number | undefined
  /**
   * JSON text (kombu's typed values) of what goes with the state: the return value (SUCCESS), an `ErrorDocument`
   * (FAILURE, RETRY, REVOKED), a `Progress` (PROGRESS), the meta (custom), `{pid, hostname}` (STARTED).
   */
  readonly value?: string | undefined
  /** A final record is kept this long; absent: the store's default (a day, as Celery's result_expires). */
  readonly keepMs?: number | undefined
  readonly facts?: TaskFacts | undefined
}

/** One task as the store knows it now. */
export interface StoredState extends StateVersion {
  readonly id: string
  readonly at: number
  readonly value?: string | undefined
  readonly facts: TaskFacts
  /** Epoch milliseconds of the first STARTED of this attempt. */
  readonly startedAt?: number | undefined
  /** Epoch milliseconds when it became final. */
  readonly readyAt?: number | undefined
}

/**
 * What was thrown, as it travels: data, never code. The fields are Celery's exception document
 * (`exc_type`, `exc_message`, `exc_module`) with what Lovage adds.
 */
export interface ErrorDocument {
  /** `ValueError`, `TypeError`, … */
  readonly type: string
  /** Python's module of the class; `builtins`, `celery.exceptions`, … or undefined for an error of ours. */
  readonly module?: string | undefined
  readonly message: string
  readonly traceback?: string | undefined
  /** False when a retry with the same arguments cannot help. */
  readonly retryable: boolean
  /** True: the message was written for the person at the page. */
  readonly isPublic?: boolean | undefined
  /** What the worker adds for people: `no retry policy`, `3 of 3 retries used`. */
  readonly note?: string | undefined
  /** RETRY only: epoch milliseconds of the next attempt. */
  readonly retryAt?: number | undefined
  /** FAILURE only: why its message is among the dead letters. */
  readonly parked?: string | undefined
  /** REVOKED only. */
  readonly reason?: 'revoked' | 'terminated' | 'expired' | undefined
}

/** What goes with PROGRESS: Celery's habitual meta, `{"current": 3, "total": 10}`, with optional details. */
export interface ProgressDocument {
  readonly current: number
  readonly total?: number | undefined
  readonly message?: string | undefined
  readonly phase?: string | undefined
  readonly unit?: string | undefined
}
