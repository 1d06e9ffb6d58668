/** Tells consumers that are connected and deaf: messages wait, they have room for them, and nothing comes. */
import type { RabbitConnection } from './connection.ts'

/** Checks in a row in which messages waited and nothing came: then the consumer is deaf. */
const deafAfter = 2
/** Where it does not help to consume anew, as behind a consumer that the broker prefers, it is done more and more seldom. */
const longestPatience = 64

export class DeafCheck {
  readonly #connection: RabbitConnection
  /** Queues of which something came since the last check. */
  readonly #heard = new Set<string>()
  /** By queue, how many such checks in a row there were. */
  #quietChecks: ReadonlyMap<string, number> = new Map()
  #patience = deafAfter

  constructor(connection: RabbitConnection) {
    this.#connection = connection
  }

  /** A message of the queue came. */
  heard(queue: string): void {
    this.#heard.add(queue)
  }

  /** Other consumers, of which nothing is known yet. */
  restart(): void {
    this.#quietChecks = new Map()
  }

  /** Those whose consumers are deaf. @param listening queues that are consumed, with room for more */
  async find(listening: readonly string[]): Promise<readonly string[]> {
    if (this.#heard.size > 0) this.#patience = deafAfter
    const silent = listening.filter(queue => !this.#heard.has(queue))
    this.#heard.clear()
    const before = this.#quietChecks
    const waiting = silent.length === 0 ? [] : await this.#withMessages(silent).catch(() => silent)
    const quiet = waiting.filter(queue => !this.#heard.has(queue))
    this.#quietChecks = new Map(quiet.map(queue => [queue, (before.get(queue) ?? 0) + 1]))
    const deaf = quiet.filter(queue => (this.#quietChecks.get(queue) ?? 0) >= this.#patience)
    if (deaf.length === 0) return []
    this.#patience = Math.min(2 * this.#patience, longestPatience)
    this.restart()
    return deaf
  }

  async #withMessages(queues: readonly string[]): Promise<readonly string[]> {
    return await this.#connection.withChannel('count what waits', async channel => {
      const waiting: string[] = []
      for (const queue of queues) if ((await channel.checkQueue(queue)).messageCount > 0) waiting.push(queue)
      return waiting
    })
  }
}
