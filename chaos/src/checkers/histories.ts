/** What the checkers read: everything that was written down during a run, and what the store says at its end. */
import type { EffectLine, FaultLine, ProducerLine, SeenLine } from '../programs/history.ts'

/** What the store keeps of a task when all is over. */
export interface FinalState {
  readonly state: string
  readonly ready: boolean
  /** Of what goes with it, shortened to a hash as in `SeenLine`. */
  readonly value: string
  /** Epoch milliseconds; undefined when it is not ready. */
  readonly readyAt?: number
  /** Of FAILURE and REVOKED: the error's type. */
  readonly error?: string
}

export interface Histories {
  readonly producers: readonly ProducerLine[]
  readonly effects: readonly EffectLine[]
  readonly seen: readonly SeenLine[]
  readonly faults: readonly FaultLine[]
  /** By task id. */
  readonly finals: ReadonlyMap<string, FinalState>
  /** Whether an attempt's end and the next attempt are one step: else a death in between has the next one sent again. */
  readonly isAtomic: boolean
}

/** One thing that must not be, in words. `id`: of the task, when it is one's. */
export interface Violation {
  readonly rule: string
  readonly id?: string
  readonly what: string
}

export function groupBy<T>(items: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}
