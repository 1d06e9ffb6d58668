/**
 * The pool seam: runs a task's function somewhere, with limits, and says what became of it. It never rejects for a
 * fault of the task. What crosses it is plain data, because the function may run in another thread or process.
 */
import type { ErrorDocument, ProgressDocument } from '../core/record.ts'
import type { WireMessage } from '../core/wire.ts'

/** What `task.request` tells of a message beside its name and arguments. Instants are epoch milliseconds. */
export interface RunDetails {
  readonly retries: number
  readonly rootId: string
  readonly parentId?: string | undefined
  readonly etaAt?: number | undefined
  readonly expiresAt?: number | undefined
  /** Custom ones. */
  readonly headers: Readonly<Record<string, unknown>>
}

/** One run of one task. */
export interface RunRequest {
  /** Unique among the runs of this pool. */
  readonly runId: number
  readonly id: string
  readonly name: string
  readonly queue: string
  readonly redelivered: boolean
  /** The message: its body is decoded where the function runs. Behind a border, headers no decoding asks for are gone. */
  readonly message: WireMessage
  /** What its headers say, decoded where it was received. */
  readonly details: RunDetails
  /** `task.signal` aborts after this long. */
  readonly softLimitMs?: number | undefined
  /** The run is ended by force after this long. */
  readonly hardLimitMs?: number | undefined
  /** Alone in a process of its own: it is suspected of killing the one it runs in. */
  readonly isolated?: boolean | undefined
}

/** What a running task reports. */
export type RunReport =
  | { readonly kind: 'progress'; readonly runId: number; readonly progress: ProgressDocument }
  | { readonly kind: 'state'; readonly runId: number; readonly state: string; readonly value: string }
  | {
      readonly kind: 'log'
      readonly runId: number
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly message: string
      readonly fields?: object | undefined
    }

/** Why a run was told to stop. */
export type AbortReason = 'revoked' | 'terminated' | 'soft-time-limit' | 'shutdown'

/** How a run ended. */
export type RunResult =
  /** `value`: JSON text of what it returned. */
  | { readonly kind: 'returned'; readonly value: string }
  /** It threw. `wantsRetry`: the task's `retry.on` accepts this error. */
  | { readonly kind: 'threw'; readonly error: ErrorDocument; readonly wantsRetry: boolean }
  /** Its message's body cannot be decoded: nothing of the task ran. */
  | { readonly kind: 'unreadable'; readonly error: ErrorDocument }
  /** `task.retry()`. */
  | {
      readonly kind: 'retry'
      readonly error: ErrorDocument
      readonly countdownMs?: number | undefined
      readonly maxRetries?: number | undefined
    }
  | { readonly kind: 'ignored'; readonly reason?: string | undefined }
  | { readonly kind: 'rejected'; readonly requeue: boolean }
  /** It ended because it was told to stop. */
  | {
      readonly kind: 'aborted'
      readonly reason: AbortReason
      /** False: it was told so before its first line ran. */
      readonly began: boolean
      readonly error: ErrorDocument
    }
  /** The hard limit passed, or it did not heed a terminate: it was ended by force. */
  | { readonly kind: 'killed'; readonly reason: 'time-limit' | 'terminated'; readonly error: ErrorDocument }
  /**
   * The thread or process it ran in is gone. `alone`: nothing else ran in it. `suspect`: it may have been the cause;
   * false when a neighbour was ended by force, or the pool was stopped.
   */
  | { readonly kind: 'lost'; readonly error: ErrorDocument; readonly alone: boolean; readonly suspect: boolean }

export interface PoolCapabilities {
  /** `abort` with force and hard limits end a run that does not heed its signal. */
  readonly killable: boolean
}

export interface PoolStats {
  readonly slots: number
  readonly running: number
}

export interface Pool {
  readonly capabilities: PoolCapabilities
  /** Loads the tasks where they will run. @throws {AppLoadError} */
  start(): Promise<void>
  /**
   * Runs it when a slot is free; those waiting for one run in the order given.
   * @param mayBegin asked once of an isolated run, when its process is ready for it; false: it ends as aborted by
   * `shutdown`, not begun.
   */
  run(request: RunRequest, onReport: (report: RunReport) => void, mayBegin?: () => Promise<boolean>): Promise<RunResult>
  /** Aborts the run's signal; with `forceAfterMs` it is ended by force when it has not ended by then. Unknown runs: nothing. */
  abort(runId: number, reason: AbortReason, forceAfterMs?: number): void
  /** Gives up a run that has not begun: it ends as aborted by `shutdown`. Of one that has begun, or is unknown: nothing. */
  takeBack(runId: number): void
  stats(): PoolStats
  /** Ends at once what still runs; those runs end as `lost`. Idempotent. */
  stop(): Promise<void>
}

/** What a running task may use of its surroundings. */
export interface RunControl {
  /** Aborts with the `LovageError` that says why: TaskRevokedError, SoftTimeLimitExceeded, ShutdownError. */
  readonly signal: AbortSignal
  /** Why it was aborted, once it was. */
  readonly abortReason: () => AbortReason | undefined
  readonly report: (report: RunReport) => void
}

/** Runs one task to its end, where it is called: decode, bind, validate, run, encode. Never rejects. */
export type RunTask = (request: RunRequest, control: RunControl) => Promise<RunResult>
