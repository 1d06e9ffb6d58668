/** The coordination half of a memory connection. */
import { IllegalStateError } from '../../core/errors.ts'
import type { Coordination, KeyChange, Lease } from '../../coordination.ts'
import { listKeys, readKey, releaseLease, takeLease, takeToken } from '../../core/coordination-state.ts'
import type { Namespace } from './namespace.ts'
import type { Instant } from './queue-state.ts'

/** A tenth of a lease is not trusted: the holder's timers may be late. */
const trustedShare = 0.9

export class MemoryCoordination implements Coordination {
  readonly #namespace: Namespace
  readonly #watchers = new Set<(change: KeyChange) => void>()
  /** new → open (by `open`) → closed (by `close`). */
  #state: 'new' | 'open' | 'closed' = 'new'

  constructor(namespace: Namespace) {
    this.#namespace = namespace
  }

  async open(): Promise<void> {
    if (this.#state === 'closed') throw closedError()
    this.#state = 'open'
  }

  putIfAbsent(key: string, value: string, ttlMs: number): Promise<string | undefined> {
    return this.#run(at => {
      const present = readKey(this.#namespace.coordination, key, at.monotonic)
      if (present === undefined) this.#namespace.setKey(key, { value, expiresAt: at.monotonic + ttlMs })
      return present
    })
  }

  put(key: string, value: string, ttlMs: number): Promise<void> {
    return this.#run(at => this.#namespace.setKey(key, { value, expiresAt: at.monotonic + ttlMs }))
  }

  get(key: string): Promise<string | undefined> {
    return this.#run(at => readKey(this.#namespace.coordination, key, at.monotonic))
  }

  delete(key: string): Promise<void> {
    return this.#run(() => {
      if (this.#namespace.coordination.keys.delete(key)) this.#namespace.tellKeys([{ key, value: undefined }])
    })
  }

  list(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]> {
    return this.#run(at => listKeys(this.#namespace.coordination, prefix, at.monotonic))
  }

  async watchKeys(prefix: string, onChange: (change: KeyChange) => void): Promise<() => void> {
    const notify = (change: KeyChange): void => {
      if (this.#watchers.has(notify) && change.key.startsWith(prefix)) onChange(change)
    }
    await this.#run(at => {
      this.#watchers.add(notify)
      this.#namespace.keyWatchers.add(notify)
      for (const living of listKeys(this.#namespace.coordination, prefix, at.monotonic)) notify(living)
    })
    return () => {
      this.#watchers.delete(notify)
      this.#namespace.keyWatchers.delete(notify)
    }
  }

  async lease(name: string, holder: string, ttlMs: number): Promise<Lease | undefined> {
    const trustedUntil = this.#namespace.clock.monotonic() + ttlMs * trustedShare
    const token = await this.#run(at => takeLease(this.#namespace.coordination, { name, holder, ttlMs }, at.monotonic))
    return token === undefined ? undefined : { token, trustedUntil }
  }

  release(name: string, holder: string): Promise<void> {
    return this.#run(() => releaseLease(this.#namespace.coordination, name, holder))
  }

  take(key: string, n: number, perMs: number): Promise<number> {
    return this.#run(at => takeToken(this.#namespace.coordination, key, { n, perMs, at: at.monotonic }))
  }

  async close(): Promise<void> {
    const wasOpen = this.#state === 'open'
    this.#state = 'closed'
    for (const watcher of this.#watchers) this.#namespace.keyWatchers.delete(watcher)
    this.#watchers.clear()
    // a turn without watchers takes the timer away
    if (wasOpen) await this.#namespace.run(() => undefined)
  }

  async #run<T>(step: (at: Instant) => T): Promise<T> {
    if (this.#state === 'closed') throw closedError()
    if (this.#state === 'new')
      throw new IllegalStateError('This memory coordination was not opened: await its open() first')
    return this.#namespace.run(step)
  }
}

function closedError(): IllegalStateError {
  return new IllegalStateError('This memory coordination was closed: open another connection')
}
