/** The broker half of an SQLite connection. */
import type {
  Broker,
  BrokerCapabilities,
  ConsumeOptions,
  Delivery,
  Disposition,
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
import { coerceError, describe, IllegalStateError, InvalidArgumentError } from '../../core/errors.ts'
import type { WireMessage } from '../../core/wire.ts'
import { matchesPattern } from './followers.ts'
import type { Half } from './half.ts'
import { headWith, toDelivery, toMessageRow, toNotice, toNoticeRow, toParked } from './messages.ts'
import type { MessageRow, RowDisposition, StoreEvent } from './ops.ts'
import { unpackDeliveries } from './packing.ts'
import { mayHaveHappened } from './store-client.ts'

export const sqliteBrokerCapabilities: BrokerCapabilities = {
  delay: true,
  priorities: 9,
  transactions: false,
  redelivery: 'lease',
  handOvers: 'counted',
  keepsPlace: true,
  counts: true,
  atomicSettle: true,
}

/** Rows of one message to the thread; a larger batch goes in parts, each in one transaction. */
const publishRows = 500

interface Consumer {
  readonly options: ConsumeOptions
  readonly end: () => void
  isOpen: boolean
}

export class SqliteBroker implements Broker {
  readonly capabilities: BrokerCapabilities = sqliteBrokerCapabilities
  readonly #half: Half
  readonly #consumers = new Map<number, Consumer>()
  #lastNumber = 0

  constructor(half: Half) {
    this.#half = half
  }

  open(): Promise<void> {
    return this.#half.open()
  }

  async declare(queues: readonly string[]): Promise<void> {
    await this.#half.call({ kind: 'declare', queues })
  }

  async publish(batch: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    const encoded = batch.map(encode)
    const rows = encoded.filter((each): each is MessageRow => !(each instanceof Error))
    const parts = rows.length <= publishRows ? [rows] : chunks(rows, publishRows)
    const outcomes = (await Promise.all(parts.map(part => this.#publishPart(part)))).flat()
    let next = 0
    return encoded.map(each =>
      each instanceof Error ? { accepted: 'no', error: each } : (outcomes[next++] ?? missingOutcome),
    )
  }

  async consume(queues: readonly string[], options: ConsumeOptions): Promise<Subscription> {
    assertPrefetch(options.prefetch)
    const id = ++this.#lastNumber
    const end = this.#half.subscribe({
      onEvent: event => this.#deliver(id, event),
      onEnd: error => this.#ended(id, error),
    })
    this.#consumers.set(id, { options, end, isOpen: true })
    try {
      await this.#half.call({
        kind: 'consume',
        consumer: id,
        queues: [...queues],
        prefetch: options.prefetch,
        node: options.consumer,
      })
    } catch (error) {
      this.#forget(id)
      throw error
    }
    return this.#subscription(id)
  }

  async markStarted(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    if (deliveries.length === 0) return []
    const held = await this.#half.call({ kind: 'started', tokens: deliveries.map(({ token }) => token) })
    return deliveries.filter((_, index) => held[index] !== true)
  }

  settle({ delivery, disposition, successors, record }: Settlement): Promise<SettleOutcome> {
    const rows = successors === undefined ? [] : successors.map(toMessageRow)
    return this.#half.call({
      kind: 'settle',
      token: delivery.token,
      disposition: toRowDisposition(disposition, delivery.message),
      successors: rows,
      record,
    })
  }

  async park(publication: Publication, reason: string): Promise<void> {
    await this.#half.call({ kind: 'park', row: toMessageRow(publication), reason })
  }

  async parked(
    options: {
      readonly queue?: string | undefined
      readonly cursor?: string | undefined
      readonly limit?: number | undefined
    } = {},
  ): Promise<Page<ParkedMessage>> {
    const { queue, cursor, limit = 50 } = options
    const { items, cursor: next } = await this.#half.call({ kind: 'parked', queue, before: toPosition(cursor), limit })
    return { items: items.map(toParked), ...(next === undefined ? {} : { cursor: next }) }
  }

  async takeParked(parkedId: string): Promise<ParkedMessage | undefined> {
    const row = await this.#half.call({ kind: 'takeParked', parkedId })
    return row === undefined ? undefined : toParked(row)
  }

  async send(address: string, message: WireMessage): Promise<void> {
    await this.#half.call({ kind: 'send', notice: toNoticeRow(address, message) })
  }

  async listen(pattern: string, onNotice: (notice: Notice) => void): Promise<() => Promise<void>> {
    const listener = ++this.#lastNumber
    let isOpen = true
    const unsubscribe = this.#half.subscribe({
      onEvent(event) {
        if (event.kind !== 'notices') return
        for (const notice of event.notices)
          if (isOpen && matchesPattern(pattern, notice.address)) onNotice(toNotice(notice))
      },
      onEnd: () => undefined,
      onRestart: () => void this.#half.callIfOpen({ kind: 'listen', listener, pattern }),
    })
    await this.#half.call({ kind: 'listen', listener, pattern })
    return async () => {
      if (!isOpen) return
      isOpen = false
      unsubscribe()
      await this.#half.callIfOpen({ kind: 'unlisten', listener })
    }
  }

  queues(): Promise<readonly string[]> {
    return this.#half.call({ kind: 'queues' })
  }

  stats(queue: string): Promise<QueueStats> {
    return this.#half.call({ kind: 'stats', queue })
  }

  async purge(queue: string): Promise<number> {
    let total = 0
    for (;;) {
      const { purged, more } = await this.#half.call({ kind: 'purge', queue })
      total += purged
      if (!more) return total
    }
  }

  async close(): Promise<void> {
    for (const id of this.#consumers.keys()) this.#forget(id)
    await this.#half.callIfOpen({ kind: 'giveBack' })
    await this.#half.close()
  }

  async #publishPart(rows: readonly MessageRow[]): Promise<readonly PublishOutcome[]> {
    if (rows.length === 0) return []
    try {
      await this.#half.call({ kind: 'publish', rows })
      return rows.map(() => accepted)
    } catch (thrown) {
      if (thrown instanceof IllegalStateError) throw thrown
      const outcome: PublishOutcome = {
        accepted: mayHaveHappened(thrown) ? 'unknown' : 'no',
        error: coerceError(thrown),
      }
      return rows.map(() => outcome)
    }
  }

  #deliver(id: number, event: StoreEvent): void {
    if (event.kind !== 'deliveries' || event.consumer !== id) return
    const consumer = this.#consumers.get(id)
    if (consumer === undefined || !consumer.isOpen) return
    try {
      consumer.options.onDeliveries(unpackDeliveries(event.packed).map(toDelivery))
    } catch (thrown) {
      this.#ended(id, coerceError(thrown))
      void this.#half.callIfOpen({ kind: 'unconsume', consumer: id })
    }
  }

  #ended(id: number, error: Error): void {
    const consumer = this.#consumers.get(id)
    this.#forget(id)
    consumer?.options.onEnd?.(error)
  }

  #forget(id: number): void {
    const consumer = this.#consumers.get(id)
    if (consumer === undefined) return
    this.#consumers.delete(id)
    consumer.isOpen = false
    consumer.end()
  }

  #subscription(id: number): Subscription {
    const half = this.#half
    return {
      setPrefetch(prefetch) {
        assertPrefetch(prefetch)
        void half.callIfOpen({ kind: 'prefetch', consumer: id, prefetch })
      },
      setPaused(queue, paused) {
        void half.callIfOpen({ kind: 'pause', consumer: id, queue, paused })
      },
      close: async () => {
        await half.callIfOpen({ kind: 'unconsume', consumer: id })
        this.#forget(id)
      },
    }
  }
}

const accepted: PublishOutcome = { accepted: 'yes' }
const missingOutcome: PublishOutcome = { accepted: 'unknown', error: new Error('The store gave no outcome') }

function encode(publication: Publication): MessageRow | Error {
  try {
    return toMessageRow(publication)
  } catch (thrown) {
    return coerceError(thrown)
  }
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}

function toRowDisposition(disposition: Disposition, message: WireMessage): RowDisposition {
  if (disposition.kind !== 'requeue' || disposition.headers === undefined) return disposition
  const { headers, ...rest } = disposition
  return { ...rest, head: headWith(message, headers) }
}

function assertPrefetch(prefetch: number): void {
  if (Number.isInteger(prefetch) && prefetch >= 0) return
  throw new InvalidArgumentError(`prefetch is a whole number of deliveries, 0 for none; it is ${describe(prefetch)}`)
}

/** @throws {InvalidArgumentError} it is no cursor of ours. */
export function toPosition(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor)
  throw new InvalidArgumentError(`A cursor is what the page before gave; it is ${describe(cursor)}`)
}
