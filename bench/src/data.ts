/** Folders with databases. A queue that is slow to fill is filled once for each side and copied for each round. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const databaseName = 'queue.db'

/** A fresh, empty folder's database file. */
export function freshFile(folder: string): string {
  mkdirSync(folder, { recursive: true })
  return join(mkdtempSync(join(folder, 'side-')), databaseName)
}

/** With everything that stands beside it: log, wake file, key. */
export function copyOf(file: string, folder: string): string {
  const copy = freshFile(folder)
  cpSync(dirname(file), dirname(copy), { recursive: true, filter: path => !path.endsWith('-shm') })
  return copy
}

export function remove(file: string): void {
  if (basename(file) !== databaseName) throw new Error(`${file} is none of the bench's databases`)
  rmSync(dirname(file), { recursive: true, force: true })
}
