/** What a foreign client is sent about its task: Celery's result document, to the queue it named, under its correlation id. */
import type { StateRecord } from '../core/record.ts'
import { isReadyState } from '../core/states.ts'
import type { WireMessage } from '../core/wire.ts'
import { toResultDocument } from './result-document.ts'

/** As Celery's `rpc://` sends it: not kept over a restart of the broker. @param record with its facts. */
export function replyMessage(record: StateRecord, correlationId: string): WireMessage {
  const readyAt = isReadyState(record.state) ? record.at : undefined
  return {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8', correlationId, deliveryMode: 1 },
    headers: {},
    body: toResultDocument({ ...record, facts: record.facts ?? {}, readyAt }),
  }
}
