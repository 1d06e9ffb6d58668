/** The coordination half of an SQLite connection. */
import type { Coordination, KeyChange, Lease } from '../../coordination.ts'
import { systemClock } from '../../core/clock.ts'
import { describe, InvalidArgumentError } from '../../core/errors.ts'
import type { Half } from './half.ts'

/** A holder stops trusting its lease this much before the others do: a tenth, for the way of the answer and a slow turn. */
const trustedPart = 0.9

export class SqliteCoordination implements Coordination {
  readonly #half: Half
  #lastWatcher = 0

  constructor(half: Half) {
    this.#half = half
  }

  open(): Promise<void> {
    return this.#half.open()
  }

  async putIfAbsent(key: string, value: string, ttlMs: number): Promise<string | undefined> {
    assertTtl(ttlMs)
    return this.#half.call({ kind: 'keyPutIfAbsent', key, value, ttlMs })
  }

  async put(key: string, value: string, ttlMs: number): Promise<void> {
    assertTtl(ttlMs)
    await this.#half.call({ kind: 'keyPut', key, value, ttlMs })
  }

  get(key: string): Promise<string | undefined> {
    return this.#half.call({ kind: 'keyGet', key })
  }

  async delete(key: string): Promise<void> {
    await this.#half.call({ kind: 'keyDelete', key })
  }

  list(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]> {
    return this.#half.call({ kind: 'keyList', prefix })
  }

  async watchKeys(prefix: string, onChange: (change: KeyChange) => void): Promise<() => void> {
    const watcher = ++this.#lastWatcher
    let isOpen = true
    const tell = (changes: readonly KeyChange[]): void => {
      for (const change of changes) if (isOpen) onChange(change)
    }
    const begin = async (): Promise<void> => tell(await this.#half.call({ kind: 'watchKeys', watcher, prefix }))
    const unsubscribe = this.#half.subscribe({
      onEvent(event) {
        if (event.kind === 'keys' && event.watcher === watcher) tell(event.changes)
      },
      onEnd: () => undefined,
      // keys that were deleted between one thread and the next are not told of
      onRestart: () => void begin().catch(() => undefined),
    })
    await begin().catch((error: unknown) => {
      unsubscribe()
      throw error
    })
    return () => {
      if (!isOpen) return
      isOpen = false
      unsubscribe()
      void this.#half.callIfOpen({ kind: 'unwatchKeys', watcher })
    }
  }

  async lease(name: string, holder: string, ttlMs: number): Promise<Lease | undefined> {
    assertTtl(ttlMs)
    const trustedUntil = systemClock.monotonic() + ttlMs * trustedPart
    const lease = await this.#half.call({ kind: 'lease', name, holder, ttlMs })
    return lease === undefined ? undefined : { token: lease.token, trustedUntil }
  }

  async release(name: string, holder: string): Promise<void> {
    await this.#half.call({ kind: 'release', name, holder })
  }

  async take(key: string, n: number, perMs: number): Promise<number> {
    if (!(n >= 1) || !(perMs > 0))
      throw new InvalidArgumentError(
        `A rate is at least 1 per some milliseconds; it is ${describe(n)} per ${describe(perMs)}`,
      )
    return this.#half.call({ kind: 'take', key, n, perMs })
  }

  async close(): Promise<void> {
    await this.#half.close()
  }
}

function assertTtl(ttlMs: number): void {
  if (Number.isFinite(ttlMs) && ttlMs > 0) return
  throw new InvalidArgumentError(`A key's life is a number of milliseconds above 0; it is ${describe(ttlMs)}`)
}
