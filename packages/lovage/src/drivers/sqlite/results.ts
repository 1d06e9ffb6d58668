/** The result half of an SQLite connection. Behind all its watches stands the store thread's one cursor. */
import type { Page } from '../../broker.ts'
import { coerceError } from '../../core/errors.ts'
import type { StateRecord, StoredState } from '../../core/record.ts'
import { isNewer } from '../../core/states.ts'
import type { ListQuery, Lookup, ResultCapabilities, ResultStore, WatchOptions } from '../../result-store.ts'
import { toPosition } from './broker.ts'
import type { Half } from './half.ts'
import type { StoreEvent } from './ops.ts'
import { toStoredState, type StateRow } from './state-row.ts'

export const sqliteResultCapabilities: ResultCapabilities = { conditional: true, pointRead: true, retention: 'record' }

interface Watch extends WatchOptions {
  /** What was told last, by id; of a watch of one id it is `last`. */
  readonly told: Map<string, StoredState> | undefined
  last: StoredState | undefined
  isOpen: boolean
}

/** Watches that begin in one turn, as one operation. */
interface Following {
  readonly ids: string[]
  readonly states: Promise<readonly (StateRow | undefined)[]>
}

/** Ids that are looked up in one go. */
const mostFollowed = 500

export class SqliteResults implements ResultStore {
  readonly capabilities: ResultCapabilities = sqliteResultCapabilities
  readonly #half: Half
  /** By task id; 10,000 watches cost one look-up for each state. */
  readonly #watches = new Map<string, Watch[]>()
  #following: Following | undefined
  /** Ended, and not yet told to the thread. */
  #unfollowed: string[] = []
  #unsubscribe: (() => void) | undefined

  constructor(half: Half) {
    this.#half = half
  }

  open(): Promise<void> {
    return this.#half.open()
  }

  put(record: StateRecord, { isPromise }: { readonly isPromise?: boolean | undefined } = {}): Promise<boolean> {
    return this.#half.call({ kind: 'put', record, isPromise })
  }

  async get(id: string): Promise<Lookup> {
    return toLookup((await this.#half.call({ kind: 'get', ids: [id] }))[0])
  }

  async getMany(ids: readonly string[]): Promise<readonly Lookup[]> {
    return (await this.#half.call({ kind: 'get', ids: [...ids] })).map(toLookup)
  }

  async watch(ids: readonly string[], options: WatchOptions): Promise<() => void> {
    const followed = ids.length === 1 ? ids : [...new Set(ids)]
    const { onState, onEnd } = options
    const watch: Watch = {
      onState,
      onEnd,
      told: followed.length === 1 ? undefined : new Map(),
      last: undefined,
      isOpen: true,
    }
    this.#add(followed, watch)
    try {
      for (const row of await this.#follow(followed)) if (row !== undefined) this.#tell(watch, toStoredState(row))
    } catch (error) {
      this.#remove(followed, watch)
      throw error
    }
    return () => {
      if (this.#remove(followed, watch)) this.#unfollow(followed)
    }
  }

  async list(query: ListQuery = {}): Promise<Page<StoredState>> {
    const limit = query.limit ?? 50
    const items: StoredState[] = []
    let before = toPosition(query.cursor)
    do {
      const page = await this.#half.call({ kind: 'list', query, before, limit: limit - items.length })
      items.push(...page.items.map(toStoredState))
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
    this.#endAll()
    this.#release()
    if (followed.length > 0) await this.#half.callIfOpen({ kind: 'unfollow', ids: followed })
    await this.#half.close()
  }

  async #follow(ids: readonly string[]): Promise<readonly (StateRow | undefined)[]> {
    const following = (this.#following ??= this.#startFollowing())
    const from = following.ids.length
    following.ids.push(...ids)
    if (following.ids.length >= mostFollowed) this.#following = undefined
    const states = await following.states
    return states.length === ids.length ? states : states.slice(from, from + ids.length)
  }

  /** Leaves after the microtasks that wait already: those of the other watches of this turn. */
  #startFollowing(): Following {
    const ids: string[] = []
    const states = Promise.resolve().then(() => {
      if (this.#following?.ids === ids) this.#following = undefined
      return this.#half.call({ kind: 'follow', ids })
    })
    return { ids, states }
  }

  #unfollow(ids: readonly string[]): void {
    this.#unfollowed.push(...ids)
    if (this.#unfollowed.length > ids.length) return
    queueMicrotask(() => {
      const unfollowed = this.#unfollowed
      this.#unfollowed = []
      void this.#half.callIfOpen({ kind: 'unfollow', ids: unfollowed })
    })
  }

  #add(ids: readonly string[], watch: Watch): void {
    for (const id of ids) {
      const watches = this.#watches.get(id)
      if (watches === undefined) this.#watches.set(id, [watch])
      else watches.push(watch)
    }
    this.#unsubscribe ??= this.#half.subscribe({
      onEvent: event => this.#take(event),
      onEnd: error => this.#end(error),
    })
  }

  /** Whether it was open. */
  #remove(ids: readonly string[], watch: Watch): boolean {
    if (!watch.isOpen) return false
    watch.isOpen = false
    for (const id of ids) {
      const watches = this.#watches.get(id)
      if (watches?.length === 1 && watches[0] === watch) this.#watches.delete(id)
      else if (watches?.includes(watch) === true) watches.splice(watches.indexOf(watch), 1)
    }
    if (this.#watches.size === 0) this.#release()
    return true
  }

  #release(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }

  #take(event: StoreEvent): void {
    if (event.kind !== 'states') return
    for (const row of event.states) {
      const watches = this.#watches.get(row[0])
      if (watches === undefined) continue
      const state = toStoredState(row)
      // a copy: whoever is told may end
      for (const watch of watches.length === 1 ? watches : [...watches]) this.#tell(watch, state)
    }
  }

  #tell(watch: Watch, state: StoredState): void {
    const { told, onState, onEnd } = watch
    const last = told === undefined ? watch.last : told.get(state.id)
    if (!watch.isOpen || !isNewer(state, last)) return
    if (told === undefined) watch.last = state
    else told.set(state.id, state)
    try {
      onState(state)
    } catch (thrown) {
      this.#remove([...this.#watches.keys()], watch)
      onEnd?.(coerceError(thrown))
    }
  }

  #end(error: Error): void {
    this.#unsubscribe = undefined
    for (const { onEnd } of this.#endAll()) onEnd?.(error)
  }

  /** Those that were open. */
  #endAll(): ReadonlySet<Watch> {
    const watches = new Set([...this.#watches.values()].flat())
    this.#watches.clear()
    for (const watch of watches) watch.isOpen = false
    return watches
  }
}

function toLookup(row: StateRow | undefined): Lookup {
  return row === undefined ? { kind: 'absent' } : { kind: 'state', state: toStoredState(row) }
}
