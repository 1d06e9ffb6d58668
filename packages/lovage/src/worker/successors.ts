/**
 * What follows from an attempt that is over: its next attempt. Made of the delivery and of the state that is stored and
 * nothing else, so that whoever finds it closed publishes the same, under the same ids. Pure.
 */
import type { Publication } from '../broker.ts'
import type { ErrorDocument, StateRecord } from '../core/record.ts'
import { retryMessage } from '../protocol/task-message.ts'
import type { Subject } from './settlement.ts'

/** An attempt as its record closes it. */
export type Closed = Pick<StateRecord, 'state' | 'retries' | 'value' | 'at'>

/** Nothing follows from what belongs to another attempt: its own delivery sees to that. */
export function successorsOf(closed: Closed, { delivery, request }: Subject): readonly Publication[] {
  if (closed.state !== 'RETRY' || closed.retries !== request.retries) return []
  const dueAt = errorIn(closed)?.retryAt ?? closed.at
  return [
    {
      id: request.id,
      queue: delivery.queue,
      message: retryMessage(delivery.message, { retries: request.retries + 1, etaAt: dueAt }),
      priority: request.priority,
      notBefore: dueAt,
    },
  ]
}

/** What was thrown, as its record says; undefined: nobody of ours wrote it. */
export function errorIn({ value }: Pick<Closed, 'value'>): Partial<ErrorDocument> | undefined {
  try {
    const document: unknown = JSON.parse(value ?? 'null')
    return typeof document === 'object' && document !== null ? document : undefined
  } catch {
    return undefined
  }
}
