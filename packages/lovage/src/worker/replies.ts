/** Which states a foreign client is told, and where. Pure. */
import type { Reply } from '../broker.ts'
import type { StateRecord } from '../core/record.ts'
import { replyMessage } from '../protocol/reply.ts'
import type { Request, TaskPolicy } from './decide.ts'

/** Where the states of a task go besides the store; undefined: nowhere. */
export function replyAddress(request: Request, policy: TaskPolicy | undefined): string | undefined {
  return (request.ignoreResult ?? policy?.ignoreResult ?? false) ? undefined : request.replyTo
}

/** As Celery's workers with their defaults: neither that it was received nor that it has begun. */
export function repliesTo(
  address: string | undefined,
  record: StateRecord,
  correlationId: string = record.id,
): readonly Reply[] {
  if (address === undefined || untold.has(record.state)) return []
  return [{ address, message: replyMessage(record, correlationId) }]
}

const untold: ReadonlySet<string> = new Set(['PENDING', 'RECEIVED', 'STARTED'])
