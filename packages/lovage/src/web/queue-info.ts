/** What there is to say of a task that waits: how many workers take its queue, and about where it stands in it. */
import type { Backend } from '../backend.ts'
import { presencePrefix } from '../core/keys.ts'
import type { StoredState } from '../core/record.ts'

export interface QueueInfo {
  readonly workers?: number
  readonly position?: number
}

/** A queue longer than this has no positions. */
const longestQueue = 50
const keepMs = 1000

interface Positions {
  readonly readAt: number
  readonly byId: ReadonlyMap<string, number>
}

export class QueueWatch {
  readonly #backend: () => Promise<Backend>
  readonly #now: () => number
  /** Living workers' queues, by key. */
  readonly #workers = new Map<string, readonly string[]>()
  /** Set once workers are followed; resolves when those living now are known. */
  #following: Promise<() => void> | undefined
  readonly #positions = new Map<string, Positions>()

  constructor(backend: () => Promise<Backend>, now: () => number) {
    this.#backend = backend
    this.#now = now
  }

  /** Of a task that is PENDING in a known queue; undefined for others, and while the store does not answer. */
  async infoOf({ id, state, facts }: StoredState): Promise<QueueInfo | undefined> {
    if (state !== 'PENDING' || facts.queue === undefined) return undefined
    const { queue } = facts
    try {
      await (this.#following ??= this.#follow())
      const position = (await this.#positionsIn(queue)).get(id)
      const workers = [...this.#workers.values()].filter(queues => queues.includes(queue)).length
      return position === undefined ? { workers } : { workers, position }
    } catch {
      return undefined
    }
  }

  async stop(): Promise<void> {
    const following = this.#following
    this.#following = undefined
    this.#workers.clear()
    ;(await following?.catch(() => undefined))?.()
  }

  async #follow(): Promise<() => void> {
    try {
      const { coordination } = await this.#backend()
      return await coordination.watchKeys(presencePrefix, ({ key, value }) => {
        if (value === undefined) this.#workers.delete(key)
        else this.#workers.set(key, queuesOf(value))
      })
    } catch (error) {
      this.#following = undefined
      throw error
    }
  }

  /** 1 is next. Read once a second per queue, however many wait and watch. */
  async #positionsIn(queue: string): Promise<ReadonlyMap<string, number>> {
    const known = this.#positions.get(queue)
    const now = this.#now()
    if (known !== undefined && now - known.readAt < keepMs) return known.byId
    const { results } = await this.#backend()
    const { items, cursor } = await results.list({ queue, states: ['PENDING'], limit: longestQueue })
    const byId = new Map(cursor === undefined ? items.map(({ id }, index) => [id, items.length - index]) : [])
    if (this.#positions.size > 1000) this.#positions.clear()
    this.#positions.set(queue, { readAt: now, byId })
    return byId
  }
}

function queuesOf(card: string): readonly string[] {
  try {
    const { queues } = JSON.parse(card) as { readonly queues?: unknown }
    return Array.isArray(queues) ? queues.filter(each => typeof each === 'string') : []
  } catch {
    return []
  }
}
