/**
 * New tasks of an owner or a tag, as they appear: one look at the newest tasks twice a second, however many lists are
 * followed, because the store tells of changes by task id only.
 */
import type { AppInternals } from '../app/internals.ts'
import type { Timer } from '../core/clock.ts'
import type { StoredState } from '../core/record.ts'
import { isReadyState } from '../core/states.ts'
import type { ListQuery } from '../result-store.ts'
import { isAbout } from './access.ts'
import type { Subject } from './access.ts'
import type { WebLimits } from './web-limits.ts'

export type ListSubject = Extract<Subject, { readonly kind: 'list' }>

interface Follower {
  readonly subject: ListSubject
  readonly onTask: (state: StoredState) => void
}

/** A task that has ended is shown to one who comes for so long. */
const recentMs = 3_600_000
const pageLength = 100
/** A burst of more new tasks than this between two looks hides some until the page is opened again. */
const mostPages = 20

export class Lists {
  readonly #app: AppInternals
  readonly #limits: WebLimits
  readonly #followers = new Set<Follower>()
  /** The newest tasks of the last look: where the new ones begin. Undefined before the first. */
  #seen: ReadonlySet<string> | undefined
  #timer: Timer | undefined
  /** The look under way. */
  #looking: Promise<void> | undefined

  constructor(app: AppInternals, limits: WebLimits) {
    this.#app = app
    this.#limits = limits
  }

  /** Tasks now, the newest first: what is not ready, and what lately became so. Follow after it: nothing falls in between. */
  async read(subject: ListSubject): Promise<readonly StoredState[]> {
    // from here on new ones are noticed: one that comes after the reading is told to who follows
    if (this.#seen === undefined) await this.#look()
    const { results } = await this.#app.backend()
    const { items } = await results.list({ ...queryOf(subject), limit: this.#limits.listLength })
    const since = this.#app.clock.now() - recentMs
    return items.filter(({ state, readyAt }) => !isReadyState(state) || (readyAt ?? 0) >= since)
  }

  /** Told of tasks that appear from now on; one that was read may be told again. The function ends it. */
  follow(subject: ListSubject, onTask: (state: StoredState) => void): () => void {
    const follower = { subject, onTask }
    this.#followers.add(follower)
    this.#timer ??= this.#app.clock.every(this.#limits.listMs, () => void this.#look())
    return () => {
      this.#followers.delete(follower)
      if (this.#followers.size === 0) this.stop()
    }
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#seen = undefined
    this.#followers.clear()
  }

  #look(): Promise<void> {
    return (this.#looking ??= this.#lookOnce().finally(() => (this.#looking = undefined)))
  }

  async #lookOnce(): Promise<void> {
    try {
      const { fresh, newest } = await this.#readNew(this.#seen)
      this.#seen = newest
      for (const state of fresh) this.#tell(state)
    } catch {
      // the store is away: what came meanwhile is found by the next look
    }
  }

  async #readNew(
    seen: ReadonlySet<string> | undefined,
  ): Promise<{ readonly fresh: readonly StoredState[]; readonly newest: ReadonlySet<string> }> {
    const { results } = await this.#app.backend()
    const fresh: StoredState[] = []
    let newest: ReadonlySet<string> | undefined
    let cursor: string | undefined
    for (let page = 0; page < mostPages; page++) {
      const { items, cursor: next } = await results.list({ limit: pageLength, cursor })
      newest ??= new Set(items.map(({ id }) => id))
      if (seen === undefined) break
      const known = items.findIndex(({ id }) => seen.has(id))
      fresh.push(...(known < 0 ? items : items.slice(0, known)))
      if (known >= 0 || next === undefined) break
      cursor = next
    }
    return { fresh: fresh.toReversed(), newest: newest ?? new Set() }
  }

  #tell(state: StoredState): void {
    for (const { subject, onTask } of this.#followers) if (isAbout(subject, state)) onTask(state)
  }
}

function queryOf({ by, value }: ListSubject): ListQuery {
  return by === 'owner' ? { owner: value } : { tag: value }
}
