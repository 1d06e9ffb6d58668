/** Deliveries that wait for their time in the worker's memory, where the broker has no delay of its own. Bounded; one timer. */
import type { Clock, Timer } from '../core/clock.ts'

const longestWaitMs = 60_000

interface Entry<T> {
  readonly dueAt: number
  readonly item: T
}

export class DueQueue<T> {
  readonly #clock: Clock
  readonly #limit: number
  readonly #onDue: (item: T) => void
  /** A binary heap by `dueAt`. */
  #heap: Entry<T>[] = []
  #timer: Timer | undefined

  constructor(options: { readonly clock: Clock; readonly limit: number; readonly onDue: (item: T) => void }) {
    this.#clock = options.clock
    this.#limit = options.limit
    this.#onDue = options.onDue
  }

  get size(): number {
    return this.#heap.length
  }

  /** False: it is full, nothing was added. @param dueAt epoch ms */
  add(item: T, dueAt: number): boolean {
    if (this.#heap.length >= this.#limit) return false
    this.#heap.push({ dueAt, item })
    siftUp(this.#heap)
    if (this.#heap[0]?.item === item) this.#arm()
    return true
  }

  /** Takes one out; false: it is not here. */
  remove(item: T): boolean {
    const index = this.#heap.findIndex(entry => entry.item === item)
    if (index < 0) return false
    this.#heap.splice(index, 1)
    this.#heap.sort((a, b) => a.dueAt - b.dueAt)
    this.#arm()
    return true
  }

  /** What waits, in no order. */
  items(): T[] {
    return this.#heap.map(entry => entry.item)
  }

  /** Empties it and gives what waited. */
  drain(): T[] {
    const items = this.items()
    this.#heap = []
    this.#arm()
    return items
  }

  #arm(): void {
    this.#timer?.cancel()
    const first = this.#heap[0]
    if (first === undefined) return
    // the wall clock may jump, and a timer does not see it: looked at again within a minute
    const ms = Math.min(first.dueAt - this.#clock.now(), longestWaitMs)
    this.#timer = this.#clock.after(ms, () => this.#fire())
  }

  #fire(): void {
    const now = this.#clock.now()
    for (let first = this.#heap[0]; first !== undefined && first.dueAt <= now; first = this.#heap[0]) {
      removeFirst(this.#heap)
      this.#onDue(first.item)
    }
    this.#arm()
  }
}

function siftUp(heap: { readonly dueAt: number }[]): void {
  let index = heap.length - 1
  while (index > 0) {
    const parent = (index - 1) >> 1
    if (!swapIfLater(heap, parent, index)) return
    index = parent
  }
}

function removeFirst(heap: { readonly dueAt: number }[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  heap[0] = last
  let index = 0
  for (;;) {
    const left = 2 * index + 1
    const right = left + 1
    const least = right < heap.length && dueAt(heap, right) < dueAt(heap, left) ? right : left
    if (least >= heap.length || !swapIfLater(heap, index, least)) return
    index = least
  }
}

/** Puts the earlier of two entries first; false: it already was. */
function swapIfLater(heap: { readonly dueAt: number }[], upper: number, lower: number): boolean {
  const [a, b] = [heap[upper], heap[lower]]
  if (a === undefined || b === undefined || a.dueAt <= b.dueAt) return false
  heap[upper] = b
  heap[lower] = a
  return true
}

function dueAt(heap: readonly { readonly dueAt: number }[], index: number): number {
  return heap[index]?.dueAt ?? Infinity
}
