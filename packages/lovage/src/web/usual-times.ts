/** How long tasks of a name usually run, from the last ones that ended well: for runs that report no progress. */
import type { Backend } from '../backend.ts'
import type { StoredState } from '../core/record.ts'

/** Fewer say nothing. */
const leastRuns = 5
const runsRead = 50
const keepMs = 60_000
/** Names come from messages: a bound. */
const mostNames = 1000

interface Usual {
  readonly readAt: number
  /** Sorted, milliseconds. */
  durations: readonly number[]
}

export class UsualTimes {
  readonly #backend: () => Promise<Backend>
  readonly #byName = new Map<string, Usual>()

  constructor(backend: () => Promise<Backend>) {
    this.#backend = backend
  }

  /** Milliseconds left of a run that began at `startedAt`; undefined while that is not known, or when it takes unusually long. */
  remainingMs(name: string, startedAt: number, now: number): number | undefined {
    const { durations } = this.#look(name, now)
    if (durations.length < leastRuns) return undefined
    const elapsed = now - startedAt
    const at = (share: number): number => durations[Math.floor((durations.length - 1) * share)] ?? 0
    return elapsed > at(0.9) ? undefined : Math.max(0, at(0.5) - elapsed)
  }

  #look(name: string, now: number): Usual {
    const known = this.#byName.get(name)
    if (known !== undefined && now - known.readAt < keepMs) return known
    if (this.#byName.size >= mostNames) this.#byName.clear()
    const usual: Usual = { readAt: now, durations: known?.durations ?? [] }
    this.#byName.set(name, usual)
    void this.#read(name, usual)
    return usual
  }

  async #read(name: string, usual: Usual): Promise<void> {
    try {
      const { results } = await this.#backend()
      const { items } = await results.list({ name, states: ['SUCCESS'], limit: runsRead })
      usual.durations = items.flatMap(durationOf).sort((a, b) => a - b)
    } catch {
      // a guess is not worth an error: there is none
    }
  }
}

function durationOf({ startedAt, readyAt }: StoredState): number[] {
  return startedAt === undefined || readyAt === undefined || readyAt < startedAt ? [] : [readyAt - startedAt]
}
