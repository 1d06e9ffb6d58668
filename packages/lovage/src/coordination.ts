/**
 * The coordination seam: small shared facts with an end. Home of revokes that survive a restart, idempotency keys,
 * pauses, who is alive, rate limits, leaders. The contract is the suite in `testing/conformance/coordination/`.
 */

/** A key as it is now. `value` undefined: removed or expired. */
export interface KeyChange {
  readonly key: string
  readonly value: string | undefined
}

export interface Lease {
  /** Grows with each new holder: a fencing token. */
  readonly token: number
  /** The holder may trust it until this instant of its own monotonic clock: computed from before the request, minus a margin. */
  readonly trustedUntil: number
}

export interface Coordination {
  open(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Sets a key that has no living value. Gives undefined when it was set, else the value that stands in the way. */
  putIfAbsent(key: string, value: string, ttlMs: number): Promise<string | undefined>
  /** Sets a key whatever it holds. */
  put(key: string, value: string, ttlMs: number): Promise<void>
  get(key: string): Promise<string | undefined>
  delete(key: string): Promise<void>
  /** Living keys that begin with `prefix`, sorted. */
  list(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]>
  /** Every change of keys under `prefix`, those living now first. The function ends it. Expiry is told within a second. */
  watchKeys(prefix: string, onChange: (change: KeyChange) => void): Promise<() => void>
  /** Takes or renews a named lease; undefined: someone else holds it. A new holder gets a new token. */
  lease(name: string, holder: string, ttlMs: number): Promise<Lease | undefined>
  /** Gives a lease up; nothing happens when it is not the holder's. */
  release(name: string, holder: string): Promise<void>
  /**
   * Takes one of `n` per `perMs` from a token bucket. 0: taken. Else milliseconds until it is worth asking again.
   */
  take(key: string, n: number, perMs: number): Promise<number>
  close(): Promise<void>
}
