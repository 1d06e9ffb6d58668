/** Who in this process follows which tasks. */
import { coerceError } from '../../../core/errors.ts'
import type { StoredState } from '../../../core/record.ts'
import { isReadyState } from '../../../core/states.ts'
import type { WatchOptions } from '../../../result-store.ts'

interface Watch extends WatchOptions {
  readonly ids: ReadonlySet<string>
  /** Before it is open it is told of ends alone: what is not final may be older than what others have shown. */
  isOpen: boolean
  /** Whose end it was told. */
  readonly ended: Set<string>
}

type Find = (id: string) => StoredState | undefined

export interface StartedWatch {
  /** Tells what is known of the others, then what comes. Once more: what was found meanwhile, of ends alone. */
  readonly open: (find: Find) => void
  readonly isOver: () => boolean
  /** Idempotent. */
  readonly end: () => void
}

export class Watches {
  readonly #byId = new Map<string, Set<Watch>>()

  add(ids: readonly string[], options: WatchOptions, find: Find): StartedWatch {
    const watch: Watch = { ...options, ids: new Set(ids), isOpen: false, ended: new Set() }
    for (const id of watch.ids) {
      const others = this.#byId.get(id) ?? new Set()
      this.#byId.set(id, others.add(watch))
    }
    this.#tellAll(watch, find)
    const open = (find: Find): void => {
      watch.isOpen = true
      this.#tellAll(watch, find)
    }
    const isOver = (): boolean => !this.#has(watch, watch.ids.values().next().value ?? '')
    return { open, isOver, end: () => this.#end(watch) }
  }

  tell(state: StoredState): void {
    for (const watch of this.#byId.get(state.id) ?? []) this.#tell(watch, state)
  }

  clear(): void {
    this.#byId.clear()
  }

  #tellAll(watch: Watch, find: Find): void {
    for (const id of watch.ids) {
      const state = find(id)
      if (state !== undefined) this.#tell(watch, state)
    }
  }

  #tell(watch: Watch, state: StoredState): void {
    const isReady = isReadyState(state.state)
    if (!this.#has(watch, state.id) || watch.ended.has(state.id) || (!watch.isOpen && !isReady)) return
    if (isReady) watch.ended.add(state.id)
    try {
      watch.onState(state)
    } catch (error) {
      this.#end(watch)
      watch.onEnd?.(coerceError(error))
    }
  }

  #has(watch: Watch, id: string): boolean {
    return this.#byId.get(id)?.has(watch) === true
  }

  #end(watch: Watch): void {
    for (const id of watch.ids) {
      const watches = this.#byId.get(id)
      watches?.delete(watch)
      if (watches?.size === 0) this.#byId.delete(id)
    }
  }
}
