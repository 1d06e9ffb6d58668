/** The life of a thing that starts and stops, written once: races between `start` and `stop` end well. */

export type LifeState = 'idle' | 'starting' | 'running' | 'draining' | 'stopped'

/**
 * States: idle → starting → running → draining → stopped; a failed start is idle again; stopped may start anew.
 * `stop` before `start` is allowed, `stop` twice is one stop, `start` during a stop waits for it, `stop` during a start
 * lets it end first.
 */
export class Lifecycle {
  readonly #open: () => Promise<void>
  readonly #close: () => Promise<void>
  #state: LifeState = 'idle'
  /** The last thing asked for is the one that is set; each waits for the one before it. */
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  readonly #onStopped: (() => void)[] = []

  constructor(steps: { readonly open: () => Promise<void>; readonly close: () => Promise<void> }) {
    this.#open = steps.open
    this.#close = steps.close
  }

  get state(): LifeState {
    return this.#state
  }

  /** Resolves when it has stopped, whoever stopped it; at once when it already is. */
  stopped(): Promise<void> {
    if (this.#state === 'stopped') return Promise.resolve()
    return new Promise(resolve => this.#onStopped.push(resolve))
  }

  start(): Promise<void> {
    if (this.#starting !== undefined) return this.#starting
    const starting = this.#start(this.#stopping)
    this.#stopping = undefined
    this.#starting = starting
    starting.catch(() => {
      if (this.#starting === starting) this.#starting = undefined
    })
    return starting
  }

  stop(): Promise<void> {
    if (this.#stopping !== undefined) return this.#stopping
    const starting = this.#starting
    this.#starting = undefined
    this.#stopping = this.#stop(starting)
    return this.#stopping
  }

  async #start(stopping: Promise<void> | undefined): Promise<void> {
    await stopping?.catch(() => undefined)
    this.#state = 'starting'
    try {
      await this.#open()
      this.#state = 'running'
    } catch (error) {
      this.#state = 'idle'
      throw error
    }
  }

  async #stop(starting: Promise<void> | undefined): Promise<void> {
    // a failed start has nothing to stop, and its caller has the error
    await starting?.catch(() => undefined)
    try {
      if (this.#state === 'running') {
        this.#state = 'draining'
        await this.#close()
      }
    } finally {
      this.#state = 'stopped'
      for (const tell of this.#onStopped.splice(0)) tell()
    }
  }
}
