/** Reads a stretch of the stream once more, for tasks that are not in memory any more. */
import type { ConsumeMessage } from 'amqplib'
import type { StoredState } from '../../../core/record.ts'
import type { RabbitConnection } from '../connection.ts'
import { within } from '../connection.ts'
import { closeChannel } from '../link.ts'
import { decodeStreamMessage } from './entries.ts'
import { Projection } from './projection.ts'
import { offsetOf } from './tail.ts'

export interface Stretch {
  readonly stream: string
  /** First offset, and the one to stop before. */
  readonly from: number
  readonly to: number
  /** How long it may take; what was found by then is what there is. */
  readonly timeoutMs: number
}

const prefetch = 1000
const ackEvery = 250

/** The states of some tasks as a stretch of the stream leaves them. @throws {BrokerError | BrokerConnectionError} */
export async function lookBack(
  connection: RabbitConnection,
  { stream, from, to, timeoutMs }: Stretch,
  ids: ReadonlySet<string>,
): Promise<ReadonlyMap<string, StoredState>> {
  const seen = new Projection()
  const link = await connection.link(timeoutMs)
  const { promise: done, resolve } = Promise.withResolvers<void>()
  const channel = await link.channel(() => resolve())
  let unacked = 0
  const take = (message: ConsumeMessage | null): void => {
    if (message === null) return resolve()
    const offset = offsetOf(message)
    if (offset >= from && offset < to) applyOf(seen, { offset, message, ids })
    if (offset + 1 >= to) return resolve()
    if (++unacked % ackEvery === 0) channel.ack(message, true)
  }
  try {
    await channel.prefetch(prefetch)
    await channel.consume(stream, take, { arguments: { 'x-stream-offset': from } })
    await within(connection.clock, timeoutMs, { what: 'look back', work: done }).catch(() => undefined)
  } finally {
    await closeChannel(channel).catch(() => undefined)
  }
  const found = new Map<string, StoredState>()
  for (const id of ids) {
    const state = seen.find(id)?.state
    if (state !== undefined) found.set(id, state)
  }
  return found
}

/** Only what was asked for is kept. */
function applyOf(
  seen: Projection,
  {
    offset,
    message,
    ids,
  }: { readonly offset: number; readonly message: ConsumeMessage; readonly ids: ReadonlySet<string> },
): void {
  const decoded = decodeStreamMessage(message.content)
  if (decoded?.kind !== 'batch') return void (decoded !== undefined && seen.apply(offset, decoded))
  const entries = decoded.entries.filter(entry => ids.has(entry.kind === 'state' ? entry.state.id : entry.id))
  seen.apply(offset, { ...decoded, entries })
}
