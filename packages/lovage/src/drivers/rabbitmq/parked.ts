/**
 * Dead letters, in a queue of their own. Who looks at them takes them all, alone, and gives them back: an exclusive
 * consumer is the lock, and others wait for it.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Channel, Message } from 'amqplib'
import type { Page, ParkedMessage, Publication } from '../../broker.ts'
import { sleep } from '../../core/clock.ts'
import { BrokerError, coerceError } from '../../core/errors.ts'
import type { RabbitConnection } from './connection.ts'
import { replyCode } from './faults.ts'
import { fromTable, toTable } from './headers.ts'
import { textOf, toOutgoing, toWireMessage } from './message.ts'
import { parkedQueue } from './names.ts'
import type { Outgoing } from './publisher.ts'

/** What is known of a parked message, in one header beside its own. */
const noteHeader = 'lovage_parked'
/** What is kept of headers that do not fit: so many, of so many characters each. */
const fewHeaders = 32
const shortHeader = 200
const accessRefused = 403
const retryMs = 25
/** How long others may look at them. */
const patienceMs = 10_000

/** @throws {EncodeError} */
export function toParked(publication: Publication, reason: string, parkedAt: number): Outgoing {
  return parkedAgain(toOutgoing(publication), { id: publication.id, queue: publication.queue, reason, parkedAt })
}

export interface ParkedNote {
  readonly id: string
  readonly queue: string
  readonly reason: string
  /** Epoch milliseconds. */
  readonly parkedAt: number
}

/** A delivery's message as it came, with the note. */
export function parkedAgain({ properties, ...message }: Outgoing, note: ParkedNote): Outgoing {
  const headers = { ...(properties.headers as Record<string, unknown>), ...toTable({ [noteHeader]: { ...note } }) }
  return { ...message, routingKey: parkedQueue, properties: { ...properties, headers, messageId: randomUUID() } }
}

/** Of one of another client, whose headers do not fit ours: the first of the short ones, which tell what it was. */
export function withFewHeaders({ properties, ...message }: Outgoing): Outgoing {
  const headers: Readonly<Record<string, unknown>> = properties.headers ?? {}
  const short = Object.entries(headers).filter(([, value]) => (JSON.stringify(value) ?? '').length <= shortHeader)
  return { ...message, properties: { ...properties, headers: Object.fromEntries(short.slice(0, fewHeaders)) } }
}

interface Found {
  readonly parked: ParkedMessage
  readonly message: Message
}

/** Newest first. */
export async function listParked(
  connection: RabbitConnection,
  {
    queue,
    cursor,
    limit = 50,
  }: { readonly queue?: string | undefined; readonly cursor?: string | undefined; readonly limit?: number | undefined },
): Promise<Page<ParkedMessage>> {
  const all = await look(connection, found => Promise.resolve(found.map(({ parked }) => parked)))
  const wanted = all.toReversed().filter(parked => queue === undefined || parked.queue === queue)
  const start = cursor === undefined ? 0 : 1 + wanted.findIndex(({ parkedId }) => parkedId === cursor)
  const items = wanted.slice(start, start + limit)
  const last = items.at(-1)
  return start + limit < wanted.length && last !== undefined ? { items, cursor: last.parkedId } : { items }
}

export function takeParked(connection: RabbitConnection, parkedId: string): Promise<ParkedMessage | undefined> {
  return look(connection, async (found, channel) => {
    const one = found.find(({ parked }) => parked.parkedId === parkedId)
    if (one !== undefined) channel.ack(one.message)
    return one?.parked
  })
}

/** All of them, oldest first, held while `use` runs. */
async function look<T>(
  connection: RabbitConnection,
  use: (found: readonly Found[], channel: Channel) => Promise<T>,
): Promise<T> {
  const { clock } = connection
  const until = clock.monotonic() + patienceMs
  for (;;) {
    try {
      return await connection.withChannel(`read the queue "${parkedQueue}"`, async channel => {
        const found = await takeAll(channel)
        return await use(found, channel)
      })
    } catch (error) {
      const isTaken = replyCode(coerceError(error).cause) === accessRefused
      if (!isTaken || clock.monotonic() > until) throw error
      await sleep(clock, retryMs * (1 + Math.random()))
    }
  }
}

async function takeAll(channel: Channel): Promise<readonly Found[]> {
  const { messageCount } = await channel.assertQueue(parkedQueue, { durable: true })
  const found: Found[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onMessage = (message: Message | null): void => {
    if (message === null) return reject(new BrokerError(`The queue "${parkedQueue}" was deleted while it was read`))
    found.push({ parked: toParkedMessage(message), message })
    if (found.length >= messageCount) resolve()
  }
  const { consumerTag } = await channel.consume(parkedQueue, onMessage, { exclusive: true })
  // counted again, alone: another may have taken one since
  const { messageCount: left } = await channel.checkQueue(parkedQueue)
  if (found.length + left < messageCount || messageCount === 0) resolve()
  await promise
  await channel.cancel(consumerTag)
  return found
}

function toParkedMessage(message: Message): ParkedMessage {
  const wire = toWireMessage(message)
  const { [noteHeader]: given, ...headers } = wire.headers
  const note =
    typeof given === 'object' && given !== null ? fromTable(given as Record<string, unknown>) : noteOf(message)
  return {
    parkedId: parkedIdOf(message),
    id: textOf(note['id'] ?? wire.properties.correlationId),
    queue: textOf(note['queue']),
    reason: textOf(note['reason'] ?? 'put there by another program'),
    parkedAt: Number(note['parkedAt']) || 0,
    message: { ...wire, headers },
  }
}

/** What the broker says of a message that it has put there itself, by a queue's dead-letter exchange. */
function noteOf({ properties }: Message): Record<string, unknown> {
  const deaths: unknown = fromTable(properties.headers)['x-death']
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined
  if (typeof last !== 'object' || last === null) return {}
  const { queue, reason, time } = last as Readonly<Record<string, unknown>>
  return { queue, reason: `dropped by the broker: ${textOf(reason)}`, parkedAt: (Number(time) || 0) * 1000 }
}

/** Ours have one. Of any other one it is the same for whoever looks, and a copy of it that is alike in all has the same. */
function parkedIdOf({ properties, content }: Message): string {
  const given: unknown = properties.messageId
  if (typeof given === 'string' && given !== '') return given
  return createHash('sha256').update(JSON.stringify(properties)).update(content).digest('hex').slice(0, 32)
}
