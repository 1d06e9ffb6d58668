/**
 * The file: its tables and its version. A message's key is its place: queue, then 9 - priority, then age, in one
 * 64-bit integer, so that a claim reads the table from its left edge and needs no index. Taken apart and put together in
 * SQL only, because it does not fit a JavaScript number.
 */
import type { DatabaseSync } from 'node:sqlite'
import { StorageError } from '../../core/errors.ts'
import { storageError } from './storage-errors.ts'

/** "Lova" in ASCII, at byte 68 of the file. */
const applicationId = 0x4c6f7661
const schemaVersion = 2

/** Queue ids above this would run into the sign of a key, or over its edge. */
export const maxQueues = 32_766
/** `(queue << 48) | (rank << 44) | seq` of three parameters. */
export const keyOf = '((? << 48) | (? << 44) | ?)'
/** A key's last two parts, as columns `rank` and `seq`. */
export const keyParts = '(key >> 44) & 15 AS rank, key & 17592186044415 AS seq'
/** The range of keys of one queue, of two parameters. */
export const inQueue = 'key >= (? << 48) AND key < ((? + 1) << 48)'

/**
 * A column as it is read. The tables are strict, so what stands there has the right type; but an integer beyond 2^53
 * would make its whole row unreadable, and every row that is read with it.
 */
export function numberIn(column: string): string {
  return `CAST(${column} AS REAL)`
}
/** Of a counter that is counted up. */
export function countIn(column: string): string {
  return `min(max(${column}, 0), 1000000000)`
}
/** The body of a message: text or bytes. */
export const bodyIn = "iif(typeof(body) IN ('integer', 'real'), CAST(body AS TEXT), body) AS body"

const tables = `
CREATE TABLE queues (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  next_seq INTEGER NOT NULL DEFAULT 1,
  ready INTEGER NOT NULL DEFAULT 0,
  delayed INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE messages (
  key INTEGER PRIMARY KEY,
  owner INTEGER,
  delivery INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  started INTEGER NOT NULL DEFAULT 0,
  id TEXT NOT NULL,
  head TEXT NOT NULL,
  body ANY NOT NULL
) STRICT;
CREATE TABLE delayed (
  n INTEGER PRIMARY KEY,
  due INTEGER NOT NULL,
  queue INTEGER NOT NULL,
  key INTEGER NOT NULL,
  delivery INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  id TEXT NOT NULL,
  head TEXT NOT NULL,
  body ANY NOT NULL
) STRICT;
CREATE INDEX delayed_due ON delayed (due);
CREATE TABLE parked (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  queue TEXT NOT NULL,
  reason TEXT NOT NULL,
  parked_at INTEGER NOT NULL,
  head TEXT NOT NULL,
  body ANY NOT NULL
) STRICT;
CREATE TABLE owners (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  node TEXT NOT NULL,
  pid INTEGER NOT NULL,
  process_start TEXT NOT NULL,
  boot TEXT NOT NULL,
  pid_space TEXT NOT NULL,
  time_space TEXT NOT NULL,
  lease_until REAL NOT NULL,
  seen_at INTEGER NOT NULL,
  lease_ms INTEGER NOT NULL DEFAULT 30000
) STRICT;
CREATE TABLE tasks (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  ready INTEGER NOT NULL,
  retries INTEGER NOT NULL,
  delivery INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  seq REAL NOT NULL,
  at INTEGER NOT NULL,
  value TEXT,
  name TEXT,
  queue TEXT,
  owner TEXT,
  queued_at INTEGER,
  facts TEXT,
  started_at INTEGER,
  ready_at INTEGER,
  expires_at INTEGER
) STRICT;
CREATE INDEX tasks_expiry ON tasks (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX tasks_owner ON tasks (owner, n) WHERE owner IS NOT NULL;
CREATE INDEX tasks_failed ON tasks (n) WHERE state = 'FAILURE';
CREATE TABLE changes (
  n INTEGER PRIMARY KEY,
  ids TEXT NOT NULL,
  keys TEXT NOT NULL
) STRICT;
CREATE TABLE notices (
  n INTEGER PRIMARY KEY,
  address TEXT NOT NULL,
  head TEXT NOT NULL,
  body ANY NOT NULL
) STRICT;
CREATE TABLE keys (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  holder TEXT,
  token INTEGER NOT NULL,
  boot TEXT NOT NULL,
  time_space TEXT NOT NULL,
  until REAL NOT NULL,
  until_wall INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE buckets (
  key TEXT PRIMARY KEY,
  tokens REAL NOT NULL,
  boot TEXT NOT NULL,
  time_space TEXT NOT NULL,
  filled REAL NOT NULL,
  full_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

const fromVersion1 = 'ALTER TABLE owners ADD COLUMN lease_ms INTEGER NOT NULL DEFAULT 30000; PRAGMA user_version = 2'

/**
 * Makes the tables in an empty file, or checks that the file is one of ours. Call it outside a transaction.
 * @throws {StorageError} with reason `newer-version` or `not-a-database` (of something else's).
 */
export function prepareSchema(db: DatabaseSync, path: string): void {
  if (isEmpty(db)) {
    // both must stand before the first page is written
    db.exec('PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL')
  }
  const mode = Object.values(db.prepare('PRAGMA journal_mode = WAL').get() ?? {})[0]
  if (mode !== 'wal')
    throw storageError(
      path,
      'failed',
      new Error(`Its file system has no shared memory for the write-ahead log (journal mode ${String(mode)})`),
    )
  if (version(db) === schemaVersion && applicationIdOf(db) === applicationId) return
  db.exec('BEGIN IMMEDIATE')
  try {
    // another process may have been first
    if (isEmpty(db))
      db.exec(`${tables} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}`)
    else {
      assertOurs(db, path)
      if (version(db) === 1) db.exec(fromVersion1)
    }
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function assertOurs(db: DatabaseSync, path: string): void {
  if (applicationIdOf(db) !== applicationId) {
    const message = `${path} is an SQLite database of something else. Point LOVAGE_BROKER_URL at a file of its own, such as sqlite:.lovage/queue.db.`
    throw new StorageError(message, { reason: 'not-a-database', details: { path } })
  }
  if (version(db) > schemaVersion) throw storageError(path, 'newer-version')
}

function isEmpty(db: DatabaseSync): boolean {
  return pragma(db, 'schema_version') === 0
}

function version(db: DatabaseSync): number {
  return pragma(db, 'user_version')
}

function applicationIdOf(db: DatabaseSync): number {
  return pragma(db, 'application_id')
}

export function pragma(db: DatabaseSync, name: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0])
}
