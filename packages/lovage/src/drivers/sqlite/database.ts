/** The open file: checks before it is trusted, the write lock with patience, durability per transaction, checkpoints. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { StorageError } from '../../core/errors.ts'
import { assertLocalFolder, assertSoundLibrary, fileIdentity } from './file-checks.ts'
import { isWritable, prepareFolder } from './location.ts'
import type { Durability } from './ops.ts'
import { pragma, prepareSchema } from './schema.ts'
import { isBusy, storageError, toStorageError } from './storage-errors.ts'

/** Pages of WAL after which a commit moves them into the file: 16 MiB, about 20 ms of work. */
const checkpointPages = 4000
/** Bytes of WAL at which writers are made to wait for a checkpoint that starts it anew. */
const longWal = 64 * 1024 * 1024
/** How long one attempt at the write lock spins before the thread goes back to its readers. */
const patienceMs = 50

export class Database {
  readonly db: DatabaseSync
  readonly path: string
  readonly #identity: string | undefined
  #synchronous: 'NORMAL' | 'FULL' = 'FULL'
  readonly #begin: StatementSync
  readonly #beginRead: StatementSync
  readonly #commit: StatementSync
  readonly #dataVersion: StatementSync
  /** Never signalled: waiting on it is how a thread sleeps. */
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4))

  /** @throws {StorageError} the file cannot be used; nothing stays open then. */
  constructor(path: string) {
    this.path = prepareFolder(path)
    assertLocalFolder(this.path, dirname(this.path))
    this.db = openFile(this.path)
    try {
      this.#prepare()
      this.#identity = fileIdentity(this.path)
      this.#begin = this.db.prepare('BEGIN IMMEDIATE')
      this.#beginRead = this.db.prepare('BEGIN')
      this.#commit = this.db.prepare('COMMIT')
      this.#dataVersion = this.db.prepare('PRAGMA data_version')
    } catch (error) {
      this.db.close()
      throw openError(this.path, error)
    }
  }

  /** Whether the write lock was got. Others hold it for some milliseconds; a frozen process holds it until it goes on. */
  beginWrite(durability: Durability): boolean {
    this.#setSynchronous(durability === 'full' ? 'FULL' : 'NORMAL')
    let pauseMs = 0.1
    for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += pauseMs) {
      if (this.#tryBegin()) return true
      pauseMs = Math.min(pauseMs * 1.5, 2)
      Atomics.wait(this.#sleeper, 0, 0, pauseMs * (0.5 + Math.random()))
    }
    return false
  }

  beginRead(): void {
    this.#beginRead.run()
  }

  commit(): void {
    this.#commit.run()
  }

  rollback(): void {
    if (this.db.isTransaction) this.db.exec('ROLLBACK')
  }

  /** Changes when another connection has committed. */
  dataVersion(): number {
    return (this.#dataVersion.get() as { data_version: number }).data_version
  }

  /** @throws {StorageError} with reason `missing`: the path leads to another file now, or to none. */
  assertInPlace(): void {
    if (fileIdentity(this.path) !== this.#identity) throw storageError(this.path, 'missing')
  }

  /**
   * Moves what it can from the WAL into the file; while there is other work (`isCalm` false) only where the WAL has grown
   * long. Never throws for a lock: another process may be at it.
   */
  checkpoint(isCalm: boolean): void {
    const wal = statSync(`${this.path}-wal`, { throwIfNoEntry: false })
    if (wal === undefined || wal.size === 0) return
    const isLong = wal.size > longWal
    if (!isLong && !isCalm) return
    this.#setSynchronous('NORMAL')
    try {
      this.db.exec(`PRAGMA wal_checkpoint(${isLong ? 'RESTART' : 'PASSIVE'})`)
    } catch (error) {
      if (!isBusy(error)) throw error
    }
  }

  /** Gives free pages back to the file system once they are a quarter of the file; whether there are more. */
  vacuum(): boolean {
    const free = pragma(this.db, 'freelist_count')
    if (free < 1000 || free < pragma(this.db, 'page_count') / 4) return false
    this.db.exec('PRAGMA incremental_vacuum(500)')
    return true
  }

  close(): void {
    this.db.close()
  }

  #tryBegin(): boolean {
    try {
      this.#begin.run()
      return true
    } catch (error) {
      if (isBusy(error)) return false
      throw error
    }
  }

  #prepare(): void {
    const { version } = this.db.prepare('SELECT sqlite_version() AS version').get() as { version: string }
    assertSoundLibrary(this.path, version)
    prepareSchema(this.db, this.path)
    this.db.exec(
      `PRAGMA busy_timeout = 0; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${checkpointPages};
       PRAGMA journal_size_limit = ${longWal}; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY`,
    )
  }

  /** Outside transactions only. */
  #setSynchronous(mode: 'NORMAL' | 'FULL'): void {
    if (mode === this.#synchronous) return
    this.db.exec(`PRAGMA synchronous = ${mode}`)
    this.#synchronous = mode
  }
}

function openFile(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 5000 })
  } catch (error) {
    throw openError(path, error)
  }
}

/** SQLite says only "unable to open" when the folder, where the log must lie, cannot be written. */
function openError(path: string, error: unknown): StorageError {
  const failure = toStorageError(path, error)
  return failure.reason === 'failed' && !isWritable(dirname(path)) ? storageError(path, 'read-only', error) : failure
}
