/** What cases send and keep. */
import type { Publication } from '../../broker.ts'
import { systemClock } from '../../core/clock.ts'
import type { StateRecord } from '../../core/record.ts'

/** A message of the task `id`; `queue` is where cases send unless they tell. */
export function publication(id: string, more: Partial<Publication> = {}): Publication {
  const { priority } = more
  const properties = { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: id, priority }
  return {
    id,
    queue: 'queue',
    message: { properties, headers: { id, task: 'conformance' }, body: '[[],{},{}]' },
    ...more,
  }
}

export function record(id: string, state: string, more: Partial<StateRecord> = {}): StateRecord {
  return { id, state, retries: 0, delivery: 0, seq: 0, at: systemClock.now(), ...more }
}

/** The ids `prefix-0` to `prefix-(count - 1)`. */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
}
