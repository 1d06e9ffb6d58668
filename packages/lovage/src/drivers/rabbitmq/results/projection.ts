/**
 * What a process knows of the tasks of its app, made of the stream in its order: a pure machine. The same in every
 * process that has read as far. Bounded: what is ready goes first, oldest end first; of what went, its place in the
 * stream is kept a while longer.
 */
import type { StoredState } from '../../../core/record.ts'
import { fillGaps } from '../../../core/merge-record.ts'
import { compareVersions, isNewer, isReadyState } from '../../../core/states.ts'
import type { ListQuery } from '../../../result-store.ts'
import type { Batch, Entry, StateEntry, StreamMessage } from './entries.ts'

export interface ProjectionLimits {
  readonly maxTasks: number
  readonly maxBytes: number
  /** Of tasks that were dropped: how many places are kept. */
  readonly maxPlaces: number
}

const defaultProjectionLimits: ProjectionLimits = {
  maxTasks: 100_000,
  maxBytes: 64 * 1024 * 1024,
  maxPlaces: 200_000,
}

/** One task as it is known here. */
export interface Known {
  readonly state: StoredState
  readonly born: number
  /** Marks of the inbox messages that made its states, the latest last. */
  readonly marks: readonly string[]
}

const forgotten = -1
/** Of batches: far more than are under way at once. */
const keptNumbers = 4096

interface Kept extends Known {
  readonly bytes: number
  readonly offset: number
}

/** As many as may come again when a relay takes over: what is under way at once. */
export const keptMarks: number = 128

export class Projection {
  readonly #limits: ProjectionLimits
  /** In the order they were first seen, which is that of `born` but for tasks older than what was read. */
  readonly #tasks = new Map<string, Kept>()
  /** Ready tasks, by the time of their end. */
  readonly #ready = new Set<string>()
  /** Where dropped ready tasks stand in the stream; `forgotten`: nowhere any more. */
  readonly #places = new Map<string, number>()
  #bytes = 0
  #term = -1
  /** The start of it was read here, and everything since: no batch of another one counts. */
  #isTermKnown = false
  /** The offset of the last message read; -1: none. */
  #position = -1
  #lastBorn = 0
  /** Numbers of the term's latest batches. */
  readonly #applied = new Set<number>()
  #isSorted = true

  constructor(limits: ProjectionLimits = defaultProjectionLimits) {
    this.#limits = limits
  }

  get term(): number {
    return this.#term
  }

  get position(): number {
    return this.#position
  }

  get lastBorn(): number {
    return this.#lastBorn
  }

  get size(): number {
    return this.#tasks.size
  }

  /**
   * Takes the next message of the stream. @param offset its place
   * @returns the states that are news, in order: what watches are told.
   */
  apply(offset: number, message: StreamMessage): readonly StoredState[] {
    this.#moveTo(offset)
    if (message.kind === 'term') {
      this.#beginTerm(offset)
      this.#isTermKnown = true
      return []
    }
    if (this.#isOfAnotherRelay(message) || this.#isAgain(message)) return []
    return message.entries.flatMap(entry => this.#applyEntry(offset, entry) ?? [])
  }

  /**
   * Which did not know yet that this one had taken over: that one has it in its own hands. The number of its term is
   * lower, or, where the stream was deleted meanwhile, any.
   */
  #isOfAnotherRelay({ term }: Batch): boolean {
    return this.#isTermKnown ? term !== this.#term : term < this.#term
  }

  #moveTo(offset: number): void {
    if (offset !== this.#position + 1) this.resume()
    this.#position = offset
  }

  #beginTerm(term: number): void {
    this.#term = term
    this.#applied.clear()
  }

