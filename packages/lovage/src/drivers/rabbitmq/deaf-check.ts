/** Tells a consumer that is connected and deaf: messages wait, slots are free, and nothing comes. */
import { BrokerError } from '../../core/errors.ts'
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
   * Renews the link when that has been so for long enough.
   * @param listening queues that are consumed, with slots free
   * @param isStale whether something came meanwhile, or another channel took over
   */
  async check(listening: readonly string[], isStale: () => boolean): Promise<void> {
    const waiting = listening.length === 0 ? 0 : await this.#readyCount(listening).catch(() => 1)
    if (waiting === 0 || isStale()) return void (this.#quietChecks = 0)
    if (++this.#quietChecks < deafAfter) return
    this.#quietChecks = 0
    const where = listening.join(', ')
    this.#connection.renew(new BrokerError(`Messages wait in ${where}, and none is delivered: connecting anew`))
  }

  async #readyCount(queues: readonly string[]): Promise<number> {
    return await this.#connection.withChannel('count what waits', async channel => {
      let count = 0
      for (const queue of queues) count += (await channel.checkQueue(queue)).messageCount
      return count
    })
  }
}
