/**
 * The hand-written loop's database: what one would write for the same durable work, and nothing else. Enqueue writes
 * the message and its PENDING row at FULL; a claim marks rows at NORMAL, because a lost claim is only a redelivery;
 * settle writes the result and deletes the message at FULL, one commit per batch. Messages carry what Celery's do.
 */
import { closeSync, openSync, watch, writeSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

export interface Message {
  readonly key: number
  readonly id: string
  readonly headers: string
  readonly body: string
}

export interface Finished {
  readonly key: number
  readonly id: string
  readonly value: string
}

const tables = `
  CREATE TABLE IF NOT EXISTS messages (
    key INTEGER PRIMARY KEY, owner INTEGER, delivery INTEGER NOT NULL DEFAULT 0,
    id TEXT NOT NULL, headers TEXT NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS results (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, at INTEGER NOT NULL,
    name TEXT NOT NULL, queued_at INTEGER NOT NULL, value TEXT, expires_at INTEGER) STRICT;
  CREATE INDEX IF NOT EXISTS expiry ON results (expires_at) WHERE expires_at IS NOT NULL;
  CREATE TABLE IF NOT EXISTS changes (n INTEGER PRIMARY KEY, ids TEXT NOT NULL) STRICT;`

/** Lovage's own. */
const pragmas = `
  PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
  PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536;
  PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 10000;`

const dayMs = 86_400_000
/** Readers may be this many commits behind. */
const keptChanges = 1000

export type Synchronous = 'FULL' | 'NORMAL' | 'OFF'

/** Of one transaction each; nothing is nested. */
export class HandWrittenStore {
  readonly #database: DatabaseSync
  #synchronous: Synchronous = 'FULL'
  readonly #statements = new Map<string, StatementSync>()

  constructor(file: string) {
    this.#database = new DatabaseSync(file)
    this.#database.exec(pragmas)
    this.#database.exec(tables)
  }

  enqueue(messages: readonly Omit<Message, 'key'>[], synchronous: Synchronous = 'FULL'): void {
    const message = this.#prepare('INSERT INTO messages (id, headers, body) VALUES (?, ?, ?)')
    this.#transaction(synchronous, () => {
      for (const { id, headers, body } of messages) message.run(id, headers, body)
      this.#expect(messages.map(({ id }) => id))
    })
  }

  /** Results alone, where the messages are elsewhere: PENDING rows. */
  expect(ids: readonly string[]): void {
    this.#transaction('FULL', () => this.#expect(ids))
  }

  /** Results alone: the values. */
  record(finished: readonly Omit<Finished, 'key'>[]): void {
    this.#transaction('FULL', () => this.#record(finished))
  }

  claim(limit: number, synchronous: Synchronous = 'NORMAL'): Message[] {
    return this.#transaction(synchronous, () => this.#claim(limit))
  }

  settle(finished: readonly Finished[], synchronous: Synchronous = 'FULL'): void {
    this.#transaction(synchronous, () => this.#settle(finished))
  }

  /** The same in one transaction: a variant, to see what the second one costs. */
  settleAndClaim(finished: readonly Finished[], limit: number): Message[] {
    return this.#transaction('FULL', () => {
      this.#settle(finished)
      return this.#claim(limit)
    })
  }

  /** Ids that became ready after a change, and the newest change. */
  readySince(change: number): { readonly ids: readonly string[]; readonly change: number } {
    const rows = this.#prepare('SELECT n, ids FROM changes WHERE n > ? ORDER BY n').all(change)
    const ids = rows.flatMap(row => JSON.parse(String(row['ids'])) as string[])
    return { ids, change: Number(rows.at(-1)?.['n'] ?? change) }
  }

  /** The value of a ready task; undefined: it is not ready. */
  result(id: string): unknown {
    const row = this.#prepare(`SELECT value FROM results WHERE id = ? AND state = 'SUCCESS'`).get(id)
    return row && JSON.parse(String(row['value']))
  }

  isReady(id: string): boolean {
    return this.#prepare(`SELECT 1 FROM results WHERE id = ? AND state = 'SUCCESS'`).get(id) !== undefined
  }

  lastChange(): number {
    return Number(this.#prepare('SELECT coalesce(max(n), 0) AS last FROM changes').get()?.['last'])
  }

  close(): void {
    this.#database.close()
  }

  #claim(limit: number): Message[] {
    const rows = this.#prepare(
      `UPDATE messages SET owner = 1, delivery = delivery + 1
       WHERE key IN (SELECT key FROM messages WHERE owner IS NULL ORDER BY key LIMIT ?)
       RETURNING key, id, headers, body`,
    ).all(limit)
    return rows as unknown as Message[]
  }

  #settle(finished: readonly Finished[]): void {
    const message = this.#prepare('DELETE FROM messages WHERE key = ? AND owner = 1')
    for (const { key } of finished) message.run(key)
    this.#record(finished)
  }

  #expect(ids: readonly string[]): void {
    const now = Date.now()
    const pending = this.#prepare(
      `INSERT INTO results (id, state, at, name, queued_at) VALUES (?, 'PENDING', ?, 'bench.add', ?)`,
    )
    for (const id of ids) pending.run(id, now, now)
  }

  #record(finished: readonly Omit<Finished, 'key'>[]): void {
    const now = Date.now()
    const result = this.#prepare(
      `UPDATE results SET state = 'SUCCESS', at = ?, value = ?, expires_at = ? WHERE id = ? AND state = 'PENDING'`,
    )
    for (const { id, value } of finished) result.run(now, value, now + dayMs, id)
    const ids = JSON.stringify(finished.map(({ id }) => id))
    const { lastInsertRowid } = this.#prepare('INSERT INTO changes (ids) VALUES (?)').run(ids)
    const change = Number(lastInsertRowid)
    if (change % 64 === 0) this.#prepare('DELETE FROM changes WHERE n <= ?').run(change - keptChanges)
  }

  #transaction<T>(synchronous: Synchronous, run: () => T): T {
    this.#setSynchronous(synchronous)
    this.#prepare('BEGIN IMMEDIATE').run()
    const value = run()
    this.#prepare('COMMIT').run()
    return value
  }

  /** Not as a prepared statement: this pragma takes effect when it is compiled and never again. */
  #setSynchronous(synchronous: Synchronous): void {
    if (synchronous === this.#synchronous) return
    this.#database.exec(`PRAGMA synchronous = ${synchronous}`)
    this.#synchronous = synchronous
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known) return known
    const made = this.#database.prepare(sql)
    this.#statements.set(sql, made)
    return made
  }
}

/** A tiny file that one side touches after its commit and the other watches. */
export class WakeFile {
  readonly #path: string
  readonly #handle: number

  constructor(path: string) {
    this.#path = path
    this.#handle = openSync(path, 'a')
  }

  touch(): void {
    writeSync(this.#handle, '.')
  }

  /** The function ends it. */
  watch(onTouch: () => void): () => void {
    const watcher = watch(this.#path, { persistent: false }, onTouch)
    return () => watcher.close()
  }

  close(): void {
    closeSync(this.#handle)
  }
}
