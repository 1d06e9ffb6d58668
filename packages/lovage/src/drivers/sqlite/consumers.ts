/**
 * The subscriptions of this connection, on the thread's side: who may take how much. A consumer whose subscription was
 * closed stays until all it holds is settled. Claims are made here, in the thread, so that one is a hop less away.
 */
import type { MessageTable } from './message-table.ts'
import type { DeliveryRow, OpOf, StoreEvent } from './ops.ts'
import { packDeliveries } from './packing.ts'
import type { Transaction } from './transaction.ts'

interface Consumer {
  readonly id: number
  readonly queues: readonly string[]
  readonly paused: Set<string>
  prefetch: number
  /** Handed over and not settled. */
  unsettled: number
  /** Which queue is asked first next time: none starves behind a full one. */
  turn: number
}

export interface FillOptions {
  readonly owner: number
  readonly tx: Transaction
  readonly emit: (event: StoreEvent) => void
}

/** One claim takes no more than this, so that its transaction stays short. */
const claimLimit = 500

export class Consumers {
  readonly #consumers = new Map<number, Consumer>()
  /** Whose delivery a token is. */
  readonly #holds = new Map<string, Consumer>()

  get isEmpty(): boolean {
    return this.#consumers.size === 0
  }

  add({ consumer: id, queues, prefetch }: OpOf<'consume'>): void {
    this.#consumers.set(id, { id, queues, paused: new Set(), prefetch, unsettled: 0, turn: 0 })
  }

  remove(id: number): void {
    this.#consumers.delete(id)
  }

  clear(): void {
    this.#consumers.clear()
    this.#holds.clear()
  }

  setPrefetch(id: number, prefetch: number): void {
    const consumer = this.#consumers.get(id)
    if (consumer !== undefined) consumer.prefetch = prefetch
  }

  setPaused(id: number, queue: string, paused: boolean): void {
    const consumer = this.#consumers.get(id)
    if (paused) consumer?.paused.add(queue)
    else consumer?.paused.delete(queue)
  }

  /** A delivery was settled, or found lost: its place is free, already for this transaction's own claims. */
  settled(token: string, tx: Transaction): void {
    const consumer = this.#holds.get(token)
    if (consumer === undefined) return
    this.#holds.delete(token)
    consumer.unsettled -= 1
    tx.onRollback(() => {
      this.#holds.set(token, consumer)
      consumer.unsettled += 1
    })
  }

  /** Queues that someone here has room for. */
  wantedQueues(): ReadonlySet<string> {
    const wanted = new Set<string>()
    for (const consumer of this.#consumers.values()) {
      if (consumer.unsettled < consumer.prefetch) for (const queue of activeQueues(consumer)) wanted.add(queue)
    }
    return wanted
  }

  /** Claims for everyone who has room; `emit` is called after the commit. Whether a claim was cut short: claim again soon. */
  fill(table: MessageTable, options: FillOptions): boolean {
    let isCut = false
    for (const consumer of this.#consumers.values()) {
      const batch = claimFor(consumer, table, options.owner)
      if (batch.length === 0) continue
      isCut ||= batch.length === claimLimit
      options.tx.afterCommit(() => {
        consumer.unsettled += batch.length
        for (const { token } of batch) this.#holds.set(token, consumer)
        options.emit({ kind: 'deliveries', consumer: consumer.id, packed: packDeliveries(batch) })
      })
    }
    return isCut
  }
}

function activeQueues({ queues, paused }: Consumer): readonly string[] {
  return paused.size === 0 ? queues : queues.filter(queue => !paused.has(queue))
}

function claimFor(consumer: Consumer, table: MessageTable, owner: number): DeliveryRow[] {
  const queues = activeQueues(consumer)
  const batch: DeliveryRow[] = []
  for (let asked = 0; asked < queues.length; asked++) {
    const room = Math.min(consumer.prefetch - consumer.unsettled, claimLimit) - batch.length
    if (room <= 0) break
    const queue = queues[(consumer.turn + asked) % queues.length]
    if (queue !== undefined) batch.push(...table.claim(queue, owner, room))
  }
  if (batch.length > 0) consumer.turn = (consumer.turn + 1) % queues.length
  return batch
}
