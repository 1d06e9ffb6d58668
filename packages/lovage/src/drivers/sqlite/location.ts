/** From a URL to an absolute path, and from a path to a folder that can hold the file. */
import { accessSync, constants, existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConfigurationError, type StorageError } from '../../core/errors.ts'
import { projectRoot } from '../project-root.ts'
import { storageError } from './storage-errors.ts'

/** `sqlite:///abs/queue.db` is absolute; `sqlite:queue.db` lies in the project, wherever in it the process was started. */
export function resolvePath(url: URL): string {
  if (url.protocol !== 'sqlite:')
    throw new ConfigurationError(
      `${url.href} is no sqlite: URL. Write sqlite:///absolute/path.db or sqlite:relative/path.db.`,
    )
  if (url.host !== '') {
    throw new ConfigurationError(
      `${url.href} names a host, "${url.host}". Write sqlite:///absolute/path.db (three slashes) or sqlite:relative/path.db (none).`,
    )
  }
  const path = pathIn(url)
  if (path === undefined || path === '' || path.endsWith('/') || path.includes('\0'))
    throw new ConfigurationError(
      `${url.href} names no file. Write sqlite:///absolute/path.db or sqlite:relative/path.db.`,
    )
  return isAbsolute(path) ? resolve(path) : resolve(projectRoot(process.cwd()), path)
}

/**
 * A URL's path: fileURLToPath decodes it and knows drive letters; a relative one is opaque and only percent-decoded.
 * Undefined: it cannot be decoded.
 */
function pathIn({ pathname }: URL): string | undefined {
  try {
    return pathname.startsWith('/') ? fileURLToPath(`file://${pathname}`) : decodeURIComponent(pathname)
  } catch {
    return undefined
  }
}

/**
 * Makes the folder, for this user alone: arguments and results may be nobody else's business. One called `.lovage` keeps
 * itself out of version control. A folder that exists is left as it is. Gives the path with links resolved.
 */
export function prepareFolder(path: string): string {
  const folder = dirname(path)
  try {
    const isNew = mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined
    if (isNew && basename(folder) === '.lovage') writeFileSync(join(folder, '.gitignore'), '*\n')
    return existsSync(path) ? realpathSync(path) : join(realpathSync(folder), basename(path))
  } catch (error) {
    throw folderError(path, error)
  }
}

function folderError(path: string, error: unknown): StorageError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  // mkdir says ENOENT, too, when a parent lies on a read-only file system
  const reason = code === 'ENOSPC' ? 'full' : isWritable(nearestFolder(path)) ? 'failed' : 'read-only'
  return storageError(path, reason, new Error(`Its folder cannot be made (${String(error)})`, { cause: error }))
}

function nearestFolder(path: string): string {
  const folder = dirname(path)
  return existsSync(folder) || folder === path ? folder : nearestFolder(folder)
}

/** Whether files can be made in a folder. */
export function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
