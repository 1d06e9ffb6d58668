/** One queue, from code: how long it is, hold it, empty it. */
import type { QueueStats } from '../broker.ts'
import type { AppState } from './app-state.ts'
import { InvalidArgumentError } from '../core/errors.ts'
import { pausePrefix } from '../core/keys.ts'
import { assertText } from './options.ts'

export interface Queue {
  readonly name: string
  /** Of messages in it. What the broker cannot count (on RabbitMQ: what is delayed or held) is undefined, never 0. */
  stats(): Promise<QueueStats>
  /** No worker takes from it until `resume`; what runs goes on. Outlives restarts. Idempotent. */
  pause(): Promise<void>
  resume(): Promise<void>
  /**
   * Removes what waits, not what workers hold; how many. Those tasks end REVOKED. On RabbitMQ what is delayed stays, and
   * what was removed is never heard of again: its tasks stay PENDING.
   */
  purge(): Promise<number>
}

/** A key must end some day; a queue paused for ten years is not missed. */
const pauseMs = 10 * 365 * 86_400_000

/** @throws {InvalidArgumentError} the name is none. */
export function createQueue(app: AppState, name: string): Queue {
  if (name === undefined) throw new InvalidArgumentError('app.queue(): expected the name of a queue')
  assertText('app.queue(): the name', name)
  return {
    name,
    stats: async () => (await app.backend()).broker.stats(name),
    async pause() {
      const { coordination } = await app.backend()
      await coordination.put(pausePrefix + name, JSON.stringify({ at: app.clock.now() }), pauseMs)
    },
    async resume() {
      await (await app.backend()).coordination.delete(pausePrefix + name)
    },
    purge: async () => (await app.backend()).broker.purge(name),
  }
}
