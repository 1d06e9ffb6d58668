/**
 * How much work to hold: enough that no slot waits for the broker, little enough that a slow task does not sit on
 * others' work. About 20 ms of work is held, measured by what was finished lately; a long task holds only its slot.
 * Pure: the executor feeds it.
 */

/** Length of one measurement. */
export const tickMs = 20
/** No more than this many deliveries are held, however quick the tasks are. */
const mostHeld = 1000
/** Below it the figure stays calm: a broker whose consumers cannot change it ends and begins them for each. */
const fewest = 16

export class Throughput {
  readonly #slots: number
  /** Tasks finished per tick: up at once, down by a tenth. */
  #perTick = 0
  #finished = 0

  constructor(slots: number) {
    this.#slots = slots
  }

  finished(): void {
    this.#finished++
  }

  /** What was quick is not any more: begins anew, from the slots alone. */
  stalled(): void {
    this.#perTick = 0
    this.#finished = 0
  }

  /** Ends a measurement. */
  tick(): void {
    this.#perTick = Math.max(this.#finished, Math.floor(this.#perTick * 0.9))
    this.#finished = 0
  }

  /**
   * Deliveries to hold unsettled: twice what a tick finishes, so that it can grow.
   * @param settling how many have run and wait for their end to be stored: no work is left in them
   */
  prefetch(settling: number): number {
    const work = 2 * this.#perTick
    // a pace of a few tasks is no quick one; and what cannot be stored for long is not added to for ever
    const done = work < fewest ? 0 : Math.min(settling, 2 * work)
    return Math.max(this.#slots, Math.min(work + done, mostHeld))
  }

  /** Deliveries to hand to the pool: the slots, and about 5 ms of work behind them. */
  window(): number {
    return this.#slots + Math.min(Math.ceil(this.#perTick / 4), mostHeld)
  }
}
