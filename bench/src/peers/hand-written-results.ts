import { WakeFile, type HandWrittenStore } from './hand-written-store.ts'

/** Waits for results: woken by the worker's touch, with slow polling behind it. */
export class HandWrittenResults {
  readonly #store: HandWrittenStore
  readonly #done: WakeFile
  readonly #stopWatching: () => void
  readonly #poll: NodeJS.Timeout
  readonly #waiting = new Map<string, (value: unknown) => void>()
  #change: number

  constructor(store: HandWrittenStore, file: string) {
    this.#store = store
    this.#done = new WakeFile(`${file}.done`)
    this.#change = store.lastChange()
    this.#stopWatching = this.#done.watch(() => this.#read())
    this.#poll = setInterval(() => this.#read(), 500)
  }

  /** Call it in the turn in which they were sent, before anything is read again. */
  wait(ids: readonly string[]): Promise<void> {
    let left = ids.length
    return new Promise((resolve, reject) => {
      for (const [index, id] of ids.entries()) {
        this.#waiting.set(id, value => {
          if (value !== index + 1) reject(new Error(`${String(index)} + 1 gave ${String(value)}`))
          if (--left === 0) resolve()
        })
      }
    })
  }

  close(): void {
    clearInterval(this.#poll)
    this.#stopWatching()
    this.#done.close()
  }

  #read(): void {
    const { ids, change } = this.#store.readySince(this.#change)
    this.#change = change
    for (const id of ids) {
      const onResult = this.#waiting.get(id)
      if (!onResult) continue
      this.#waiting.delete(id)
      onResult(this.#store.result(id))
    }
  }
}
