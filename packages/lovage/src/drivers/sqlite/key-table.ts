/** Shared facts with an end: keys by the wall clock, leases and buckets by the monotonic one of this boot. Inside a transaction. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { KeyChange } from '../../coordination.ts'
import type { HostIdentity } from './host.ts'
import { numberIn } from './schema.ts'
import type { Transaction } from './transaction.ts'

interface KeyRow {
  readonly key: string
  readonly value: string
  readonly expires_at: number
}
interface Clocks {
  readonly boot: string
  readonly time_space: string
}
interface LeaseRow extends Clocks {
  readonly holder: string | null
  readonly token: number
  readonly until: number
  readonly until_wall: number
}
interface BucketRow extends Clocks {
  readonly tokens: number
  readonly filled: number
}

/** One moment on both clocks. */
export interface Instant {
  readonly wall: number
  readonly monotonic: number
}

export class KeyTable {
  readonly #tx: Transaction
  readonly #host: HostIdentity
  readonly #statements: Readonly<Record<StatementName, StatementSync>>

  constructor(db: DatabaseSync, tx: Transaction, host: HostIdentity) {
    this.#tx = tx
    this.#host = host
    this.#statements = prepareStatements(db)
  }

  putIfAbsent(
    key: string,
    value: string,
    expiry: { readonly ttlMs: number; readonly now: number },
  ): string | undefined {
    const standing = this.get(key, expiry.now)
    if (standing === undefined) this.put(key, value, expiry)
    return standing
  }

  put(key: string, value: string, { ttlMs, now }: { readonly ttlMs: number; readonly now: number }): void {
    this.#statements.put.run(key, value, Math.ceil(now + ttlMs))
    this.#tx.changedKey(key)
  }

  get(key: string, now: number): string | undefined {
    return (this.#statements.get.get(key, now) as unknown as KeyRow | undefined)?.value
  }

  delete(key: string): void {
    if (this.#statements.delete.run(key).changes > 0) this.#tx.changedKey(key)
  }

  /** Living keys under a prefix, sorted, with their ends. */
  list(prefix: string, now: number): readonly KeyRow[] {
    return this.#statements.list.all(prefix, prefix, now) as unknown as KeyRow[]
  }

  /** A key that may be gone, with its end. */
  find(key: string, now: number): { readonly change: KeyChange; readonly expiresAt: number | undefined } {
    const row = this.#statements.get.get(key, now) as unknown as KeyRow | undefined
    return { change: { key, value: row?.value }, expiresAt: row?.expires_at }
  }

  lease(
    name: string,
    holder: string,
    { ttlMs, at }: { readonly ttlMs: number; readonly at: Instant },
  ): number | undefined {
    const row = this.#statements.getLease.get(name) as unknown as LeaseRow | undefined
    const isLiving = row !== undefined && row.holder !== null && this.#isLiving(row, at)
    if (isLiving && row.holder !== holder) return undefined
    const token = isLiving ? row.token : (row?.token ?? 0) + 1
    const { boot, timeSpace } = this.#host
    this.#statements.putLease.run(
      name,
      holder,
      token,
      boot,
      timeSpace,
      at.monotonic + ttlMs,
      Math.ceil(at.wall + ttlMs),
    )
    return token
  }

  /** The row stays: its token must not be given out again. */
  release(name: string, holder: string): void {
    this.#statements.release.run(name, holder)
  }

  /** 0: taken; else milliseconds until one is there. */
  take(key: string, { n, perMs }: { readonly n: number; readonly perMs: number }, at: Instant): number {
    const row = this.#statements.getBucket.get(key) as unknown as BucketRow | undefined
    const known = row !== undefined && this.#isSameClock(row) ? row : { tokens: n, filled: at.monotonic }
    const tokens = Math.min(n, known.tokens + (Math.max(0, at.monotonic - known.filled) * n) / perMs)
    const isTaken = tokens >= 1
    const left = isTaken ? tokens - 1 : tokens
    const { boot, timeSpace } = this.#host
    this.#statements.putBucket.run(key, left, boot, timeSpace, at.monotonic, Math.ceil(at.wall + perMs))
    return isTaken ? 0 : Math.ceil(((1 - left) * perMs) / n)
  }

  /** Removes what has ended; how many, at most `limit` of each kind. */
  prune(now: number, limit: number): number {
    const keys = this.#statements.pruneKeys.run(now, limit).changes
    const buckets = this.#statements.pruneBuckets.run(now, limit).changes
    return Number(keys) + Number(buckets)
  }

  /** A lease of another boot has ended with it; of another time namespace only the wall clock can tell. */
  #isLiving(row: LeaseRow, at: Instant): boolean {
    if (row.boot !== this.#host.boot) return false
    return this.#isSameClock(row) ? row.until > at.monotonic : row.until_wall > at.wall
  }

  #isSameClock(row: Clocks): boolean {
    return row.boot === this.#host.boot && row.time_space === this.#host.timeSpace
  }
}

const expiry = `${numberIn('expires_at')} AS expires_at`

type StatementName =
  | 'get'
  | 'put'
  | 'delete'
  | 'list'
  | 'getLease'
  | 'putLease'
  | 'release'
  | 'getBucket'
  | 'putBucket'
  | 'pruneKeys'
  | 'pruneBuckets'

function prepareStatements(db: DatabaseSync): Readonly<Record<StatementName, StatementSync>> {
  return {
    get: db.prepare(`SELECT key, value, ${expiry} FROM keys WHERE key = ? AND keys.expires_at > ?`),
    put: db.prepare('INSERT OR REPLACE INTO keys (key, value, expires_at) VALUES (?, ?, ?)'),
    delete: db.prepare('DELETE FROM keys WHERE key = ?'),
    list: db.prepare(
      `SELECT key, value, ${expiry} FROM keys WHERE key >= ? AND key < ? || char(1114111) AND keys.expires_at > ? ORDER BY key`,
    ),
    getLease:
      db.prepare(`SELECT holder, ${numberIn('token')} AS token, boot, time_space, until, ${numberIn('until_wall')} AS until_wall
       FROM leases WHERE name = ?`),
    putLease: db.prepare(
      'INSERT OR REPLACE INTO leases (name, holder, token, boot, time_space, until, until_wall) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    release: db.prepare('UPDATE leases SET holder = NULL WHERE name = ? AND holder = ?'),
    getBucket: db.prepare('SELECT tokens, boot, time_space, filled FROM buckets WHERE key = ?'),
    putBucket: db.prepare(
      'INSERT OR REPLACE INTO buckets (key, tokens, boot, time_space, filled, full_at) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    pruneKeys: db.prepare('DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE expires_at <= ? LIMIT ?)'),
    pruneBuckets: db.prepare('DELETE FROM buckets WHERE key IN (SELECT key FROM buckets WHERE full_at <= ? LIMIT ?)'),
  }
}
