/** What became of one delivery. The only thing `settlementFor` acts on; made by `guard` and `classify`. Pure. */
import type { ErrorDocument } from '../core/record.ts'

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
  | { readonly kind: 'returned'; readonly delayMs: number; readonly crashed: boolean }
  /** Somebody else has recorded its end, or its next attempt: nothing is left to do. */
  | { readonly kind: 'superseded' }

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
  parked: (reason: string, error: ErrorDocument): Outcome => ({ kind: 'parked', reason, error }),
  returned: (delayMs = 0, crashed = false): Outcome => ({ kind: 'returned', delayMs, crashed }),
  superseded: (): Outcome => ({ kind: 'superseded' }),
}
