/** The result half of a memory connection. */
import type { Page } from '../../broker.ts'
import { coerceError, IllegalStateError } from '../../core/errors.ts'
import type { StateRecord, StoredState } from '../../core/record.ts'
import type { ListQuery, Lookup, ResultCapabilities, ResultStore, WatchOptions } from '../../result-store.ts'
import type { Namespace } from './namespace.ts'
import { forget, listStates, prune } from './result-state.ts'

export const memoryResultCapabilities: ResultCapabilities = { conditional: true, pointRead: true, retention: 'record' }

export class MemoryResults implements ResultStore {
  readonly capabilities: ResultCapabilities = memoryResultCapabilities
  readonly #namespace: Namespace
  readonly #keepMs: number
  readonly #watchers = new Set<(state: StoredState) => void>()
  /** new → open (by `open`) → closed (by `close`). */
  #state: 'new' | 'open' | 'closed' = 'new'

  constructor(namespace: Namespace, keepMs: number) {
    this.#namespace = namespace
    this.#keepMs = keepMs
  }

  async open(): Promise<void> {
    if (this.#state === 'closed') throw closedError()
    this.#state = 'open'
  }

  async put(record: StateRecord): Promise<boolean> {
    return this.#run(() => this.#namespace.keepRecords([record], this.#keepMs)[0] === true)
  }

  get(id: string): Promise<Lookup> {
    return this.#run(() => this.#find(id))
  }

  getMany(ids: readonly string[]): Promise<readonly Lookup[]> {
    return this.#run(() => ids.map(id => this.#find(id)))
  }

  async watch(ids: readonly string[], { onState, onEnd }: WatchOptions): Promise<() => void> {
    const followed = new Set(ids)
    const end = (): void => {
      this.#watchers.delete(notify)
      this.#namespace.watchers.delete(notify)
    }
    const notify = (state: StoredState): void => {
      if (!followed.has(state.id) || !this.#watchers.has(notify)) return
      try {
        onState(state)
      } catch (error) {
        end()
        onEnd?.(coerceError(error))
      }
    }
    await this.#run(() => {
      this.#watchers.add(notify)
      this.#namespace.watchers.add(notify)
      for (const id of followed) {
        const kept = this.#namespace.results.records.get(id)
        if (kept !== undefined) notify(kept.state)
      }
    })
    return end
  }

  list(query: ListQuery = {}): Promise<Page<StoredState>> {
    return this.#run(() => listStates(this.#namespace.results, query))
  }

  forget(ids: readonly string[]): Promise<number> {
    return this.#run(() => forget(this.#namespace.results, ids))
  }

  prune(now: number): Promise<number> {
    return this.#run(() => prune(this.#namespace.results, now))
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    for (const watcher of this.#watchers) this.#namespace.watchers.delete(watcher)
    this.#watchers.clear()
  }

  #find(id: string): Lookup {
    const kept = this.#namespace.results.records.get(id)
    return kept === undefined ? { kind: 'absent' } : { kind: 'state', state: kept.state }
  }

  async #run<T>(step: () => T): Promise<T> {
    if (this.#state === 'closed') throw closedError()
    if (this.#state === 'new')
      throw new IllegalStateError('This memory result store was not opened: await its open() first')
    return this.#namespace.run(step)
  }
}

function closedError(): IllegalStateError {
  return new IllegalStateError('This memory result store was closed: open another connection')
}
