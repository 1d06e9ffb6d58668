/** The broker half of a memory connection: its subscriptions, and steps handed to the namespace. */
import type {
  Broker,
  BrokerCapabilities,
  ConsumeOptions,
  Delivery,
  Notice,
  Page,
  ParkedMessage,
  Publication,
  PublishOutcome,
  QueueStats,
  Settlement,
  SettleOutcome,
  Subscription,
} from '../../broker.ts'
import { coerceError, EncodeError, IllegalStateError } from '../../core/errors.ts'
import type { WireMessage } from '../../core/wire.ts'
import type { Namespace } from './namespace.ts'
import {
  declareQueue,
  enqueue,
  listParked,
  markStarted,
  park,
  purge,
  queueStats,
  renew,
  settle,
  takeParked,
} from './queue-state.ts'
import type { Instant, ParkedQuery } from './queue-state.ts'
import { isOvertaken, purgedRecord } from './result-state.ts'
import { MemorySubscription } from './subscription.ts'

export const memoryBrokerCapabilities: BrokerCapabilities = {
  delay: true,
  priorities: 9,
  transactions: false,
  redelivery: 'lease',
  handOvers: 'counted',
  keepsPlace: true,
  counts: true,
  atomicSettle: true,
}

export interface MemoryBrokerOptions {
  readonly owner: string
  readonly leaseMs: number
  readonly resultExpiresMs: number
}

export class MemoryBroker implements Broker {
  readonly capabilities: BrokerCapabilities = memoryBrokerCapabilities
  readonly #namespace: Namespace
  readonly #options: MemoryBrokerOptions
  readonly #subscriptions = new Set<MemorySubscription>()
  readonly #listeners = new Set<(notice: Notice) => void>()
  /** new → open (by `open`) → closed (by `close` or `vanish`). */
  #state: 'new' | 'open' | 'closed' = 'new'

  constructor(namespace: Namespace, options: MemoryBrokerOptions) {
    this.#namespace = namespace
    this.#options = options
  }

  async open(): Promise<void> {
    if (this.#state === 'closed') throw closedError()
    this.#state = 'open'
    const { owner, leaseMs } = this.#options
    this.#namespace.addOwner(owner, leaseMs)
  }

  async declare(queues: readonly string[]): Promise<void> {
    await this.#run(() => {
      for (const queue of queues) declareQueue(this.#namespace.queue, queue)
    })
  }

  publish(batch: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    return this.#run(at => batch.map(publication => this.#accept(publication, at)))
  }

  async consume(queues: readonly string[], options: ConsumeOptions): Promise<Subscription> {
    const { owner, leaseMs } = this.#options
    const subscription = new MemorySubscription(this.#namespace, { owner, queues, options })
    await this.#run(at => {
      for (const queue of queues) declareQueue(this.#namespace.queue, queue)
      renew(this.#namespace.queue, owner, { ms: leaseMs, at })
      this.#subscriptions.add(subscription)
      subscription.start()
    })
    return subscription
  }

  markStarted(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    return this.#run(() => markStarted(this.#namespace.queue, deliveries))
  }

  settle(settlement: Settlement): Promise<SettleOutcome> {
    return this.#run(at => {
      if (isOvertaken(this.#namespace.results, settlement)) return 'overtaken'
      const successors = settlement.successors?.map(carried)
      const { outcome, records } = settle(this.#namespace.queue, { ...settlement, successors }, at)
      this.#namespace.keepRecords(records, this.#options.resultExpiresMs)
      if (outcome === 'settled') this.#namespace.ended([settlement.delivery.token])
      return outcome
    })
  }

  park(publication: Publication, reason: string): Promise<void> {
    return this.#run(at => park(this.#namespace.queue, carried(publication), { reason, at }))
  }

  parked(options: ParkedQuery = {}): Promise<Page<ParkedMessage>> {
    return this.#run(() => listParked(this.#namespace.queue, options))
  }

  takeParked(parkedId: string): Promise<ParkedMessage | undefined> {
    return this.#run(() => takeParked(this.#namespace.queue, parkedId))
  }

  async send(address: string, message: WireMessage): Promise<void> {
    const notice = { address, message: carriedMessage(message) }
    await this.#run(() => {
      for (const listener of this.#namespace.listeners) listener(notice)
    })
  }

  async listen(pattern: string, onNotice: (notice: Notice) => void): Promise<() => Promise<void>> {
    const prefix = pattern.endsWith('*') ? pattern.slice(0, -1) : undefined
    const listener = (notice: Notice): void => {
      const isMeant = prefix === undefined ? notice.address === pattern : notice.address.startsWith(prefix)
      if (isMeant && this.#listeners.has(listener)) onNotice(notice)
    }
    await this.#run(() => {
      this.#listeners.add(listener)
      this.#namespace.listeners.add(listener)
    })
    return async () => {
      this.#listeners.delete(listener)
      this.#namespace.listeners.delete(listener)
    }
  }

  queues(): Promise<readonly string[]> {
    return this.#run(() => [...this.#namespace.queue.queues.keys()].sort())
  }

  stats(queue: string): Promise<QueueStats> {
    return this.#run(() => queueStats(this.#namespace.queue, queue))
  }

  purge(queue: string): Promise<number> {
    return this.#run(({ now }) => {
      const ids = purge(this.#namespace.queue, queue)
      const records = [...new Set(ids)].map(id => purgedRecord(this.#namespace.results, id, now))
      this.#namespace.keepRecords(
        records.filter(each => each !== undefined),
        this.#options.resultExpiresMs,
      )
      return ids.length
    })
  }

  async close(): Promise<void> {
    const wasOpen = this.#state === 'open'
    this.#end()
    if (wasOpen) await this.#namespace.run(at => this.#namespace.releaseOwner(this.#options.owner, at))
  }

  /** Ends without giving anything back, as a process that dies. */
  vanish(): void {
    if (this.#state !== 'open') return
    this.#end()
    this.#namespace.vanishOwner(this.#options.owner)
  }

  #end(): void {
    this.#state = 'closed'
    for (const subscription of this.#subscriptions) subscription.end()
    for (const listener of this.#listeners) this.#namespace.listeners.delete(listener)
    this.#listeners.clear()
  }

  #accept(publication: Publication, at: Instant): PublishOutcome {
    try {
      enqueue(this.#namespace.queue, carried(publication), at)
    } catch (error) {
      return { accepted: 'no', error: coerceError(error) }
    }
    if (publication.record !== undefined)
      this.#namespace.keepRecords([publication.record], this.#options.resultExpiresMs)
    return { accepted: 'yes' }
  }

  async #run<T>(step: (at: Instant) => T): Promise<T> {
    if (this.#state === 'closed') throw closedError()
    if (this.#state === 'new') throw new IllegalStateError('This memory broker was not opened: await its open() first')
    return this.#namespace.run(step)
  }
}

function closedError(): IllegalStateError {
  return new IllegalStateError('This memory broker was closed: open another connection')
}

function carried(publication: Publication): Publication {
  return { ...publication, message: carriedMessage(publication.message) }
}

/** A copy, as another process would see it: what JSON cannot carry does not arrive here either. */
function carriedMessage({ properties, headers, body }: WireMessage): WireMessage {
  try {
    return {
      properties: { ...properties },
      headers: JSON.parse(JSON.stringify(headers)) as WireMessage['headers'],
      body: typeof body === 'string' ? body : body.slice(),
    }
  } catch (error) {
    throw new EncodeError('The headers of a message hold a value that JSON cannot carry: send JSON values only', {
      cause: error,
    })
  }
}