  /** A relay that does not read back in time writes again: what was forgotten since must not come back with it. */
  #isAgain({ term, number }: Batch): boolean {
    if (term !== this.#term) this.#beginTerm(term)
    if (this.#applied.has(number)) return true
    this.#applied.add(number)
    if (this.#applied.size > keptNumbers) this.#applied.delete(this.#applied.values().next().value ?? 0)
    return false
  }

  /** A message that is none of ours. */
  skip(offset: number): void {
    this.#moveTo(offset)
  }

  /** It is read on after a break: what came meanwhile may be gone, and with it the start of a term. */
  resume(): void {
    this.#isTermKnown = false
  }

  /** The stream is another one, which begins anew; what was known stays true. */
  restart(): void {
    this.#position = -1
    this.#beginTerm(-1)
    this.resume()
    this.#places.clear()
  }

  find(id: string): Known | undefined {
    return this.#tasks.get(id)
  }

  /** Where a task that was dropped here stands in the stream. It was ready. */
  placeOf(id: string): number | undefined {
    const place = this.#places.get(id)
    return place === forgotten ? undefined : place
  }

  /** Whether it is known of a task that it was ready, and nothing else. */
  wasReady(id: string): boolean {
    return this.#places.has(id)
  }

  /** Newest first. */
  list(query: ListQuery): { readonly items: readonly StoredState[]; readonly cursor?: string } {
    const { limit = 50, cursor } = query
    const olderThan = cursor === undefined ? Infinity : Number(cursor)
    const found: Kept[] = []
    for (const kept of this.#newestFirst()) {
      if (kept.born >= olderThan || !matches(kept.state, query)) continue
      if (found.length === limit) return { items: states(found), cursor: String(found.at(-1)?.born) }
      found.push(kept)
    }
    return { items: states(found) }
  }

  #applyEntry(offset: number, entry: Entry): StoredState | undefined {
    if (entry.kind === 'state') return this.#applyState(offset, entry)
    this.#drop(entry.id)
    this.#note(entry.id, forgotten)
    return undefined
  }

  #applyState(offset: number, entry: StateEntry): StoredState | undefined {
    const { state, born, mark } = entry
    const kept = this.#tasks.get(state.id)
    const isNews = isNewer(state, kept?.state)
    if (!isNews && (kept === undefined || !isSameVersion(state, kept.state))) return undefined
    const merged = kept === undefined ? state : { ...state, facts: fillGaps(kept.state.facts, state.facts) }
    const marks = kept === undefined ? [mark] : [...kept.marks.slice(1 - keptMarks), mark]
    this.#keep({ state: merged, born: kept?.born ?? born, marks, offset, bytes: bytesOf(merged, marks) })
    return isNews ? merged : undefined
  }

  #keep(kept: Kept): void {
    const { id, state } = kept.state
    const before = this.#tasks.get(id)
    this.#bytes += kept.bytes - (before?.bytes ?? 0)
    if (before === undefined) {
      this.#isSorted &&= kept.born >= this.#lastBorn
      this.#lastBorn = Math.max(this.#lastBorn, kept.born)
      this.#places.delete(id)
    }
    this.#tasks.set(id, kept)
    if (isReadyState(state)) this.#ready.add(id)
    while (this.#isTooLarge()) this.#dropOne()
  }

  #isTooLarge(): boolean {
    // the last one stays, however large
    return (this.#tasks.size > this.#limits.maxTasks || this.#bytes > this.#limits.maxBytes) && this.#tasks.size > 1
  }

  #dropOne(): void {
    const [ready] = this.#ready
    const id = ready ?? this.#tasks.keys().next().value ?? ''
    const offset = this.#tasks.get(id)?.offset
    this.#drop(id)
    if (ready === undefined || offset === undefined) return
    this.#note(id, offset)
  }

  #note(id: string, place: number): void {
    this.#places.set(id, place)
    if (this.#places.size > this.#limits.maxPlaces) this.#places.delete(this.#places.keys().next().value ?? '')
  }

  #drop(id: string): void {
    this.#bytes -= this.#tasks.get(id)?.bytes ?? 0
    this.#tasks.delete(id)
    this.#ready.delete(id)
  }

  #newestFirst(): readonly Kept[] {
    const tasks = [...this.#tasks.values()].reverse()
    return this.#isSorted ? tasks : tasks.sort((a, b) => b.born - a.born)
  }
}

function isSameVersion(a: StoredState, b: StoredState): boolean {
  return a.state === b.state && compareVersions(a, b) === 0
}

function states(found: readonly Known[]): readonly StoredState[] {
  return found.map(({ state }) => state)
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

/** About what it takes in memory. */
function bytesOf({ id, value, facts }: StoredState, marks: readonly string[]): number {
  return 500 + 2 * id.length + (value?.length ?? 0) + (facts.name?.length ?? 0) + 60 * marks.length
}
