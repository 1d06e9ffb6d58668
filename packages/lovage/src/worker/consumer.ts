/** Fetches for the executor: one subscription over all queues, its prefetch, and the queues that are paused. */
import type { Backend } from '../backend.ts'
import type { Delivery, Subscription } from '../broker.ts'
import { crashPoint } from '../core/crash-point.ts'
import { pausePrefix } from '../core/keys.ts'

export interface ConsumerOptions {
  readonly backend: Backend
  readonly queues: readonly string[]
  readonly node: string
  readonly prefetch: number
  readonly onDeliveries: (batch: readonly Delivery[]) => void
  readonly onInterruption: (reason: Error | undefined) => void
  readonly onEnd: (error: Error) => void
}

export class Consumer {
  readonly #options: ConsumerOptions
  #subscription: Subscription | undefined
  #endPauses: (() => void) | undefined

  constructor(options: ConsumerOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { backend, queues, node, prefetch, onDeliveries, onInterruption, onEnd } = this.#options
    // nothing is fetched before it is known which queues are paused
    const told = { onDeliveries, onInterruption, onEnd }
    const subscription = await backend.broker.consume(queues, { prefetch: 0, consumer: node, ...told })
    this.#subscription = subscription
    try {
      crashPoint('W1')
      this.#endPauses = await backend.coordination.watchKeys(pausePrefix, ({ key, value }) => {
        const queue = key.slice(pausePrefix.length)
        if (queues.includes(queue)) subscription.setPaused(queue, value !== undefined)
      })
    } catch (error) {
      await subscription.close()
      throw error
    }
    subscription.setPrefetch(prefetch)
  }

  setPrefetch(prefetch: number): void {
    this.#subscription?.setPrefetch(prefetch)
  }

  /** Fetches no more; what is held stays to be settled. */
  async stop(): Promise<void> {
    this.#endPauses?.()
    await this.#subscription?.close()
  }
}
