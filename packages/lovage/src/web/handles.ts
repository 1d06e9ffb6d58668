/**
 * Handles, `v1.<kid>.<payload>.<mac>`: signed, checked, renewed. One algorithm and nothing to negotiate. What is compared
 * is the text of the MAC, not its bytes, so that there is one text only that passes. Pure but for the hash.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { HandlePayload, Permission } from './contract.ts'

/** How long a handle lasts, unless told otherwise; and each renewal. */
export const handleLifeMs: number = 15 * 60_000
/** No handle lasts longer, and no chain of renewals. */
export const handleLimitMs: number = 24 * 3_600_000

export const permissions: readonly Permission[] = ['read', 'result', 'log', 'revoke']

export interface HandleKey {
  /** First 8 hexadecimal digits of the secret's SHA-256: which of several keys signed. */
  readonly id: string
  readonly secret: string
}

export type HandleVerdict =
  | { readonly kind: 'valid'; readonly payload: HandlePayload }
  /** Ours, and too late. */
  | { readonly kind: 'expired' }
  | { readonly kind: 'forged' }

export interface HandleCheck {
  readonly keys: readonly HandleKey[]
  /** The app's name. */
  readonly audience: string
  /** Epoch milliseconds. */
  readonly now: number
}

/** Longer than any subject a task id or an owner of 255 characters makes. */
const longestHandle = 4096
const form = /^v1\.([0-9a-f]{8})\.([\w-]+)\.([\w-]{43})$/

export function toHandleKeys(secrets: readonly string[]): readonly HandleKey[] {
  return secrets.map(secret => ({ id: createHash('sha256').update(secret).digest('hex').slice(0, 8), secret }))
}

/** @param key the first of the keys. */
export function signHandle(payload: HandlePayload, key: HandleKey): string {
  const head = `v1.${key.id}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
  return `${head}.${macOf(head, key.secret)}`
}

export function isSigned(handle: string): boolean {
  return handle.startsWith('v1.')
}

/** Any key may have signed it; it takes as long to refuse as to accept. */
export function checkHandle(handle: string, { keys, audience, now }: HandleCheck): HandleVerdict {
  const [, keyId, payloadText, mac] = (handle.length <= longestHandle ? form.exec(handle) : null) ?? []
  if (payloadText === undefined || mac === undefined) return forged
  const key = keys.find(each => each.id === keyId)
  const expected = macOf(handle.slice(0, -mac.length - 1), key?.secret ?? 'no such key')
  if (!timingSafeEqual(Buffer.from(mac), Buffer.from(expected)) || key === undefined) return forged
  const payload = readPayload(payloadText)
  if (payload === undefined || payload.aud !== audience) return forged
  if (payload.exp * 1000 <= now) return { kind: 'expired' }
  return payload.exp * 1000 > now + handleLimitMs + clockSkewMs ? forged : { kind: 'valid', payload }
}

const forged: HandleVerdict = { kind: 'forged' }
/** Between the machine that signs and the one that checks. */
const clockSkewMs = 60_000

/** The same for longer; undefined once the chain of renewals is a day old. */
export function renewPayload(payload: HandlePayload, now: number): HandlePayload | undefined {
  const iat = payload.iat ?? Math.floor(now / 1000)
  const exp = Math.floor(Math.min(now + handleLifeMs, iat * 1000 + handleLimitMs) / 1000)
  return exp > payload.exp ? { ...payload, exp, iat } : undefined
}

function macOf(text: string, secret: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url')
}

function readPayload(text: string): HandlePayload | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    return isPayload(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isPayload(value: unknown): value is HandlePayload {
  if (typeof value !== 'object' || value === null) return false
  const { sub, allow, exp, aud, iat } = value as Partial<Record<keyof HandlePayload, unknown>>
  return (
    typeof sub === 'string' &&
    sub !== '' &&
    Array.isArray(allow) &&
    allow.every(item => typeof item === 'string') &&
    Number.isSafeInteger(exp) &&
    typeof aud === 'string' &&
    (iat === undefined || Number.isSafeInteger(iat))
  )
}
