/** Our messages ⇄ the client's. What the transport needs for itself travels in headers that are taken off again. */
import { isUtf8 } from 'node:buffer'
import type { Message, Options } from 'amqplib'
import type { Delivery, Publication } from '../../broker.ts'
import { bodyBytes } from '../../core/wire.ts'
import type { WireMessage } from '../../core/wire.ts'
import { fromTable, toTable } from './headers.ts'
import { isBrokerHeader } from './names.ts'
import type { Outgoing } from './publisher.ts'

/** How often it had been handed over, and how many of its workers had died, when it was last published anew. */
const deliveriesHeader = 'lovage_deliveries'
const crashesHeader = 'lovage_crashes'
/** Of the copy that stands for a task which runs longer than the broker leaves it to one: the name of its sign of life. */
const longHeader = 'lovage_long'
const ownNames = new Set([deliveriesHeader, crashesHeader, longHeader])

type Properties = Outgoing['properties']

/** @throws {EncodeError} a header has no form in a table. */
export function toProperties(message: WireMessage, priority?: number): Properties {
  const { contentType, contentEncoding, correlationId, replyTo, deliveryMode } = message.properties
  const rank = priority ?? message.properties.priority
  return {
    contentType,
    contentEncoding,
    headers: toTable(message.headers),
    deliveryMode: deliveryMode ?? 2,
    ...(rank === undefined ? {} : { priority: rank }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(replyTo === undefined ? {} : { replyTo }),
  }
}

export function toBody(message: WireMessage): Buffer {
  const bytes = typeof message.body === 'string' ? Buffer.from(message.body) : bodyBytes(message.body)
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Through the default exchange. @throws {EncodeError} */
export function toOutgoing({ queue, message, priority }: Publication): Outgoing {
  return { exchange: '', routingKey: queue, body: toBody(message), properties: toProperties(message, priority) }
}

export function toWireMessage({ properties, content }: Message): WireMessage {
  const { contentType, contentEncoding, correlationId, replyTo, priority, deliveryMode } = properties as Partial<
    Record<keyof Options.Publish, unknown>
  >
  const encoding = textOf(contentEncoding)
  return {
    properties: {
      contentType: textOf(contentType),
      contentEncoding: encoding,
      correlationId: optionalText(correlationId),
      replyTo: optionalText(replyTo),
      priority: numberOf(priority),
      deliveryMode: numberOf(deliveryMode),
    },
    headers: ownHeaders(properties.headers),
    // a text is cheaper to hand to another thread
    body: encoding === 'utf-8' && isUtf8(content) ? content.toString('utf8') : content,
  }
}

function optionalText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Nothing where there is no text. */
export function textOf(value: unknown): string {
  return optionalText(value) ?? ''
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

function ownHeaders(table: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> {
  return without(fromTable(table), name => isBrokerHeader(name) || ownNames.has(name))
}

function without(headers: Record<string, unknown>, isLeftOut: (name: string) => boolean): Record<string, unknown> {
  for (const name of Object.keys(headers)) if (isLeftOut(name)) delete headers[name]
  return headers
}

/** What the broker knows of earlier hand-overs: a flag on classic queues, a count on quorum queues. */
export function handOvers(message: Message): Pick<Delivery, 'deliveryCount' | 'redelivered' | 'crashCount'> {
  const { fields, properties } = message
  const headers: Readonly<Record<string, unknown>> = properties.headers ?? {}
  const earlier = countOf(headers[deliveriesHeader])
  const isAgain = fields.redelivered === true
  const here = countOf(headers['x-acquired-count']) || countOf(headers['x-delivery-count']) || (isAgain ? 1 : 0)
  return {
    deliveryCount: earlier + here + 1,
    redelivered: isAgain || earlier > 0,
    // a copy is handed over only when whoever ran the task shows no life any more
    crashCount: countOf(headers[crashesHeader]) + (longName(message) === undefined ? 0 : 1),
  }
}

/** Of the sign of life that a copy stands behind; undefined: it is no such copy. */
export function longName({ properties }: Message): string | undefined {
  return optionalText(properties.headers?.[longHeader])
}

/** The same message as it came, transport headers too. */
export function unchanged(message: Message, queue: string): Outgoing {
  const headers = without(fromTable(message.properties.headers), isBrokerHeader)
  const properties = { ...kept(message), headers: toTable(headers) }
  return { exchange: '', routingKey: queue, body: message.content, properties, isCopy: true }
}

/** The copy. */
export function longCopy(message: Message, queue: string, name: string): Outgoing {
  return again(message, queue, { crashed: false, headers: { [longHeader]: name } })
}

function countOf(value: unknown): number {
  const count = typeof value === 'object' && value !== null && 'value' in value ? value.value : value
  return typeof count === 'number' && count > 0 ? count : 0
}

/** The same message to be published anew in place of a delivery, which is acknowledged then. */
export function again(
  message: Message,
  queue: string,
  changes: { readonly crashed: boolean; readonly headers: Readonly<Record<string, unknown>> },
): Outgoing {
  const { deliveryCount, crashCount } = handOvers(message)
  const headers = {
    ...ownHeaders(message.properties.headers),
    ...changes.headers,
    [deliveriesHeader]: deliveryCount,
    ...(changes.crashed || crashCount > 0 ? { [crashesHeader]: crashCount + (changes.crashed ? 1 : 0) } : {}),
  }
  return {
    exchange: '',
    routingKey: queue,
    body: message.content,
    properties: { ...kept(message), headers: toTable(headers) },
    isCopy: true,
  }
}

/** Its properties as they came, but for `expiration`: the header says when it expires. */
function kept({ properties }: Message): Properties {
  const given: Partial<Record<string, unknown>> = { ...properties }
  const names = [
    'contentType',
    'contentEncoding',
    'deliveryMode',
    'priority',
    'correlationId',
    'replyTo',
    'messageId',
    'timestamp',
    'type',
    'appId',
  ]
  return Object.fromEntries(names.flatMap(name => (given[name] === undefined ? [] : [[name, given[name]]])))
}
