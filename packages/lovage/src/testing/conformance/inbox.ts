/** One subscription and what came of it, in order, with a way to wait for more. */
import type { Connection } from '../../backend.ts'
import type { ConsumeOptions, Delivery, Disposition, Settlement, SettleOutcome, Subscription } from '../../broker.ts'
import { inTime } from './waits.ts'

export interface ConsumeRequest extends Partial<Pick<ConsumeOptions, 'prefetch' | 'onDeliveries' | 'onEnd'>> {
  readonly queues?: readonly string[]
}

export class Inbox {
  /** Everything that was ever delivered here. */
  readonly seen: Delivery[] = []
  /** Not yet settled through this inbox. */
  readonly held: Set<Delivery> = new Set()
  readonly violations: string[] = []
  readonly #connection: Connection
  #subscription: Subscription | undefined
  #prefetch: number
  /** How many of `seen` were given out by `next`. */
  #taken = 0
  #isSilent = false
  #onArrival: () => void = () => undefined

  private constructor(connection: Connection, prefetch: number) {
    this.#connection = connection
    this.#prefetch = prefetch
  }

  static async open(connection: Connection, request: ConsumeRequest): Promise<Inbox> {
    const { queues = ['queue'], prefetch = 10, onDeliveries, onEnd } = request
    const inbox = new Inbox(connection, prefetch)
    inbox.#subscription = await connection.broker.consume(queues, {
      prefetch,
      consumer: 'inbox@conformance',
      onEnd,
      onDeliveries(batch) {
        inbox.#receive(batch)
        onDeliveries?.(batch)
      },
    })
    return inbox
  }

  get subscription(): Subscription {
    if (this.#subscription === undefined) throw new Error('The inbox is not open yet')
    return this.#subscription
  }

  /** The next ones not given out so far. */
  async take(count: number): Promise<Delivery[]> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => (this.seen.length >= this.#taken + count ? resolve() : undefined)
    this.#onArrival = look
    look()
    const ids = (): string => this.seen.map(delivery => idOf(delivery)).join(', ')
    await inTime(promise, `${count} deliveries after ${this.#taken}`).catch((error: unknown) => {
      throw new Error(`Seen were only: ${ids()}`, { cause: error })
    })
    const taken = this.seen.slice(this.#taken, this.#taken + count)
    this.#taken += count
    return taken
  }

  async next(): Promise<Delivery> {
    const [delivery] = await this.take(1)
    if (delivery === undefined) throw new Error('take(1) gave nothing')
    return delivery
  }

  settle(
    delivery: Delivery,
    disposition: Disposition = { kind: 'ack' },
    more: Omit<Settlement, 'delivery' | 'disposition'> = {},
  ): Promise<SettleOutcome> {
    // from here on the broker may count it as settled
    this.held.delete(delivery)
    return this.#connection.broker.settle({ delivery, disposition, ...more })
  }

  setPrefetch(prefetch: number): void {
    // what was fetched at the old one may still be on its way
    this.#prefetch = Math.max(this.#prefetch, prefetch)
    this.subscription.setPrefetch(prefetch)
  }

  async close(): Promise<void> {
    await this.subscription.close()
    this.expectSilence()
  }

  /** From now on a delivery is a broken promise. */
  expectSilence(): void {
    this.#isSilent = true
  }

  #receive(batch: readonly Delivery[]): void {
    for (const delivery of batch) {
      this.seen.push(delivery)
      this.held.add(delivery)
    }
    if (this.#isSilent) this.violations.push(`delivered after the close: ${batch.map(idOf).join(', ')}`)
    if (this.held.size > this.#prefetch)
      this.violations.push(`${this.held.size} unsettled at a prefetch of ${this.#prefetch}`)
    this.#onArrival()
  }
}

/** The task's id, as `publication` put it into the headers. */
export function idOf(delivery: Delivery): string {
  return String(delivery.message.headers['id'])
}

export function idsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(idOf)
}
