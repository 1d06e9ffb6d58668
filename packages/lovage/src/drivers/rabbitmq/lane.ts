/**
 * One channel of a subscription, from its opening until it or its link ends: the consumers on it, what they were handed.
 *
 * The prefetch is per consumer, because RabbitMQ 4.3 refuses the global one, and a running consumer keeps the one it
 * began with: another one means to cancel it and consume anew. What came through a cancelled consumer is still held, and
 * the next one is given so much less, unless that is small beside it: the subscription hands on no more than it may.
 */
import type { Channel, ConsumeMessage } from 'amqplib'
import type { Clock } from '../../core/clock.ts'
import { Holds } from './holds.ts'
import type { Held } from './holds.ts'
import { closeChannel } from './link.ts'
import type { Link } from './link.ts'

interface QueueConsumer {
  readonly tag: string
  readonly limit: number
  /** Nothing comes through it: another one takes its place. */
  readonly isDeaf: boolean
}

export interface LaneParts {
  readonly link: Link
  readonly channel: Channel
  readonly clock: Clock
}

export interface LaneEvents {
  /** `undefined`: the broker ended the consumer, because the queue is gone. */
  readonly onMessage: (queue: string, message: ConsumeMessage | undefined) => void
  readonly onSettled: () => void
}

export class Lane {
  readonly link: Link
  readonly holds: Holds
  readonly #channel: Channel
  readonly #consumers = new Map<string, QueueConsumer>()
  /** Queues that were deleted: to consume one before it is there again would cost the channel, and all that is held. */
  readonly #gone = new Set<string>()
  /** Unsettled by consumer tag. */
  readonly #heldByTag = new Map<string, number>()
  /** Unsettled by queue. */
  readonly #heldByQueue = new Map<string, number>()
  readonly #events: LaneEvents
  readonly #clock: Clock
  #tagCount = 0

  constructor({ link, channel, clock }: LaneParts, events: LaneEvents) {
    this.link = link
    this.#clock = clock
    this.#channel = channel
    this.#events = events
    this.holds = new Holds(channel, held => this.#settled(held))
  }

  /** Whether the queue is consumed now, and its consumer holds less than it may. */
  hasRoom(queue: string): boolean {
    const current = this.#consumers.get(queue)
    return current !== undefined && this.#heldThrough(current) < current.limit
  }

  /** With the next `adjust`, another consumer takes the place of the present one. */
  distrust(queue: string): void {
    const current = this.#consumers.get(queue)
    if (current !== undefined) this.#consumers.set(queue, { ...current, isDeaf: true })
  }

  /** The queue is there again. */
  returned(queue: string): void {
    this.#gone.delete(queue)
  }

  /**
   * Sees to it that no more than `prefetch` of this queue are held.
   * @param mayGrow whether a consumer that has too little is replaced while others of the queue are still held
   * @throws the channel has ended
   */
  async adjust(
    queue: string,
    prefetch: number,
    { name, mayGrow }: { readonly name: string; readonly mayGrow: boolean },
  ): Promise<void> {
    if (this.#gone.has(queue)) return
    const current = this.#consumers.get(queue)
    // taking them off a large one would end and begin consumers for ever: some are always held
    const isLarge = prefetch >= 16
    const foreign = isLarge ? 0 : this.#foreign(queue, current)
    const limit = Math.max(0, prefetch - foreign)
    const isRight =
      current?.isDeaf === false && (current.limit === limit || (current.limit < limit && !mayGrow && foreign > 0))
    if (isRight && limit > 0) return
    if (current !== undefined) await this.cancel(queue)
    // what was on its way meanwhile came through the cancelled one
    const held = isLarge ? 0 : (this.#heldByQueue.get(queue) ?? 0)
    const left = Math.max(0, prefetch - held)
    if (left > 0) await this.#consume(queue, left, name)
  }

  async cancel(queue: string): Promise<void> {
    const current = this.#consumers.get(queue)
    if (current === undefined) return
    this.#consumers.delete(queue)
    await this.#channel.cancel(current.tag)
  }

  async cancelAll(): Promise<void> {
    for (const queue of this.#consumers.keys()) await this.cancel(queue)
  }

  /** Writes the acknowledgements and ends the channel: what is held is everybody's at once. */
  async close(): Promise<void> {
    this.holds.flush()
    this.holds.end()
    await closeChannel(this.#channel)
  }

  end(): void {
    this.holds.end()
    this.#consumers.clear()
  }

  async #consume(queue: string, limit: number, name: string): Promise<void> {
    const tag = `${name}.${queue}.${++this.#tagCount}`
    await this.#channel.prefetch(limit)
    if (this.#gone.has(queue)) return
    this.#consumers.set(queue, { tag, limit, isDeaf: false })
    await this.#channel.consume(queue, message => this.#receive(queue, tag, message), { consumerTag: tag })
  }

  #receive(queue: string, consumerTag: string, message: ConsumeMessage | null): void {
    if (message === null) {
      this.#gone.add(queue)
      if (this.#consumers.get(queue)?.tag === consumerTag) this.#consumers.delete(queue)
      return this.#events.onMessage(queue, undefined)
    }
    const held = { message, queue, consumerTag, receivedAt: this.#clock.monotonic() }
    this.#count(held, 1)
    this.holds.add(held)
    this.#events.onMessage(queue, message)
  }

  #settled(held: Held): void {
    this.#count(held, -1)
    this.#events.onSettled()
  }

  #count({ queue, consumerTag }: Held, by: 1 | -1): void {
    this.#heldByQueue.set(queue, (this.#heldByQueue.get(queue) ?? 0) + by)
    const left = (this.#heldByTag.get(consumerTag) ?? 0) + by
    if (left > 0) this.#heldByTag.set(consumerTag, left)
    else this.#heldByTag.delete(consumerTag)
  }

  /** Held of the queue through consumers that are no more. */
  #foreign(queue: string, current: QueueConsumer | undefined): number {
    const own = current === undefined ? 0 : this.#heldThrough(current)
    return (this.#heldByQueue.get(queue) ?? 0) - own
  }

  #heldThrough({ tag }: QueueConsumer): number {
    return this.#heldByTag.get(tag) ?? 0
  }
}
