/** What decides about records: which is newer, what is kept of facts, what has expired. No I/O; the state changes in place. */
import type { Page, Settlement } from '../../broker.ts'
import { fillGaps, mergeRecord } from '../../core/merge-record.ts'
import type { StateRecord, StoredState } from '../../core/record.ts'
import { isNewer, isReadyState } from '../../core/states.ts'
import type { ListQuery } from '../../result-store.ts'

interface KeptRecord {
  readonly state: StoredState
  /** Grows with every task: its place in a list. */
  readonly sequence: number
  /** Epoch milliseconds; undefined: not before it is final. */
  readonly expiresAt: number | undefined
}

export interface ResultState {
  readonly records: Map<string, KeptRecord>
  lastSequence: number
}

export function createResultState(): ResultState {
  return { records: new Map(), lastSequence: 0 }
}

/**
 * Keeps a record if it is newer than what is there; its facts fill gaps even when it is not.
 * @returns the new state, or undefined when the old one stays.
 */
export function keep(results: ResultState, record: StateRecord, keepMs: number): StoredState | undefined {
  const current = results.records.get(record.id)
  if (current !== undefined && !isNewer(record, current.state)) {
    const facts = fillGaps(current.state.facts, record.facts)
    results.records.set(record.id, { ...current, state: { ...current.state, facts } })
    return undefined
  }
  const stored = mergeRecord(current?.state, record)
  const sequence = current?.sequence ?? ++results.lastSequence
  const expiresAt = isReadyState(record.state) ? record.at + (record.keepMs ?? keepMs) : undefined
  results.records.set(record.id, { state: stored, sequence, expiresAt })
  return stored
}

/** Whether what is to follow from a settlement's record would not follow from what is kept. */
export function isOvertaken(results: ResultState, { record, successors }: Settlement): boolean {
  if (record === undefined || successors === undefined) return false
  return isReadyState(results.records.get(record.id)?.state.state ?? '')
}

/** Newest task first. */
export function listStates(results: ResultState, query: ListQuery): Page<StoredState> {
  const { limit = 50, cursor } = query
  const olderThan = cursor === undefined ? Infinity : Number(cursor)
  const matching = [...results.records.values()]
    .filter(({ sequence, state }) => sequence < olderThan && matches(state, query))
    .sort((a, b) => b.sequence - a.sequence)
  const page = matching.slice(0, limit)
  const items = page.map(({ state }) => state)
  return matching.length > limit ? { items, cursor: String(page.at(-1)?.sequence) } : { items }
}

function matches({ state, facts }: StoredState, query: ListQuery): boolean {
  return (
    (query.states?.includes(state) ?? true) &&
    (query.name === undefined || facts.name === query.name) &&
    (query.queue === undefined || facts.queue === query.queue) &&
    (query.owner === undefined || facts.owner === query.owner) &&
    (query.tag === undefined || (facts.tags?.includes(query.tag) ?? false))
  )
}

/** Removes final records; how many. */
export function forget(results: ResultState, ids: readonly string[]): number {
  const final = ids.filter(id => isReadyState(results.records.get(id)?.state.state ?? ''))
  return final.filter(id => results.records.delete(id)).length
}

/** Removes what expired by `now`, epoch milliseconds; how many. */
export function prune(results: ResultState, now: number): number {
  const expired = [...results.records].filter(([, { expiresAt }]) => expiresAt !== undefined && expiresAt <= now)
  return expired.filter(([id]) => results.records.delete(id)).length
}

/** The record of a task whose message was purged; undefined: nothing is known of it, or it is final. */
export function purgedRecord(results: ResultState, id: string, at: number): StateRecord | undefined {
  const current = results.records.get(id)?.state
  if (current === undefined || isReadyState(current.state)) return undefined
  const { retries, delivery, seq } = current
  const value = JSON.stringify({
    type: 'TaskRevokedError',
    message: 'The queue was purged before the task started',
    retryable: false,
    reason: 'revoked',
  })
  return { id, state: 'REVOKED', retries, delivery, seq, at, value }
}
