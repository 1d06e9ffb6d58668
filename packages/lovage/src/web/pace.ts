/**
 * The honest remaining time of one run, from its own progress: an average of its pace that forgets with a half-life of
 * 10 s, said only when there is enough to go by, free to fall, slow to rise. Pure.
 */

/** One report of progress. */
export interface Mark {
  /** Epoch milliseconds. */
  readonly at: number
  readonly current: number
  readonly total: number | undefined
  /** Another part of the work, with a pace of its own. */
  readonly phase?: string | undefined
}

const halfLifeMs = 10_000
/** Before that any estimate is a guess. */
const leastMs = 3000
const leastShare = 0.05
/** An estimate rises when it is so much longer for so long. */
const riseFactor = 1.2
const riseAfterMs = 3000

export class Pace {
  readonly #startedAt: number
  #last: Mark
  /** Weighted sum of paces (units per ms), and of the weights. */
  #sum = 0
  #weight = 0
  /** Epoch milliseconds at which it is said to end; undefined: nothing is said. */
  #endAt: number | undefined
  /** Since when the measured end is much later than the said one. */
  #laterSince: number | undefined

  /** @param startedAt of this attempt, epoch milliseconds: nothing was done then. */
  constructor(startedAt: number) {
    this.#startedAt = startedAt
    this.#last = { at: startedAt, current: 0, total: undefined }
  }

  /** Takes marks in the order they come; one that goes back in time or is no progress changes nothing of the pace. */
  observe(mark: Mark): void {
    const { at, current, phase } = this.#last
    if (phase !== undefined && mark.phase !== phase) this.#reset()
    const elapsedMs = mark.at - at
    if (elapsedMs > 0 && mark.current >= current) {
      const kept = 2 ** (-elapsedMs / halfLifeMs)
      this.#sum = this.#sum * kept + ((mark.current - current) / elapsedMs) * (1 - kept)
      this.#weight = this.#weight * kept + (1 - kept)
    }
    this.#last = mark
    this.#settleEnd(mark.at)
  }

  /** Milliseconds left; undefined while nothing honest can be said. */
  remainingMs(now: number): number | undefined {
    return this.#endAt === undefined ? undefined : Math.max(0, Math.round(this.#endAt - now))
  }

  #settleEnd(now: number): void {
    const measured = this.#measuredEnd()
    const said = this.#endAt
    if (measured === undefined || said === undefined || measured <= said) {
      this.#endAt = measured
      this.#laterSince = undefined
      return
    }
    if (measured - now <= (said - now) * riseFactor) {
      this.#laterSince = undefined
      return
    }
    this.#laterSince ??= now
    if (now - this.#laterSince < riseAfterMs) return
    this.#endAt = measured
    this.#laterSince = undefined
  }

  #measuredEnd(): number | undefined {
    const { at, current, total } = this.#last
    if (total === undefined || !(total > 0) || current > total) return undefined
    if (at - this.#startedAt < leastMs || current / total < leastShare) return undefined
    const pace = this.#weight > 0 ? this.#sum / this.#weight : 0
    return pace > 0 ? at + (total - current) / pace : undefined
  }

  #reset(): void {
    this.#sum = 0
    this.#weight = 0
    this.#endAt = undefined
  }
}
