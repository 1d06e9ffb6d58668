/** What a store keeps when a newer record comes: the record, and what the one before knew that it does not say. Pure. */
import type { StateRecord, StoredState, TaskFacts } from './record.ts'
import { isReadyState } from './states.ts'

/** The state that a record, newer than the `current` one, leaves behind. */
export function mergeRecord(current: StoredState | undefined, record: StateRecord): StoredState {
  const { id, state, retries, delivery, seq, at, value } = record
  const startedAt = startOf(current, record)
  return {
    id,
    state,
    retries,
    delivery,
    seq,
    at,
    facts: fillGaps(current?.facts, record.facts),
    ...(value === undefined ? {} : { value }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(isReadyState(state) ? { readyAt: at } : {}),
  }
}

/** What is known stays, what is not is taken from `more`. */
export function fillGaps(known: TaskFacts | undefined, more: TaskFacts | undefined): TaskFacts {
  const defined = Object.entries(known ?? {}).filter(([, value]) => value !== undefined)
  return { ...more, ...Object.fromEntries(defined) }
}

/** The first to tell of an attempt's start counts, else its first STARTED; a new attempt starts anew. */
function startOf(current: StoredState | undefined, record: StateRecord): number | undefined {
  const known = current?.retries === record.retries ? current.startedAt : undefined
  return known ?? record.startedAt ?? (record.state === 'STARTED' ? record.at : undefined)
}
