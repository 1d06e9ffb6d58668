/**
 * Wakes other processes after a commit: they watch a tiny file that is touched then. Watching the database's own files
 * would wake them before the commit can be seen. A lost wake-up is made good by the tick of whoever waits.
 */
import { closeSync, futimesSync, openSync, watch, type FSWatcher } from 'node:fs'

export class WakeFile {
  readonly #path: string
  /** Opened by the first touch. */
  #file: number | undefined
  #watcher: FSWatcher | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** Never throws: the tick of the others stands behind it. */
  touch(): void {
    try {
      this.#file ??= openSync(this.#path, 'a')
      const now = Date.now() / 1000
      futimesSync(this.#file, now, now)
    } catch {
      this.#closeFile()
    }
  }

  /** Whether wake-ups will come; false where files cannot be watched. Idempotent. */
  watch(onWake: () => void): boolean {
    if (this.#watcher !== undefined) return true
    try {
      closeSync(openSync(this.#path, 'a'))
      const watcher = watch(this.#path, { persistent: false }, kind => {
        if (kind === 'rename') this.unwatch()
        onWake()
      })
      watcher.on('error', () => this.unwatch())
      this.#watcher = watcher
      return true
    } catch {
      return false
    }
  }

  unwatch(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  close(): void {
    this.unwatch()
    this.#closeFile()
  }

  #closeFile(): void {
    if (this.#file === undefined) return
    try {
      closeSync(this.#file)
    } finally {
      this.#file = undefined
    }
  }
}
