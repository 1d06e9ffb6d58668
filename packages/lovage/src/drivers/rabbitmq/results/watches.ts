/** Who in this process follows which tasks. */
import { coerceError } from '../../../core/errors.ts'
import type { StoredState } from '../../../core/record.ts'
import type { WatchOptions } from '../../../result-store.ts'

interface Watch extends WatchOptions {
  readonly ids: ReadonlySet<string>
}

export class Watches {
  readonly #byId = new Map<string, Set<Watch>>()

  /** Tells what is known, then what comes, until the function is called. */
  add(ids: readonly string[], options: WatchOptions, find: (id: string) => StoredState | undefined): () => void {
    const watch: Watch = { ...options, ids: new Set(ids) }
    for (const id of watch.ids) {
      const others = this.#byId.get(id) ?? new Set()
      this.#byId.set(id, others.add(watch))
    }
    for (const id of watch.ids) {
      const state = find(id)
      if (state !== undefined) this.#tell(watch, state)
    }
    return () => this.#end(watch)
  }

  tell(state: StoredState): void {
    for (const watch of this.#byId.get(state.id) ?? []) this.#tell(watch, state)
  }

  clear(): void {
    this.#byId.clear()
  }

  #tell(watch: Watch, state: StoredState): void {
    if (this.#byId.get(state.id)?.has(watch) !== true) return
    try {
      watch.onState(state)
    } catch (error) {
      this.#end(watch)
      watch.onEnd?.(coerceError(error))
    }
  }

  #end(watch: Watch): void {
    for (const id of watch.ids) {
      const watches = this.#byId.get(id)
      watches?.delete(watch)
      if (watches?.size === 0) this.#byId.delete(id)
    }
  }
}
