/** Reads a stretch of the stream once more, for tasks that are not in memory any more. */
import type { ConsumeMessage } from 'amqplib'
import type { Clock } from '../../../core/clock.ts'
import { BrokerError } from '../../../core/errors.ts'
import type { StoredState } from '../../../core/record.ts'
import type { RabbitConnection } from '../connection.ts'
import { within } from '../connection.ts'
import { channelFault } from '../faults.ts'
import { closeChannel } from '../link.ts'
import type { Link } from '../link.ts'
import { decodeStreamMessage } from './entries.ts'
import type { Entry } from './entries.ts'
import { offsetOf } from './tail.ts'

export interface Stretch {
  readonly stream: string
  /** First offset, and the one to stop before. */
  readonly from: number
  readonly to: number
}

const prefetch = 1000
const ackEvery = 250
const timeoutMs = 10_000

/** Where each task of a stretch was last written. @throws {BrokerError} it cannot be read, or not in time. */
export async function readPlaces(connection: RabbitConnection, stretch: Stretch): Promise<ReadonlyMap<string, number>> {
  const places = new Map<string, number>()
  await read(connection, stretch, (offset, entry) => {
    if (entry.kind === 'state') places.set(entry.state.id, offset)
    else places.delete(entry.id)
  })
  return places
}

/** What was written of a task at its place. @throws {BrokerError} it cannot be read, or not in time. */
export async function readAt(
  connection: RabbitConnection,
  stream: string,
  { id, place }: { readonly id: string; readonly place: number },
): Promise<StoredState | undefined> {
  let state: StoredState | undefined
  await read(connection, { stream, from: place, to: place + 1 }, (_offset, entry) => {
    if (entry.kind === 'state' && entry.state.id === id) state = entry.state
  })
  return state
}

async function read(
  connection: RabbitConnection,
  stretch: Stretch,
  onEntry: (offset: number, entry: Entry) => void,
): Promise<void> {
  const release = connection.hold()
  try {
    await readOn(await connection.link(timeoutMs), stretch, { clock: connection.clock, onEntry })
  } finally {
    release()
  }
}

interface Reading {
  readonly clock: Clock
  readonly onEntry: (offset: number, entry: Entry) => void
}

async function readOn(link: Link, { stream, from, to }: Stretch, { clock, onEntry }: Reading): Promise<void> {
  const what = `look back in ${stream}`
  const { promise: done, resolve, reject } = Promise.withResolvers<void>()
  const channel = await link.channel(error =>
    reject(error === undefined ? new BrokerError(`${what}: the channel was closed`) : channelFault(error, what)),
  )
  const take = (message: ConsumeMessage | null): void => {
    if (message === null) return reject(new BrokerError(`${what}: the stream was deleted`))
    const offset = offsetOf(message)
    const content = offset >= from && offset < to ? decodeStreamMessage(message.content) : undefined
    if (content?.kind === 'batch') for (const entry of content.entries) onEntry(offset, entry)
    if (offset + 1 >= to) return resolve()
    if (message.fields.deliveryTag % ackEvery === 0) channel.ack(message, true)
  }
  try {
    channel.prefetch(prefetch).catch(() => undefined)
    const consumed = channel.consume(stream, take, { arguments: { 'x-stream-offset': from } })
    // what refuses it is told by the end of the channel
    consumed.catch(() => undefined)
    await within(clock, timeoutMs, { what, work: done })
  } finally {
    done.catch(() => undefined)
    void closeChannel(channel).catch(() => undefined)
  }
}
