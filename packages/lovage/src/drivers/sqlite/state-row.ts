/**
 * A task's row on its way to the main thread: an array in the order of `stateColumns`, as SQLite gives it. It becomes a
 * `StoredState` where it is read, so that the store thread neither builds nor clones an object for each state.
 */
import type { StoredState, TaskFacts } from '../../core/record.ts'
import { numberIn } from './schema.ts'

export const stateColumns: string = `id, state, ${numberIn('retries')}, ${numberIn('delivery')}, seq, ${numberIn('at')}, value,
  name, queue, owner, ${numberIn('queued_at')}, facts, ${numberIn('started_at')}, ${numberIn('ready_at')}`

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
    facts: rest === null ? facts : { ...otherFacts(rest), ...facts },
    startedAt: startedAt ?? undefined,
    readyAt: readyAt ?? undefined,
  }
}

/** What cannot be read is left out: the state still counts. */
function otherFacts(text: string): TaskFacts {
  try {
    const facts: unknown = JSON.parse(text)
    if (typeof facts !== 'object' || facts === null || Array.isArray(facts)) return {}
    const { tags, ...rest } = facts as Readonly<Record<keyof TaskFacts, unknown>>
    const isList = Array.isArray(tags) && tags.every(tag => typeof tag === 'string')
    return { ...textsOf(rest), ...(isList ? { tags } : {}) }
  } catch {
    return {}
  }
}

function textsOf(facts: Readonly<Record<string, unknown>>): TaskFacts {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => typeof value === 'string'))
}
