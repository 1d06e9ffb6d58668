/** What a foreign client is sent about its task: Celery's result document, to the queue it named, under its correlation id. */
import type { StateRecord } from '../core/record.ts'
import { isReadyState } from '../core/states.ts'
import type { WireMessage } from '../core/wire.ts'
import { toResultDocument } from './result-document.ts'
import { withoutValue } from './too-large.ts'

/** RabbitMQ's limit since 4.0. */
const largestBytes = 16 * 1024 * 1024

/** As Celery's `rpc://` sends it: not kept over a restart of the broker. @param record with its facts. */
export function replyMessage(record: StateRecord, correlationId: string): WireMessage {
  const readyAt = isReadyState(record.state) ? record.at : undefined
  const body = toResultDocument({ ...record, facts: record.facts ?? {}, readyAt })
  if (isTooLarge(body)) {
    const why = `its result document has ${Buffer.byteLength(body)} bytes and RabbitMQ takes 16 MiB`
    return replyMessage(withoutValue(record, why), correlationId)
  }
  return {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8', correlationId, deliveryMode: 1 },
    headers: {},
    body,
  }
}

function isTooLarge(body: string): boolean {
  // at most 3 bytes each
  return body.length > largestBytes / 3 && Buffer.byteLength(body) > largestBytes
}
