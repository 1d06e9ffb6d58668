/** One consumer of one memory connection. States: active → ended (by `close`, by its connection, by a throw of its listener). */
import type { ConsumeOptions, Delivery, Subscription } from '../../broker.ts'
import { coerceError } from '../../core/errors.ts'
import type { Consumer, Namespace } from './namespace.ts'

export interface SubscriptionRequest {
  readonly owner: string
  readonly queues: readonly string[]
  readonly options: ConsumeOptions
}

export class MemorySubscription implements Subscription, Consumer {
  readonly owner: string
  readonly #namespace: Namespace
  readonly #queues: readonly string[]
  readonly #options: ConsumeOptions
  readonly #held = new Set<string>()
  readonly #paused = new Set<string>()
  #prefetch: number

  constructor(namespace: Namespace, { owner, queues, options }: SubscriptionRequest) {
    this.owner = owner
    this.#namespace = namespace
    this.#queues = queues
    this.#options = options
    this.#prefetch = options.prefetch
  }

  start(): void {
    this.#namespace.consumers.add(this)
  }

  setPrefetch(prefetch: number): void {
    this.#prefetch = prefetch
    this.#namespace.wake()
  }

  setPaused(queue: string, paused: boolean): void {
    if (paused) this.#paused.add(queue)
    else this.#paused.delete(queue)
    this.#namespace.wake()
  }

  async close(): Promise<void> {
    this.end()
  }

  end(): void {
    this.#namespace.consumers.delete(this)
  }

  room(): { readonly queues: readonly string[]; readonly limit: number } {
    return {
      queues: this.#queues.filter(queue => !this.#paused.has(queue)),
      limit: this.#prefetch - this.#held.size,
    }
  }

  deliver(deliveries: readonly Delivery[]): void {
    for (const { token } of deliveries) this.#held.add(token)
    try {
      this.#options.onDeliveries(deliveries)
    } catch (error) {
      this.end()
      this.#options.onEnd?.(coerceError(error))
    }
  }

  ended(token: string): void {
    this.#held.delete(token)
  }
}
