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

export function toNoticeRow(address: string, message: WireMessage): NoticeRow {
  return { address, ...toParts(message) }
}

/** `head` is JSON text, cheaper to hand between threads than an object, and what the table keeps. */
function toParts({ properties, headers, body }: WireMessage): { head: string; body: string | Uint8Array } {
  try {
    return { head: JSON.stringify([properties, headers]), body: typeof body === 'string' ? body : ownBytes(body) }
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
  const [properties, headers] = JSON.parse(head) as [MessageProperties, Record<string, unknown>]
  return { properties, headers, body }
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
