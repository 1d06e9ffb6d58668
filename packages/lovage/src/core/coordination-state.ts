/** What decides about shared facts: keys with an end, leases, token buckets. Instants in milliseconds of any one clock; the state changes in place. */

export interface KeptKey {
  readonly value: string
  readonly expiresAt: number
}

interface HeldLease {
  readonly holder: string
  readonly token: number
  readonly until: number
}

interface Bucket {
  readonly tokens: number
  readonly filledAt: number
}

export interface CoordinationState {
  readonly keys: Map<string, KeptKey>
  readonly leases: Map<string, HeldLease>
  readonly buckets: Map<string, Bucket>
  lastToken: number
}

export function createCoordinationState(): CoordinationState {
  return { keys: new Map(), leases: new Map(), buckets: new Map(), lastToken: 0 }
}

export function readKey(state: CoordinationState, key: string, at: number): string | undefined {
  const kept = state.keys.get(key)
  return kept !== undefined && kept.expiresAt > at ? kept.value : undefined
}

/** Living keys under a prefix, sorted. */
export function listKeys(
  state: CoordinationState,
  prefix: string,
  at: number,
): { readonly key: string; readonly value: string }[] {
  return [...state.keys]
    .filter(([key, { expiresAt }]) => key.startsWith(prefix) && expiresAt > at)
    .map(([key, { value }]) => ({ key, value }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** Removes what has expired; a key whose value is gone. */
export function expireKeys(
  state: CoordinationState,
  at: number,
): readonly { readonly key: string; readonly value: undefined }[] {
  const expired = [...state.keys].filter(([, { expiresAt }]) => expiresAt <= at).map(([key]) => key)
  for (const key of expired) state.keys.delete(key)
  return expired.map(key => ({ key, value: undefined }))
}

export interface LeaseRequest {
  readonly name: string
  readonly holder: string
  readonly ttlMs: number
}

/** The fencing token; undefined: someone else holds it. A holder that let it lapse gets a new token. */
export function takeLease(
  state: CoordinationState,
  { name, holder, ttlMs }: LeaseRequest,
  at: number,
): number | undefined {
  const held = state.leases.get(name)
  const isLiving = held !== undefined && held.until > at
  if (isLiving && held.holder !== holder) return undefined
  const token = isLiving ? held.token : ++state.lastToken
  state.leases.set(name, { holder, token, until: at + ttlMs })
  return token
}

export function releaseLease(state: CoordinationState, name: string, holder: string): void {
  if (state.leases.get(name)?.holder === holder) state.leases.delete(name)
}

export interface Rate {
  /** So many, which is also how many may be taken at once … */
  readonly n: number
  /** … in so many milliseconds. */
  readonly perMs: number
}

/** 0: taken. Else milliseconds until one is there. */
export function takeToken(state: CoordinationState, key: string, rate: Rate & { readonly at: number }): number {
  const { n, perMs, at } = rate
  const bucket = state.buckets.get(key) ?? { tokens: n, filledAt: at }
  const tokens = Math.min(n, bucket.tokens + ((at - bucket.filledAt) * n) / perMs)
  const isTaken = tokens >= 1
  state.buckets.set(key, { tokens: isTaken ? tokens - 1 : tokens, filledAt: at })
  return isTaken ? 0 : Math.ceil(((1 - tokens) * perMs) / n)
}
