/** The result half of an SQLite connection. Behind all its watches stands the store thread's one cursor. */
import type { Page } from '../../broker.ts'
import { coerceError } from '../../core/errors.ts'
import type { StateRecord, StoredState } from '../../core/record.ts'
import { isNewer } from '../../core/states.ts'
import type { ListQuery, Lookup, ResultCapabilities, ResultStore, WatchOptions } from '../../result-store.ts'
import { toPosition } from './broker.ts'
import type { Half } from './half.ts'
import type { StoreEvent } from './ops.ts'

export const sqliteResultCapabilities: ResultCapabilities = { conditional: true, pointRead: true, retention: 'record' }

interface Watch extends WatchOptions {
  /** What was told last, by id. */
  readonly told: Map<string, StoredState>
}

export class SqliteResults implements ResultStore {
  readonly capabilities: ResultCapabilities = sqliteResultCapabilities
  readonly #half: Half
  /** By task id; 10,000 watches cost one look-up for each state. */
  readonly #watches = new Map<string, Set<Watch>>()
  #unsubscribe: (() => void) | undefined

  constructor(half: Half) {
    this.#half = half
  }

  open(): Promise<void> {
    return this.#half.open()
  }

  put(record: StateRecord): Promise<boolean> {
    return this.#half.call({ kind: 'put', record })
  }

  async get(id: string): Promise<Lookup> {
    return toLookup((await this.#half.call({ kind: 'get', ids: [id] }))[0])
  }

  async getMany(ids: readonly string[]): Promise<readonly Lookup[]> {
    return (await this.#half.call({ kind: 'get', ids: [...ids] })).map(toLookup)
  }

  async watch(ids: readonly string[], options: WatchOptions): Promise<() => void> {
    const followed = [...new Set(ids)]
    const watch: Watch = { ...options, told: new Map() }
    this.#add(followed, watch)
    try {
      const states = await this.#half.call({ kind: 'follow', ids: followed })
      for (const state of states) if (state !== undefined) this.#tell(watch, state)
    } catch (error) {
      this.#remove(followed, watch)
      throw error
    }
    return () => {
      if (this.#remove(followed, watch)) void this.#half.callIfOpen({ kind: 'unfollow', ids: followed })
    }
  }

  async list(query: ListQuery = {}): Promise<Page<StoredState>> {
    const limit = query.limit ?? 50
    const items: StoredState[] = []
    let before = toPosition(query.cursor)
    do {
      const page = await this.#half.call({ kind: 'list', query, before, limit: limit - items.length })
      items.push(...page.items)
      before = page.next
    } while (before !== undefined && items.length < limit)
    return before === undefined ? { items } : { items, cursor: String(before) }
  }

  forget(ids: readonly string[]): Promise<number> {
    return this.#half.call({ kind: 'forget', ids: [...ids] })
  }

  async prune(now: number): Promise<number> {
    let total = 0
    for (;;) {
      const { pruned, more } = await this.#half.call({ kind: 'prune', now })
      total += pruned
      if (!more) return total
    }
  }

  async close(): Promise<void> {
    const followed = [...this.#watches.keys()]
    this.#watches.clear()
    this.#release()
    if (followed.length > 0) await this.#half.callIfOpen({ kind: 'unfollow', ids: followed })
    await this.#half.close()
  }

  #add(ids: readonly string[], watch: Watch): void {
    for (const id of ids) {
      const watches = this.#watches.get(id) ?? new Set()
      this.#watches.set(id, watches.add(watch))
    }
    this.#unsubscribe ??= this.#half.subscribe({
      onEvent: event => this.#take(event),
      onEnd: error => this.#end(error),
    })
  }

  /** Whether it was there. */
  #remove(ids: readonly string[], watch: Watch): boolean {
    let wasThere = false
    for (const id of ids) {
      const watches = this.#watches.get(id)
      wasThere = watches?.delete(watch) === true || wasThere
      if (watches?.size === 0) this.#watches.delete(id)
    }
    if (this.#watches.size === 0) this.#release()
    return wasThere
  }

  #release(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }

  #take(event: StoreEvent): void {
    if (event.kind !== 'states') return
    for (const state of event.states) {
      for (const watch of this.#watches.get(state.id) ?? []) this.#tell(watch, state)
    }
  }

  #tell(watch: Watch, state: StoredState): void {
    if (this.#watches.get(state.id)?.has(watch) !== true || !isNewer(state, watch.told.get(state.id))) return
    watch.told.set(state.id, state)
    try {
      watch.onState(state)
    } catch (thrown) {
      this.#remove([...this.#watches.keys()], watch)
      watch.onEnd?.(coerceError(thrown))
    }
  }

  #end(error: Error): void {
    const watches = new Set([...this.#watches.values()].flatMap(each => [...each]))
    this.#watches.clear()
    this.#unsubscribe = undefined
    for (const { onEnd } of watches) onEnd?.(error)
  }
}

function toLookup(state: StoredState | undefined): Lookup {
  return state === undefined ? { kind: 'absent' } : { kind: 'state', state }
}
