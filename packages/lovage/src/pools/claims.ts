/**
 * Who has a run that was handed over: one shared word each. The task side starts it only by swapping the claim for its
 * negative; the managing side takes it back only by swapping the claim for 0. So a run is started or taken back, never
 * both, and after a thread died it is known which of its runs had started, without a message per run.
 */

/** Runs one thread may hold at a time. */
const capacity = 4096
/** Claims repeat after this many uses of one word, far from those still in use. */
const generations = 500_000

/** The managing side's view. */
export class Claims {
  readonly words: Int32Array = new Int32Array(new SharedArrayBuffer(capacity * Int32Array.BYTES_PER_ELEMENT))
  readonly #free: number[] = []
  #fresh = 0
  #generation = 0

  /** How many more runs may be handed over. */
  get room(): number {
    return this.#free.length + capacity - this.#fresh
  }

  /** A claim for one run; `room` must not be 0. Always positive. */
  take(): number {
    const index = this.#free.pop() ?? this.#fresh++
    this.#generation = (this.#generation % generations) + 1
    const claim = this.#generation * capacity + index
    Atomics.store(this.words, index, claim)
    return claim
  }

  isStarted(claim: number): boolean {
    return Atomics.load(this.words, claim % capacity) === -claim
  }

  /** Takes the run back; false: it has started. */
  cancel(claim: number): boolean {
    if (Atomics.compareExchange(this.words, claim % capacity, claim, 0) !== claim) return false
    this.release(claim)
    return true
  }

  /** The run is over: its word may serve another. */
  release(claim: number): void {
    this.#free.push(claim % capacity)
  }
}

/** On the task side: whether this run may be started; false: it was taken back. */
export function startClaimed(words: Int32Array | undefined, claim: number): boolean {
  if (words === undefined || claim === 0) return true
  return Atomics.compareExchange(words, claim % capacity, claim, -claim) === claim
}
