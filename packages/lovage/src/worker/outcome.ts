/** What became of one delivery. The only thing `settlementFor` acts on; made by `guard` and `classify`. Pure. */
import type { ErrorDocument, StoredState } from '../core/record.ts'

type RevokedReason = 'revoked' | 'terminated' | 'expired'

export type Outcome =
  /** It returned. `value`: JSON text. */
  | { readonly kind: 'succeeded'; readonly value: string | undefined }
  /** It is tried again at `dueAt` (epoch ms). */
  | { readonly kind: 'retrying'; readonly error: ErrorDocument; readonly dueAt: number }
  | { readonly kind: 'failed'; readonly error: ErrorDocument }
  | { readonly kind: 'revoked'; readonly reason: RevokedReason; readonly error: ErrorDocument }
  /** Out of the queue for a person to look at, with FAILURE for those who wait. */
  | { readonly kind: 'parked'; readonly reason: string; readonly error: ErrorDocument }
  /** Given back: another delivery will do it. Nothing is recorded. */
  | {
      readonly kind: 'returned'
      readonly delayMs: number
      readonly crashed: boolean
      /** Told to the next worker, in the message's headers. */
      readonly headers?: Readonly<Record<string, unknown>> | undefined
    }
  /**
   * The store has its end, or its next attempt: it is not run. `by`: the state from which something may still have to
   * follow; undefined: that is not for this delivery to see to.
   */
  | { readonly kind: 'superseded'; readonly by: StoredState | undefined }

export const Outcome = {
  succeeded: (value: string | undefined): Outcome => ({ kind: 'succeeded', value }),
  retrying: (error: ErrorDocument, dueAt: number): Outcome => ({
    kind: 'retrying',
    error: { ...error, retryAt: dueAt },
    dueAt,
  }),
  failed: (error: ErrorDocument): Outcome => ({ kind: 'failed', error }),
  revoked: (reason: RevokedReason): Outcome => ({
    kind: 'revoked',
    reason,
    // the message is Celery's: TaskRevokedError('revoked' | 'terminated' | 'expired')
    error: { type: 'TaskRevokedError', module: 'celery.exceptions', message: reason, retryable: false, reason },
  }),
  parked: (reason: string, error: ErrorDocument): Outcome => ({
    kind: 'parked',
    reason,
    error: { ...error, parked: reason },
  }),
  returned: (delayMs = 0, crashed = false): Outcome => ({ kind: 'returned', delayMs, crashed }),
  /** Given back because nobody here knows its name, for the `count`th time. */
  unknown: (delayMs: number, count: number): Outcome => ({
    kind: 'returned',
    delayMs,
    crashed: false,
    headers: { lovage_unknown: count },
  }),
  superseded: (by?: StoredState): Outcome => ({ kind: 'superseded', by }),
}
