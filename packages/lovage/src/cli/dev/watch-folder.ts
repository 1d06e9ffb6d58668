/**
 * Tells when code below a folder is saved. Not the file system's own recursive watch, which on Linux opens every folder
 * of node_modules.
 */
import { readdirSync, statSync, watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import type { Clock, Timer } from '../../core/clock.ts'

export interface FolderWatch {
  /** Folders looked at. */
  readonly count: number
  close(): void
}

const code = /(?:\.[cm]?[jt]sx?|^\.env(?:\.local)?|^(?:package|tsconfig)\.json)$/
/** Never a project's own code; whatever begins with a dot is skipped too. */
const skipped: ReadonlySet<string> = new Set(['node_modules', 'dist', 'build', 'out', 'coverage', 'publish'])
const mostFolders = 5000
/** Editors write, rename and touch: one save is one change. */
const settleMs = 25

/** @param onSave the name of one file that was saved; the others of the same moment are not told. */
export function watchFolder(root: string, clock: Clock, onSave: (file: string) => void): FolderWatch {
  const watchers = new Map<string, FSWatcher>()
  let timer: Timer | undefined
  addFolder(root)
  return {
    get count() {
      return watchers.size
    },
    close() {
      timer?.cancel()
      for (const watcher of watchers.values()) watcher.close()
    },
  }

  function addFolder(folder: string): void {
    if (watchers.has(folder) || watchers.size >= mostFolders) return
    try {
      const watcher = watch(folder, (_event, name) => onEvent(folder, name ?? ''))
      watcher.on('error', () => drop(folder))
      watchers.set(folder, watcher)
      for (const entry of readdirSync(folder, { withFileTypes: true }))
        if (entry.isDirectory() && isOwn(entry.name)) addFolder(join(folder, entry.name))
    } catch {
      // gone again, or not ours to read
      drop(folder)
    }
  }

  function drop(folder: string): void {
    watchers.get(folder)?.close()
    watchers.delete(folder)
  }

  function onEvent(folder: string, name: string): void {
    const path = join(folder, name)
    if (code.test(name)) saved(path)
    else if (isOwn(name) && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      addFolder(path)
      saved(path)
    }
  }

  function saved(path: string): void {
    timer?.cancel()
    timer = clock.after(settleMs, () => onSave(path))
  }
}

function isOwn(folderName: string): boolean {
  return folderName !== '' && !folderName.startsWith('.') && !skipped.has(folderName)
}
