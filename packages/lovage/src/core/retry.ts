/** Retry arithmetic. Pure: randomness comes in. */

/** How a task is tried again. User-facing; every field but `max` has a default. */
export interface RetryPolicy {
  /** Retries after the first attempt; 0 = none. */
  readonly max: number
  /** @default 'exponential' */
  readonly backoff?: 'fixed' | 'exponential' | undefined
  /** The first delay. @default 1000 */
  readonly delayMs?: number | undefined
  /** No delay is longer. @default 600000 (10 minutes, as Celery's retry_backoff_max) */
  readonly maxDelayMs?: number | undefined
  /** Full jitter: a random delay between 0 and the computed one, as Celery's retry_jitter. @default true */
  readonly jitter?: boolean | undefined
  /** Which thrown values; all, when absent. */
  readonly on?: ((error: unknown) => boolean) | undefined
}

/** A policy with nothing left open, without its function: it can cross a thread border. */
export interface ResolvedRetryPolicy {
  readonly max: number
  readonly backoff: 'fixed' | 'exponential'
  readonly delayMs: number
  readonly maxDelayMs: number
  readonly jitter: boolean
}

export const noRetry: ResolvedRetryPolicy = {
  max: 0,
  backoff: 'exponential',
  delayMs: 1000,
  maxDelayMs: 600_000,
  jitter: true,
}

export function resolveRetryPolicy(policy: RetryPolicy | undefined): ResolvedRetryPolicy {
  return {
    max: policy?.max ?? noRetry.max,
    backoff: policy?.backoff ?? noRetry.backoff,
    delayMs: policy?.delayMs ?? noRetry.delayMs,
    maxDelayMs: policy?.maxDelayMs ?? noRetry.maxDelayMs,
    jitter: policy?.jitter ?? noRetry.jitter,
  }
}

/**
 * Milliseconds to wait before the next attempt.
 * @param retries retries made so far: 0 after the first attempt failed.
 * @param random 0 ≤ random < 1.
 */
export function retryDelayMs(policy: ResolvedRetryPolicy, retries: number, random: number): number {
  // 2 ** 1024 is Infinity, and Infinity times a delay of 0 is no number
  const growth = policy.backoff === 'exponential' ? 2 ** Math.min(retries, 60) : 1
  const delayMs = Math.min(policy.delayMs * growth, policy.maxDelayMs)
  return Math.round(policy.jitter ? delayMs * random : delayMs)
}
