/**
 * Deliveries that are held longer than the broker leaves them to one (its consumer time-out). Before that, a copy is
 * published with a delay and the original acknowledged; from then on a sign of life in the control stream says that
 * somebody has it. The copy comes round again and again: while there is life it is delayed once more, when the task was
 * settled it is dropped, and when the life is gone it is what runs next. A lease, made of a message.
 */
import { randomUUID } from 'node:crypto'
import type { Message } from 'amqplib'
import type { PublishOutcome } from '../../broker.ts'
import type { Clock, Timer } from '../../core/clock.ts'
import type { Held } from './holds.ts'
import { longCopy, longName, unchanged } from './message.ts'
import type { Outgoing } from './publisher.ts'

/** Where signs of life are kept: coordination. */
export interface Signs {
  put(key: string, value: string, ttlMs: number): Promise<void>
  get(key: string): Promise<string | undefined>
}

export interface LongHoldParts {
  readonly clock: Clock
  readonly signs: Signs
  /** Publishes for the queue, delivered after `delayMs`. */
  readonly send: (outgoing: Outgoing, queue: string, delayMs: number) => Promise<PublishOutcome>
  /** How often a copy comes round: as long as a task waits at most that lost its worker. */
  readonly roundMs: number
}

interface LongHold {
  readonly held: Held
  readonly key: string
  readonly renewal: Timer
  readonly onEnd: () => void
}

const keyPrefix = 'long/'
const running = 'running'
const settled = 'settled'
/** The copy of what was settled may wait behind a long queue, or for a broker that is away. */
const settledMs = 24 * 3_600_000

export class LongHolds {
  readonly #parts: LongHoldParts
  readonly #byToken = new Map<string, LongHold>()
  #isClosed = false

  constructor(parts: LongHoldParts) {
    this.#parts = parts
  }

  has(token: string): boolean {
    return this.#byToken.has(token)
  }

  find(token: string): Held | undefined {
    return this.#byToken.get(token)?.held
  }

  /**
   * Holds the delivery by a copy from now on, if that could be arranged.
   * @param original acknowledges it: whether it was still held. `onEnd` is called when the token has been settled.
   */
  async extend(
    token: string,
    held: Held,
    { original, onEnd }: { readonly original: () => Promise<boolean>; readonly onEnd: () => void },
  ): Promise<boolean> {
    const { clock, signs, send, roundMs } = this.#parts
    const name = randomUUID()
    const key = keyPrefix + name
    await signs.put(key, running, this.#lifeMs)
    const outcome = await send(longCopy(held.message, held.queue, name), held.queue, roundMs)
    if (outcome.accepted === 'yes') {
      const renewal = clock.every(roundMs / 4, () => void signs.put(key, running, this.#lifeMs).catch(() => undefined))
      // before the original is acknowledged: in between it may be settled
      this.#byToken.set(token, { held, key, renewal, onEnd })
      // closed meanwhile: the copy is what runs next
      if (this.#isClosed) renewal.cancel()
      if (await original()) return true
    }
    // whoever gets the copy drops it; where it may not have been taken, there is none
    await this.end(token)
    await signs.put(key, settled, settledMs)
    return false
  }

  /** The token was settled: the copy that still comes round is nobody's. False: it is none of these. */
  async end(token: string): Promise<boolean> {
    const hold = this.#byToken.get(token)
    if (hold === undefined) return false
    this.#byToken.delete(token)
    hold.renewal.cancel()
    hold.onEnd()
    // should it not be written, the copy asks the result store, as every redelivery does
    await this.#parts.signs.put(hold.key, settled, settledMs).catch(() => undefined)
    return true
  }

  /** Gives it up: its copy is what runs next, when it comes round. False: it is none of these. */
  letGo(token: string): boolean {
    const hold = this.#byToken.get(token)
    if (hold === undefined) return false
    this.#byToken.delete(token)
    hold.renewal.cancel()
    hold.onEnd()
    // should it not be written, the sign ends by itself
    this.#parts.signs.put(hold.key, running, 1).catch(() => undefined)
    return true
  }

  /** Whether a message is such a copy. */
  isCopy(message: Message): boolean {
    return longName(message) !== undefined
  }

  /** What to do with a copy that came round: hand it over, or nothing more than acknowledge it. @throws the signs cannot be read */
  async decide(message: Message, queue: string): Promise<'hand over' | 'acknowledge'> {
    const { signs, send, roundMs } = this.#parts
    const sign = await signs.get(keyPrefix + (longName(message) ?? ''))
    if (sign === settled) return 'acknowledge'
    if (sign === undefined) return 'hand over'
    const outcome = await send(unchanged(message, queue), queue, roundMs)
    if (outcome.accepted !== 'yes') throw outcome.error
    return 'acknowledge'
  }

  /** Gives all of them up: their copies run next. */
  async close(): Promise<void> {
    this.#isClosed = true
    const holds = Array.from(this.#byToken.values())
    this.#byToken.clear()
    for (const { renewal } of holds) renewal.cancel()
    await Promise.all(holds.map(({ key }) => this.#parts.signs.put(key, running, 1).catch(() => undefined)))
  }

  /** Two copies may come round before it ends. */
  get #lifeMs(): number {
    return 2.5 * this.#parts.roundMs
  }
}
