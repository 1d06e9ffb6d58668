/**
 * A task's row on its way to the main thread: an array in the order of `stateColumns`, as SQLite gives it. It becomes a
 * `StoredState` where it is read, so that the store thread neither builds nor clones an object for each state.
 */
import type { StoredState, TaskFacts } from '../../core/record.ts'

export const stateColumns = `id, state, retries, delivery, seq, at, value, name, queue, owner, queued_at, facts, started_at,
  ready_at`

export type StateRow = readonly [
  id: string,
  state: string,
  retries: number,
  delivery: number,
  seq: number,
  at: number,
  value: string | null,
  name: string | null,
  queue: string | null,
  owner: string | null,
  queuedAt: number | null,
  facts: string | null,
  startedAt: number | null,
  readyAt: number | null,
]

export function toStoredState(row: StateRow): StoredState {
  const [id, state, retries, delivery, seq, at, value, name, queue, owner, queuedAt, rest, startedAt, readyAt] = row
  const facts = {
    name: name ?? undefined,
    queue: queue ?? undefined,
    owner: owner ?? undefined,
    queuedAt: queuedAt ?? undefined,
  }
  return {
    id,
    state,
    retries,
    delivery,
    seq,
    at,
    value: value ?? undefined,
    facts: rest === null ? facts : { ...(JSON.parse(rest) as TaskFacts), ...facts },
    startedAt: startedAt ?? undefined,
    readyAt: readyAt ?? undefined,
  }
}
