/**
 * What one channel has been handed and has not settled. Acknowledgements of one turn leave together, those without a
 * gap before them as one. A channel that ended takes its tokens with it: nothing of it is ever sent on another.
 */
import type { Channel, ConsumeMessage } from 'amqplib'
import { endOfTurn } from '../../core/clock.ts'

export interface Held {
  readonly message: ConsumeMessage
  readonly queue: string
  /** The consumer it came through. */
  readonly consumerTag: string
  /** Monotonic ms. */
  readonly receivedAt: number
}

interface Entry extends Held {
  isAcked: boolean
}

export class Holds {
  readonly #channel: Channel
  /** By delivery tag, which grows: the order of the map is the order of the tags. */
  readonly #entries = new Map<number, Entry>()
  /** Told when something has been settled. */
  readonly #onSettled: (held: Held) => void
  #flushing: Promise<boolean> | undefined
  #isOver = false

  constructor(channel: Channel, onSettled: (held: Held) => void) {
    this.#channel = channel
    this.#onSettled = onSettled
  }

  add(held: Held): void {
    this.#entries.set(held.message.fields.deliveryTag, { ...held, isAcked: false })
  }

  get(tag: number): Held | undefined {
    const entry = this.#entries.get(tag)
    return entry === undefined || entry.isAcked ? undefined : entry
  }

  get size(): number {
    return this.#entries.size
  }

  all(): readonly Held[] {
    return [...this.#entries.values()]
  }

  /** Resolves to whether it was written. What was written may still be lost with the connection. */
  ack(tag: number): Promise<boolean> {
    const entry = this.#entries.get(tag)
    if (entry === undefined || entry.isAcked || this.#isOver) return Promise.resolve(false)
    entry.isAcked = true
    this.#flushing ??= new Promise(resolve => endOfTurn(() => resolve(this.flush())))
    return this.#flushing
  }

  /** Back to its place in the queue, at once. */
  requeue(tag: number): boolean {
    const entry = this.#entries.get(tag)
    if (entry === undefined || entry.isAcked || this.#isOver) return false
    // nack, not reject: from RabbitMQ 4.3 on the delivery limit of quorum queues counts only the latter
    return this.#write(entry, () => this.#channel.nack(entry.message, false, true))
  }

  /** Writes what is acknowledged and not yet written. */
  flush(): boolean {
    this.#flushing = undefined
    if (this.#isOver) return false
    const acked = [...this.#entries.values()].filter(entry => entry.isAcked)
    const last = this.#lastWithoutGap()
    if (last !== undefined && !this.#write(last, () => this.#channel.ack(last.message, true))) return false
    for (const entry of acked) {
      if (!this.#entries.has(entry.message.fields.deliveryTag)) continue
      const isCovered = last !== undefined && entry.message.fields.deliveryTag < last.message.fields.deliveryTag
      if (!this.#write(entry, isCovered ? () => undefined : () => this.#channel.ack(entry.message))) return false
    }
    return true
  }

  /** The channel is gone: what was held belongs to others. */
  end(): void {
    this.#isOver = true
    this.#entries.clear()
  }

  #lastWithoutGap(): Entry | undefined {
    let last: Entry | undefined
    for (const entry of this.#entries.values()) {
      if (!entry.isAcked) break
      last = entry
    }
    return last
  }

  #write(entry: Entry, write: () => void): boolean {
    try {
      write()
    } catch {
      // the channel is closing: its end will be told
      this.end()
      return false
    }
    this.#entries.delete(entry.message.fields.deliveryTag)
    this.#onSettled(entry)
    return true
  }
}
