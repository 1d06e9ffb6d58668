/**
 * What is asked and written before a run begins: whether it still may, and that it has begun. Only of runs that others
 * may have had before, that may not run twice, or that waited; all others begin at once.
 */
import type { Backend } from '../backend.ts'
import type { Clock } from '../core/clock.ts'
import { crashPoint } from '../core/crash-point.ts'
import { isSameVersion } from '../core/states.ts'
import { isClosed, whyOvertaken } from './decide.ts'
import type { ExecutorEvents } from './executor.ts'
import { Outcome } from './outcome.ts'
import { recordBase, sawStored, type Run } from './run.ts'
import type { Settler } from './settler.ts'

export interface MarksOptions {
  readonly backend: Backend
  readonly clock: Clock
  /** What goes with STARTED: `{pid, hostname}`, as Celery's. */
  readonly startedValue: string
  readonly isRevoked: (id: string) => { readonly terminate: boolean } | undefined
  readonly events: Pick<ExecutorEvents, 'started'>
}

/** How far the worker has gone with stopping. */
export type Stopping = 'no' | 'draining' | 'aborting'

/** How old what the store said of a task may be when it begins. */
const currentMs = 10

export class Marks {
  readonly #options: MarksOptions
  readonly #settler: Settler
  readonly #stopping: () => Stopping

  constructor(options: MarksOptions, settler: Settler, stopping: () => Stopping) {
    this.#options = options
    this.#settler = settler
    this.#stopping = stopping
  }

  /** Whether `mark` comes before its beginning. */
  areNeeded(run: Run): boolean {
    return run.careful || this.#mustAskAgain(run)
  }

  /** Why it does not begin after all, if it does not. Tries until the store and the broker answer. */
  mark(run: Run): Promise<Outcome | undefined> {
    return this.#settler.insist('mark a start', () => this.#mark(run))
  }

  /** Whether it was news: false when the task has gone further, in somebody else's hands. */
  async writeStart(run: Run): Promise<boolean> {
    run.announced = true
    run.startedAt ??= this.#options.clock.now()
    this.#options.events.started?.(run)
    const record = { ...recordBase(run, this.#options.clock), state: 'STARTED', value: this.#options.startedValue }
    // of a task that may not run twice: neither after a power cut
    const isPromise = run.task?.policy.acksLate === false
    const { results } = this.#options.backend
    const isNews = await results.put(record, { isPromise })
    crashPoint('W4')
    if (isNews) return true
    // what is not news may be ours, written twice: a client sends again what it had no answer for
    const lookup = await results.get(record.id, { isFresh: true })
    return lookup.kind === 'state' && isSameVersion(record, lookup.state)
  }

  async #mark(run: Run): Promise<Outcome | undefined> {
    const isRevoked = (): boolean => this.#options.isRevoked(run.request.id) !== undefined
    if (isRevoked()) return Outcome.revoked('revoked')
    if (this.#stopping() !== 'no' && !run.announced) return Outcome.returned()
    const overtaken = this.#mustAskAgain(run) ? await this.#whyOvertaken(run) : undefined
    if (overtaken !== undefined) return overtaken
    const lost = run.careful ? await this.#markCareful(run) : undefined
    if (lost !== undefined) return lost
    // the pool was not told while this was written: it does not know the run yet
    if (isRevoked()) return Outcome.revoked('revoked')
    return this.#stopping() === 'aborting' ? Outcome.returned() : undefined
  }

  /** While it waited, whoever had it before may have gone on, and ended it. */
  #mustAskAgain({ askedAt, announced }: Run): boolean {
    return askedAt !== undefined && !announced && this.#options.clock.now() - askedAt > currentMs
  }

  async #whyOvertaken(run: Run): Promise<Outcome | undefined> {
    const stored = await this.#settler.storedState(run)
    run.askedAt = this.#options.clock.now()
    sawStored(run, stored)
    return whyOvertaken(run.delivery, run.request, stored)
  }

  async #markCareful(run: Run): Promise<Outcome | undefined> {
    if (this.#mustWriteStart(run) && !(await this.writeStart(run))) return await this.#notNews(run)
    // asked after STARTED is stored: whoever gets it from now on knows that it had begun
    const lost = await this.#options.backend.broker.markStarted([run.delivery])
    return lost.length > 0 ? Outcome.superseded() : undefined
  }

  /**
   * Somebody else has written a start meanwhile. Unless the task has ended that is no reason to drop the delivery: the
   * other one may have lost his, and not know it yet. Whoever gets this one next decides anew, above that start.
   */
  async #notNews(run: Run): Promise<Outcome> {
    const stored = await this.#settler.storedState(run)
    if (stored === undefined || isClosed(stored, run.request.retries)) return Outcome.superseded(stored)
    run.announced = false
    return Outcome.returned()
  }

  /** A task that may not run twice; and where the broker does not count who began, the store does. */
  #mustWriteStart({ task }: Run): boolean {
    return task?.policy.acksLate === false || this.#options.backend.broker.capabilities.handOvers === 'flagged'
  }
}
