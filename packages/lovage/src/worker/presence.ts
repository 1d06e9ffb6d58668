/** Tells the others that this worker lives, under its node name, until it stops or its heartbeat does. */
import type { Coordination } from '../coordination.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { presencePrefix } from '../core/keys.ts'

/** What is known of a living worker. */
export interface WorkerCard {
  /** `name@host` */
  readonly node: string
  readonly pid: number
  readonly host: string
  readonly queues: readonly string[]
  /** Names of the tasks it can run. */
  readonly tasks: readonly string[]
  readonly concurrency: number
  readonly pool: string
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly version: string
}

const heartbeatMs = 3000
/** Three missed heartbeats. */
const timeToLiveMs = 10_000

export class Presence {
  readonly #coordination: Coordination
  readonly #clock: Clock
  #key: string | undefined
  #timer: Timer | undefined

  constructor(coordination: Coordination, clock: Clock) {
    this.#coordination = coordination
    this.#clock = clock
  }

  /** Takes the node name, or `name-2@host` and so on when a living worker has it. Resolves to the name taken. */
  async start(card: WorkerCard, onTrouble: (error: unknown) => void): Promise<string> {
    const node = await this.#takeName(card)
    const value = JSON.stringify({ ...card, node })
    this.#timer = this.#clock.every(heartbeatMs, () => {
      this.#coordination.put(presencePrefix + node, value, timeToLiveMs).catch(onTrouble)
    })
    return node
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    const key = this.#key
    this.#key = undefined
    if (key !== undefined) await this.#coordination.delete(key)
  }

  async #takeName(card: WorkerCard): Promise<string> {
    for (let suffix = 1; ; suffix++) {
      const node = suffix === 1 ? card.node : card.node.replace('@', `-${suffix}@`)
      const key = presencePrefix + node
      const holder = await this.#coordination.putIfAbsent(key, JSON.stringify({ ...card, node }), timeToLiveMs)
      if (holder !== undefined) continue
      this.#key = key
      return node
    }
  }
}
