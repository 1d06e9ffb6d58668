import { lifecycleConformance } from '../../src/testing/conformance/index.ts'

/** The smallest thing that keeps the contract: the suite must be satisfiable. States: idle → starting → running → stopping → stopped. */
class Life {
  state = 'idle'
  readonly #fails: boolean
  #startCount = 0
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  constructor(fails = false) {
    this.#fails = fails
  }

  start(): Promise<void> {
    this.#starting = this.#start(this.#stopping)
    this.#stopping = undefined
    return this.#starting
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop(this.#starting)
    return this.#stopping
  }

  async #start(stopping: Promise<void> | undefined): Promise<void> {
    await stopping
    this.state = 'starting'
    await Promise.resolve()
    this.#startCount += 1
    const hasFailed = this.#fails && this.#startCount === 1
    this.state = hasFailed ? 'idle' : 'running'
    if (hasFailed) throw new Error('The first start fails')
  }

  async #stop(starting: Promise<void> | undefined): Promise<void> {
    await Promise.allSettled([starting])
    this.state = 'stopped'
  }
}

lifecycleConformance('an example', {
  create: () => new Life(),
  createFailing: () => new Life(true),
  states: { running: 'running', stopped: 'stopped' },
})
