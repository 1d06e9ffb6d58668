/**
 * What the relay makes of a message of the inbox: pure. Records of our own workers carry versions; a Python worker's
 * documents carry none: order of arrival is the order, RETRY closes an attempt.
 */
import { fillGaps, mergeRecord } from '../../../core/merge-record.ts'
import type { StateRecord, StoredState, TaskFacts } from '../../../core/record.ts'
import { isNewer, isReadyState, stateRank } from '../../../core/states.ts'
import type { StateEntry } from './entries.ts'
import type { Known } from './projection.ts'

/** One change of state out of the inbox. */
export interface Arrival {
  /** With versions, or what of a document can be read. */
  readonly record: StateRecord
  readonly isVersioned: boolean
  /** What tells it from others of its task: drawn by our writers, else a digest. */
  readonly mark: string
}

export interface Judgement {
  /** To be written to the stream; undefined: it is no news. */
  readonly entry: StateEntry | undefined
  /** What its writer is told: whether it was kept. */
  readonly isKept: boolean
}

export interface Circumstances {
  /** Epoch milliseconds. */
  readonly now: number
  /** The number a task gets that is new. */
  readonly nextBorn: number
  /** The task was known, is ready, and was dropped from memory. */
  readonly wasReady: boolean
}

export function judge(arrival: Arrival, known: Known | undefined, circumstances: Circumstances): Judgement {
  const { mark } = arrival
  if (known === undefined && circumstances.wasReady) return { entry: undefined, isKept: false }
  const record = arrival.isVersioned ? arrival.record : stamp(arrival.record, known?.state, circumstances.now)
  const born = known?.born ?? circumstances.nextBorn
  if (isNewer(record, known?.state))
    return { entry: { kind: 'state', state: mergeRecord(known?.state, record), born, mark }, isKept: true }
  // its writer had no answer and asks again, or its relay died before it could say so
  const isKept = known?.marks.includes(mark) ?? false
  if (known === undefined || !tellsMore(known.state.facts, record.facts)) return { entry: undefined, isKept }
  const state = { ...known.state, facts: fillGaps(known.state.facts, record.facts) }
  return { entry: { kind: 'state', state, born, mark }, isKept }
}

/** Gives a document its place: attempt, hand-over and number by the order of arrival. */
export function stamp(record: StateRecord, current: StoredState | undefined, now: number): StateRecord {
  const next = current === undefined ? 0 : current.retries + (current.state === 'RETRY' ? 1 : 0)
  const retries = Math.max(record.retries, next)
  const before = current?.retries === retries && current.state !== 'RETRY' ? current : undefined
  // the task began again: its worker died, and another one has it
  const isAgain = before !== undefined && stateRank(record.state) < stateRank(before.state)
  const delivery = Math.max(1, (before?.delivery ?? 0) + (isAgain ? 1 : 0))
  const seq = before?.delivery === delivery ? Math.floor(before.seq) + 1 : 0
  return { ...record, retries, delivery, seq, at: isReadyState(record.state) && record.at > 0 ? record.at : now }
}

/** Whether a record with versions changes nothing of what is known. */
export function bringsNothing(record: StateRecord, known: StoredState): boolean {
  return !isNewer(record, known) && !tellsMore(known.facts, record.facts)
}

function tellsMore(known: TaskFacts, more: TaskFacts | undefined): boolean {
  return Object.entries(more ?? {}).some(
    ([name, value]) => value !== undefined && known[name as keyof TaskFacts] === undefined,
  )
}

/**
 * Tells a document that comes again, after a relay that died before it acknowledged, from one that says the same once
 * more: those that come again come in their first order.
 */
export class Replays {
  /** By task: how many of its marks have come again; all, once something new has come. */
  readonly #cursors = new Map<string, number>()

  /** @param marks of the states that are in the stream */
  isReplay(id: string, mark: string, marks: readonly string[]): boolean {
    const index = marks.indexOf(mark, this.#cursors.get(id) ?? 0)
    this.#cursors.set(id, index < 0 ? Infinity : index + 1)
    return index >= 0
  }
}
