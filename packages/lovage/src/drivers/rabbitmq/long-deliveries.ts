/** What a subscription holds by copies, or is about to: its prefetch counts them, its channel does not. */
import type { Held } from './holds.ts'
import type { RabbitConnection } from './connection.ts'
import type { Lane } from './lane.ts'
import type { LongHolds } from './long-holds.ts'

export interface LongDeliveryParts {
  readonly connection: RabbitConnection
  readonly longHolds: LongHolds
  /** After how long a delivery is held by a copy. */
  readonly longAfterMs: number
}

export class LongDeliveries {
  readonly #parts: LongDeliveryParts
  readonly #onEnd: (lane: Lane) => void
  /** By token, its queue. */
  readonly #queues = new Map<string, string>()

  /** @param onEnd one that came over this lane is held no longer */
  constructor(parts: LongDeliveryParts, onEnd: (lane: Lane) => void) {
    this.#parts = parts
    this.#onEnd = onEnd
  }

  get size(): number {
    return this.#queues.size
  }

  count(queue: string): number {
    let count = 0
    for (const each of this.#queues.values()) if (each === queue) count++
    return count
  }

  /** Has copies made of what the lane has held for so long. */
  extend(lane: Lane, tokenOf: (tag: number) => string): void {
    const { connection, longAfterMs } = this.#parts
    const until = connection.clock.monotonic() - longAfterMs
    for (const held of lane.holds.all()) {
      const tag = held.message.fields.deliveryTag
      const token = tokenOf(tag)
      if (held.receivedAt > until || this.#queues.has(token) || lane.holds.get(tag) === undefined) continue
      this.#queues.set(token, held.queue)
      void this.#hold(lane, token, held)
    }
  }

  async #hold(lane: Lane, token: string, held: Held): Promise<void> {
    const original = (): Promise<boolean> => lane.holds.ack(held.message.fields.deliveryTag)
    const onEnd = (): void => {
      this.#queues.delete(token)
      this.#onEnd(lane)
    }
    const isHeld = await this.#parts.longHolds.extend(token, held, { original, onEnd }).catch(() => false)
    if (!isHeld) this.#queues.delete(token)
  }
}
