/** Between the seams' messages and the table's rows, on the main side. */
import type { Delivery, Notice, ParkedMessage, Publication } from '../../broker.ts'
import { describe, EncodeError, InvalidArgumentError } from '../../core/errors.ts'
import type { MessageProperties, WireMessage } from '../../core/wire.ts'
import type { DeliveryRow, MessageRow, NoticeRow, ParkedRow } from './ops.ts'

/** @throws {InvalidArgumentError | EncodeError} it cannot be carried. */
export function toMessageRow({ id, queue, message, priority = 0, notBefore, record }: Publication): MessageRow {
  if (queue === '') throw new InvalidArgumentError('A message needs the name of a queue; it is empty')
  if (!Number.isInteger(priority) || priority < 0 || priority > 9) {
    throw new InvalidArgumentError(
      `A priority is an integer from 0 to 9, and 9 goes first; it is ${describe(priority)}`,
    )
  }
  if (notBefore !== undefined && !Number.isFinite(notBefore)) {
    throw new InvalidArgumentError(`notBefore is an instant in epoch milliseconds; it is ${describe(notBefore)}`)
  }
  return { id, queue, priority, notBefore, record, ...toParts(message) }
}

/** The head of a message with more headers. @throws {EncodeError} they cannot be carried. */
export function headWith({ properties, headers }: WireMessage, more: WireMessage['headers']): string {
  return toParts({ properties, headers: { ...headers, ...more }, body: '' }).head
}

export function toNoticeRow(address: string, message: WireMessage): NoticeRow {
  return { address, ...toParts(message) }
}

/** `head` is JSON text, cheaper to hand between threads than an object, and what the table keeps. */
function toParts({ properties, headers, body }: WireMessage): { head: string; body: string | Uint8Array } {
  const kept = isUsual(properties, headers['id']) ? usual : properties
  try {
    return { head: JSON.stringify([kept, saying(headers)]), body: typeof body === 'string' ? body : ownBytes(body) }
  } catch (cause) {
    throw new EncodeError('The headers of a message hold a value that JSON cannot carry: send JSON values only', {
      cause,
    })
  }
}

/** A view on a larger buffer would travel with all of it. */
function ownBytes(body: Uint8Array): Uint8Array {
  return body.byteLength === body.buffer.byteLength ? body : new Uint8Array(body)
}

function toMessage({ head, body }: { readonly head: string; readonly body: string | Uint8Array }): WireMessage {
  const [kept, headers] = parseHead(head)
  return { properties: kept === usual ? usualProperties(headers['id'] as string) : kept, headers, body }
}

type Head = readonly [properties: MessageProperties | typeof usual, headers: Readonly<Record<string, unknown>>]

/** A head that cannot be read is an empty one: whoever gets the message finds that it is no task, and parks it. */
function parseHead(text: string): Head {
  try {
    const head: unknown = JSON.parse(text)
    return isHead(head) ? head : [usual, {}]
  } catch {
    return [usual, {}]
  }
}

function isHead(head: unknown): head is Head {
  if (!Array.isArray(head) || !isRecord(head[1])) return false
  return head[0] === usual || (isRecord(head[0]) && typeof head[0]['contentType'] === 'string')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Stands for the properties that nearly all messages have. */
const usual = 0

function usualProperties(id: string): MessageProperties {
  return {
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    correlationId: id,
    replyTo: undefined,
    priority: 0,
    deliveryMode: 2,
  }
}

function isUsual(properties: MessageProperties, id: unknown): boolean {
  const { contentType, contentEncoding, correlationId, replyTo, priority, deliveryMode } = properties
  if (typeof id !== 'string' || correlationId !== id || replyTo !== undefined) return false
  return contentType === 'application/json' && contentEncoding === 'utf-8' && priority === 0 && deliveryMode === 2
}

/**
 * Celery's headers that may be left out when they are null: `readHeaders` takes a missing one for that. On a broker of
 * the wire all of them travel, for Celery's own workers; this file is read by Lovage alone, where they are half of a row.
 */
const nullable: ReadonlySet<string> = new Set(
  (
    'shadow eta expires group group_index parent_id argsrepr kwargsrepr origin ignore_result replaced_task_nesting ' +
    'stamped_headers'
  ).split(' '),
)

/** The headers that say something; a custom null does. */
function saying(headers: WireMessage['headers']): WireMessage['headers'] {
  const kept: Record<string, unknown> = {}
  for (const name in headers) {
    if (name === '__proto__') return headers
    if (!isImplied(name, headers)) kept[name] = headers[name]
  }
  return kept
}

function isImplied(name: string, headers: WireMessage['headers']): boolean {
  const value = headers[name]
  if (value === null) return nullable.has(name)
  switch (name) {
    case 'root_id':
      return value === headers['id']
    case 'replaced_task_nesting':
      return value === 0
    case 'timelimit':
      return Array.isArray(value) && value.every(limit => limit === null)
    case 'stamps':
      return typeof value === 'object' && Object.keys(value as object).length === 0
    default:
      return false
  }
}

export function toDelivery(row: DeliveryRow): Delivery {
  const { token, queue, delivery, crashes } = row
  return {
    token,
    queue,
    message: toMessage(row),
    deliveryCount: delivery,
    redelivered: delivery > 1,
    crashCount: crashes,
  }
}

export function toParked(row: ParkedRow): ParkedMessage {
  const { parkedId, id, queue, reason, parkedAt } = row
  return { parkedId, id, queue, reason, parkedAt, message: toMessage(row) }
}

export function toNotice(row: NoticeRow): Notice {
  return { address: row.address, message: toMessage(row) }
}
