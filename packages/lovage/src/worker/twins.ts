/**
 * Deliveries of one attempt that are here at once: its message was sent twice, or comes again because the connection it
 * came over was lost. One goes on; the others are not run beside it, and are judged when it has ended.
 */
import type { Run } from './run.ts'

export class Twins {
  /** By task and attempt, the one that goes on. */
  readonly #firsts = new Map<string, Run>()
  /** By the one that goes on, those that wait for its end. */
  readonly #waiting = new Map<Run, readonly Run[]>()

  /** Whether it has to wait. Else it is the one that goes on. */
  add(run: Run): boolean {
    const attempt = attemptOf(run)
    const first = this.#firsts.get(attempt)
    if (first === undefined) {
      this.#firsts.set(attempt, run)
      return false
    }
    this.#waiting.set(first, [...(this.#waiting.get(first) ?? []), run])
    return true
  }

  /** What goes on now that it has ended: by what is stored. */
  ended(run: Run): Run | undefined {
    const attempt = attemptOf(run)
    if (this.#firsts.get(attempt) === run) this.#firsts.delete(attempt)
    const [next, ...others] = this.#waiting.get(run) ?? []
    if (next === undefined) return undefined
    this.#waiting.delete(run)
    this.#firsts.set(attempt, next)
    if (others.length > 0) this.#waiting.set(next, others)
    return next
  }

  /** Takes out all that wait. */
  drain(): readonly Run[] {
    const all = [...this.#waiting.values()].flat()
    this.#waiting.clear()
    return all
  }
}

/** One string for each. */
export function attemptOf({ request: { id, retries } }: Run): string {
  return retries === 0 ? id : `${id} ${retries}`
}
