/** States of tasks that are not in memory: read from the stream once more, from their place or some way back. */
import { BrokerConnectionError, BrokerError, BrokerTimeoutError, type LovageError } from '../../../core/errors.ts'
import type { StoredState } from '../../../core/record.ts'
import type { RabbitConnection } from '../connection.ts'
import { readAt, readPlaces } from './look-back.ts'
import type { ResultQueues } from './names.ts'
import type { Projection } from './projection.ts'
import type { Tail } from './tail.ts'

export interface OlderStatesParts {
  readonly reading: RabbitConnection
  readonly queues: ResultQueues
  readonly projection: Projection
  readonly tail: Tail
  /** In messages of the stream. */
  readonly lookBack: number
}

export interface Older {
  readonly states: ReadonlyMap<string, StoredState>
  /** Why not all that there is could be read. */
  readonly why: string | undefined
}

const noPlaces: ReadonlyMap<string, number> = new Map()
const noStates: ReadonlyMap<string, StoredState> = new Map()

export class OlderStates {
  readonly #parts: OlderStatesParts
  /** Set when somebody first asked for a task older than what was read. */
  #places: Promise<ReadonlyMap<string, number>> | undefined

  constructor(parts: OlderStatesParts) {
    this.#parts = parts
  }

  /** Where the broker is in trouble, what is known in memory is the answer, and this says why there is no more. */
  async find(ids: ReadonlySet<string>, trouble: LovageError | undefined): Promise<Older> {
    if (ids.size === 0) return { states: noStates, why: undefined }
    if (trouble !== undefined) return { states: noStates, why: trouble.message }
    try {
      return { states: await this.#read(ids), why: undefined }
    } catch (error) {
      if (!isOfBroker(error)) throw error
      return { states: noStates, why: error.message }
    }
  }

  async #read(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, StoredState>> {
    const { projection, queues, reading } = this.#parts
    const found = new Map<string, StoredState>()
    for (const id of ids) {
      const isForgotten = projection.wasReady(id) && projection.placeOf(id) === undefined
      if (isForgotten) continue
      const place = projection.placeOf(id) ?? (await this.#placesBefore()).get(id)
      const state = place === undefined ? undefined : await readAt(reading, queues.stream, { id, place })
      if (state !== undefined) found.set(id, state)
    }
    return found
  }

  /** What lies before that which was read when this process began: looked at once, whoever asks for whatever. */
  #placesBefore(): Promise<ReadonlyMap<string, number>> {
    const { tail, queues, reading, lookBack } = this.#parts
    const to = tail.from
    if (to === 0) return Promise.resolve(noPlaces)
    const stretch = { stream: queues.stream, from: Math.max(0, to - lookBack), to }
    this.#places ??= readPlaces(reading, stretch).catch((error: unknown) => {
      this.#places = undefined
      throw error
    })
    return this.#places
  }
}

export function isOfBroker(error: unknown): error is LovageError {
  return error instanceof BrokerError || error instanceof BrokerConnectionError || error instanceof BrokerTimeoutError
}
