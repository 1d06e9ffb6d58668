/**
 * What the entries of the control stream add up to. Pure: whoever reads the same entries comes to the same end, so the
 * order of the stream decides who was first. Time is that of the entries, which never goes back: the writers' clocks
 * must agree as far as the shortest lease wants it.
 */
import {
  createCoordinationState,
  expireKeys,
  readKey,
  releaseLease,
  takeLease,
  takeToken,
} from '../../core/coordination-state.ts'
import type { CoordinationState } from '../../core/coordination-state.ts'
import type { KeyChange } from '../../coordination.ts'

/** What an entry asks for. */
export type ControlOp =
  | { readonly op: 'put'; readonly key: string; readonly value: string; readonly ttlMs: number }
  | { readonly op: 'putIfAbsent'; readonly key: string; readonly value: string; readonly ttlMs: number }
  | { readonly op: 'delete'; readonly key: string }
  | { readonly op: 'lease'; readonly name: string; readonly holder: string; readonly ttlMs: number }
  | { readonly op: 'release'; readonly name: string; readonly holder: string }
  | { readonly op: 'take'; readonly key: string; readonly n: number; readonly perMs: number }
  /** Nothing: to see how far one has read. */
  | { readonly op: 'fence' }

export type ControlEntry = ControlOp & {
  /** Of the one who wrote it. An entry that was written twice counts once. */
  readonly nonce: string
  /** Epoch ms. */
  readonly at: number
}

/** What an entry has besides its nonce and time. */
const fieldsOf: Readonly<Record<string, Readonly<Record<string, 'string' | 'number'>>>> = {
  put: { key: 'string', value: 'string', ttlMs: 'number' },
  putIfAbsent: { key: 'string', value: 'string', ttlMs: 'number' },
  delete: { key: 'string' },
  lease: { name: 'string', holder: 'string', ttlMs: 'number' },
  release: { name: 'string', holder: 'string' },
  take: { key: 'string', n: 'number', perMs: 'number' },
  fence: {},
}

/** Undefined: nothing of ours, or of a version that knows more. Whoever may write to the stream may write anything. */
export function parseEntry(content: Buffer): ControlEntry | undefined {
  try {
    const entry = JSON.parse(content.toString('utf8')) as Readonly<Record<string, unknown>>
    const fields = Object.hasOwn(fieldsOf, String(entry['op'])) ? fieldsOf[String(entry['op'])] : undefined
    const isWhole = Object.entries({ ...fields, nonce: 'string', at: 'number' }).every(
      ([name, type]) => typeof entry[name] === type && (type === 'string' || Number.isFinite(entry[name])),
    )
    return fields !== undefined && isWhole ? (entry as unknown as ControlEntry) : undefined
  } catch {
    return undefined
  }
}

/** What the one who wrote the entry is told: the value in the way, the lease's token, the ms to wait. */
export type ControlAnswer = string | number | undefined

/** Nonces remembered: more than can be under way at once. */
const nonceLimit = 10_000

export class ControlState {
  readonly #state: CoordinationState = createCoordinationState()
  readonly #nonces = new Set<string>()
  /** Keys whose end was told by the reader's clock, before the entries' time had come to it. */
  readonly #told = new Set<string>()
  #time = 0
  /** No key ends before it: nobody looks for one until then. */
  #nextEnd = Infinity

  /** Epoch ms of the newest entry. */
  get time(): number {
    return this.#time
  }

  /** @param position of the entry in the stream: what tokens of leases are made of, so that they only grow. */
  apply(
    entry: ControlEntry,
    position: number,
  ): { readonly answer: ControlAnswer; readonly changes: readonly KeyChange[] } {
    if (this.#nonces.has(entry.nonce)) return { answer: undefined, changes: [] }
    this.#remember(entry.nonce)
    this.#time = Math.max(this.#time, entry.at)
    const expired = this.#expire().filter(({ key }) => !this.#told.delete(key))
    this.#state.lastToken = Math.max(this.#state.lastToken, position)
    const { answer, change } = this.#apply(entry, this.#time)
    return { answer, changes: change === undefined ? expired : [...expired, change] }
  }

  /** What has ended by now, though no entry says so yet: told once, and removed when an entry does, alike everywhere. */
  expire(now: number): readonly KeyChange[] {
    const ended = [...this.#state.keys].filter(([key, { expiresAt }]) => expiresAt <= now && !this.#told.has(key))
    for (const [key] of ended) this.#told.add(key)
    return ended.map(([key]) => ({ key, value: undefined }))
  }

  get(key: string, now: number): string | undefined {
    return readKey(this.#state, key, now)
  }

  /** Living keys. */
  keys(now: number): readonly { readonly key: string; readonly value: string; readonly expiresAt: number }[] {
    return [...this.#state.keys]
      .filter(([, { expiresAt }]) => expiresAt > now)
      .map(([key, { value, expiresAt }]) => ({ key, value, expiresAt }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** Removes what has ended by the entries' time. */
  #expire(): readonly KeyChange[] {
    if (this.#time < this.#nextEnd) return []
    const expired = expireKeys(this.#state, this.#time)
    this.#nextEnd = Infinity
    for (const { expiresAt } of this.#state.keys.values()) this.#nextEnd = Math.min(this.#nextEnd, expiresAt)
    return expired
  }

  #apply(entry: ControlEntry, at: number): { readonly answer?: ControlAnswer; readonly change?: KeyChange } {
    switch (entry.op) {
      case 'put':
        return { change: this.#put(entry, at) }
      case 'putIfAbsent': {
        const present = readKey(this.#state, entry.key, at)
        return present === undefined ? { change: this.#put(entry, at) } : { answer: present }
      }
      case 'delete':
        return this.#state.keys.delete(entry.key) ? { change: { key: entry.key, value: undefined } } : {}
      case 'lease':
        return { answer: takeLease(this.#state, entry, at) }
      case 'release':
        releaseLease(this.#state, entry.name, entry.holder)
        return {}
      case 'take':
        return { answer: takeToken(this.#state, entry.key, { n: entry.n, perMs: entry.perMs, at }) }
      case 'fence':
        return {}
      default:
        return entry satisfies never
    }
  }

  #put(
    { key, value, ttlMs }: { readonly key: string; readonly value: string; readonly ttlMs: number },
    at: number,
  ): KeyChange {
    this.#state.keys.set(key, { value, expiresAt: at + ttlMs })
    this.#nextEnd = Math.min(this.#nextEnd, at + ttlMs)
    this.#told.delete(key)
    return { key, value }
  }

  #remember(nonce: string): void {
    this.#nonces.add(nonce)
    if (this.#nonces.size <= nonceLimit) return
    for (const oldest of this.#nonces) {
      this.#nonces.delete(oldest)
      return
    }
  }
}
