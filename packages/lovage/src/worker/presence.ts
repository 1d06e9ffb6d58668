/** Tells the others that this worker lives, under its node name, until it stops or its heartbeat does. */
import { hostname } from 'node:os'
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

/** A card, or undefined for what is none: another version's. */
export function readCard(text: string): WorkerCard | undefined {
  try {
    const card = JSON.parse(text) as Partial<WorkerCard>
    const isCard = typeof card.node === 'string' && Array.isArray(card.queues) && Array.isArray(card.tasks)
    return isCard ? (card as WorkerCard) : undefined
  } catch {
    return undefined
  }
}

/** The workers that live: not those of this host whose process is gone, whose card ends only with its heartbeat. */
export async function livingWorkers(coordination: Coordination): Promise<readonly WorkerCard[]> {
  const cards = (await coordination.list(presencePrefix)).map(({ value }) => readCard(value))
  return cards.filter(card => card !== undefined && !isGone(card)) as readonly WorkerCard[]
}

/** Known to be dead; of another host nothing is known. */
function isGone(card: WorkerCard): boolean {
  if (card.host !== hostname()) return false
  try {
    process.kill(card.pid, 0)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
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
      const value = JSON.stringify({ ...card, node })
      const holder = await this.#coordination.putIfAbsent(key, value, timeToLiveMs)
      if (holder !== undefined) {
        const other = readCard(holder)
        if (other === undefined || !isGone(other)) continue
        await this.#coordination.put(key, value, timeToLiveMs)
      }
      this.#key = key
      return node
    }
  }
}
