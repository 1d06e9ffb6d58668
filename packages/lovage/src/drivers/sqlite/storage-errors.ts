/** SQLite's result codes in the words of `StorageError`. The code decides, never the text. */
import { LovageError, StorageError, type StorageReason } from '../../core/errors.ts'
import type { ErrorRow } from './ops.ts'

const primaryReasons: Readonly<Record<number, StorageReason>> = {
  5: 'busy', // SQLITE_BUSY
  6: 'busy', // SQLITE_LOCKED
  8: 'read-only', // SQLITE_READONLY
  10: 'failed', // SQLITE_IOERR
  11: 'corrupt', // SQLITE_CORRUPT
  13: 'full', // SQLITE_FULL
  14: 'failed', // SQLITE_CANTOPEN
  15: 'busy', // SQLITE_PROTOCOL: a lock that readers need was not had in ten seconds
  26: 'not-a-database', // SQLITE_NOTADB
}

/** SQLITE_READONLY_DBMOVED: the file was renamed or deleted under us. */
const databaseMoved = 1032

/** SQLITE_IOERR_SHMSIZE: the file that processes share beside the log could not grow. */
const sharedMemoryFull = 4874

/** What to do about it, after the path. */
const remedies: Readonly<Record<StorageReason, string>> = {
  missing:
    'was deleted or replaced while it was open. Close this process and start it again; what was in the old file is gone with it.',
  'read-only':
    'cannot be written. Give this user write access to the file and its folder, or point LOVAGE_BROKER_URL at another path.',
  full: 'cannot be written: the disk is full. Nothing was stored; it works again by itself when there is space.',
  network:
    'lies on a network or shared-folder file system, where SQLite loses data. Put it on a local disk, or use a broker that is made for several machines.',
  'not-a-database': 'is no SQLite database. Move it away, or point LOVAGE_BROKER_URL at another path.',
  corrupt:
    'is damaged. Stop every process that uses it, keep a copy, and recover it with `sqlite3 FILE .recover`, or move it away to begin anew.',
  'newer-version': 'was made by a newer version of Lovage. Update Lovage here, or use another file.',
  'unsound-library': 'cannot be used safely by the SQLite library of this Node.',
  busy: 'is locked by another process that does not let go. Look for a stopped or hanging process that uses it (`fuser -v FILE`); the call can be repeated.',
  refused: 'does not take this: what was to be written is at fault, and no repeat of it helps.',
  failed: 'cannot be opened, read or written.',
}

const lostSync =
  'was not written to the disk for certain (fsync failed): what was under way may be lost, and this process uses the file no more. Look after the disk, and start it again.'

export function storageError(path: string, reason: StorageReason, cause?: unknown): StorageError {
  const remedy = isSyncFailure(cause) ? lostSync : remedies[reason]
  const detail = (reason === 'failed' || reason === 'refused') && cause instanceof Error ? ` ${cause.message}.` : ''
  return new StorageError(`${path} ${remedy}${detail}`, { reason, cause, details: { path } })
}

/** The extended result code of an error from node:sqlite; undefined for every other error. */
function resultCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined
  return typeof error.errcode === 'number' ? error.errcode : undefined
}

export function storageReason(error: unknown): StorageReason | undefined {
  const code = resultCode(error)
  if (code === undefined) return undefined
  if (code === databaseMoved) return 'missing'
  return code === sharedMemoryFull ? 'full' : primaryReasons[code & 0xff]
}

/** SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC: the kernel may have dropped pages; nothing may be believed after it. */
export function isSyncFailure(error: unknown): boolean {
  const code = resultCode(error)
  return code === 1034 || code === 1290
}

export function isBusy(error: unknown): boolean {
  return storageReason(error) === 'busy'
}

/** Any thrown value as a StorageError that names the file. */
export function toStorageError(path: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error
  return storageError(path, storageReason(error) ?? (isContentFault(error) ? 'refused' : 'failed'), error)
}

/** SQLITE_TOOBIG, CONSTRAINT, MISMATCH and RANGE; a value that has no place in SQL; a limit of ours. */
function isContentFault(error: unknown): boolean {
  const code = resultCode(error)
  if (code !== undefined) return [18, 19, 20, 25].includes(code & 0xff)
  return error instanceof LovageError || error instanceof TypeError
}

export function toErrorRow(path: string, error: unknown, unknown = false): ErrorRow {
  const { message, reason } = toStorageError(path, error)
  return { message, reason, unknown }
}

export function fromErrorRow({ message, reason }: ErrorRow): StorageError {
  return new StorageError(message, { reason })
}
