/** One of a connection's three halves, as it sees the store they share: the thread starts with the first and ends with the last. */
import { IllegalStateError } from '../../core/errors.ts'
import type { AnswerOf, OpKind, OpOf } from './ops.ts'
import type { Listeners, StoreClient } from './store-client.ts'

export class Half {
  readonly #client: StoreClient
  /** Halves that are open; shared by the three. */
  readonly #open: Set<Half>
  readonly #subscriptions = new Set<() => void>()
  #state: 'new' | 'open' | 'closed' = 'new'

  constructor(client: StoreClient, open: Set<Half>) {
    this.#client = client
    this.#open = open
  }

  get path(): string {
    return this.#client.path
  }

  async open(): Promise<void> {
    if (this.#state === 'closed') throw new IllegalStateError(`${this.path} was closed: open another connection`)
    await this.#client.open()
    this.#state = 'open'
    this.#open.add(this)
  }

  call<K extends OpKind>(op: OpOf<K>): Promise<AnswerOf<K>> {
    if (this.#state === 'open') return this.#client.call(op)
    const what = this.#state === 'closed' ? 'was closed: open another connection' : 'was not opened: await open() first'
    return Promise.reject(new IllegalStateError(`${this.path} ${what}`))
  }

  /** For what is pointless once it is closed: nothing happens then, nor when the store is gone. */
  async callIfOpen<K extends OpKind>(op: OpOf<K>): Promise<void> {
    if (this.#state !== 'open' || this.#client.isLost) return
    await this.#client.call(op).catch(() => undefined)
  }

  subscribe(listeners: Listeners): () => void {
    const end = this.#client.subscribe(listeners)
    this.#subscriptions.add(end)
    return () => {
      this.#subscriptions.delete(end)
      end()
    }
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    for (const end of this.#subscriptions) end()
    this.#subscriptions.clear()
    this.#open.delete(this)
    if (this.#open.size === 0) await this.#client.close()
  }
}
