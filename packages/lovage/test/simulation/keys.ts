/** Coordination's server: the memory driver's keys behind the simulated network, and those who are told of changes. */
import type { KeyChange } from '../../src/coordination.ts'
import { revokePrefix } from '../../src/core/keys.ts'
import * as coordination from '../../src/core/coordination-state.ts'
import type { ClusterOptions } from './cluster.ts'
import type { Process } from './process.ts'

/** Somebody who is told of keys. */
export interface KeyWatcher {
  readonly process: Process
  readonly prefix: string
  readonly onChange: (change: KeyChange) => void
}

export class Keys {
  readonly #options: ClusterOptions
  readonly #state: coordination.CoordinationState = coordination.createCoordinationState()
  readonly #watchers = new Set<KeyWatcher>()

  constructor(options: ClusterOptions) {
    this.#options = options
  }

  putIfAbsent(key: string, value: string, ttlMs: number): string | undefined {
    const present = this.#options.breakage === 'two-keys' ? undefined : this.get(key)
    if (present === undefined) this.put(key, value, ttlMs)
    return present
  }

  put(key: string, value: string, ttlMs: number): void {
    this.#state.keys.set(key, { value, expiresAt: this.#options.world.nowMs + ttlMs })
    this.#tell({ key, value })
    if (key.startsWith(revokePrefix)) this.#options.ledger.revoked(key.slice(revokePrefix.length))
  }

  get(key: string): string | undefined {
    return coordination.readKey(this.#state, key, this.#options.world.nowMs)
  }

  delete(key: string): void {
    if (this.#state.keys.delete(key)) this.#tell({ key, value: undefined })
  }

  /** @returns those living now, and the function that ends it. */
  watch(watcher: KeyWatcher): { readonly living: readonly KeyChange[]; readonly end: () => void } {
    this.#watchers.add(watcher)
    const forgets = this.#options.breakage === 'forget-revoke' && watcher.prefix === revokePrefix
    const living = forgets ? [] : coordination.listKeys(this.#state, watcher.prefix, this.#options.world.nowMs)
    return { living, end: () => void this.#watchers.delete(watcher) }
  }

  watchers(process: Process): number {
    return [...this.#watchers].filter(each => each.process === process).length
  }

  disconnect(process: Process): void {
    for (const watcher of this.#watchers) if (watcher.process === process) this.#watchers.delete(watcher)
  }

  #tell(change: KeyChange): void {
    for (const watcher of this.#watchers)
      if (change.key.startsWith(watcher.prefix))
        this.#options.network.push(watcher.process, 'coordination', () => {
          if (this.#watchers.has(watcher)) watcher.onChange(change)
        })
  }
}
