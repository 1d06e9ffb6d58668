/** Tells a consumer that is connected and deaf: messages wait, it has room for them, and nothing comes. */
import type { RabbitConnection } from './connection.ts'

/** Consumers that got nothing of what waits, so many times in a row, are deaf. */
const deafAfter = 2

export class DeafCheck {
  readonly #connection: RabbitConnection
  #quietChecks = 0

  constructor(connection: RabbitConnection) {
    this.#connection = connection
  }

  /**
   * Whether that has been so for long enough.
   * @param listening queues that are consumed, with room for more
   * @param isStale whether something came since the last check, or another channel took over
   */
  async isDeaf(listening: readonly string[], isStale: () => boolean): Promise<boolean> {
    const waiting = listening.length === 0 ? 0 : await this.#readyCount(listening).catch(() => 1)
    this.#quietChecks = waiting === 0 || isStale() ? 0 : this.#quietChecks + 1
    if (this.#quietChecks < deafAfter) return false
    this.#quietChecks = 0
    return true
  }

  async #readyCount(queues: readonly string[]): Promise<number> {
    return await this.#connection.withChannel('count what waits', async channel => {
      let count = 0
      for (const queue of queues) count += (await channel.checkQueue(queue)).messageCount
      return count
    })
  }
}
