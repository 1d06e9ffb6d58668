// How long a lost connection waits before each attempt: at random, so that not all processes come back at once.
import { describe, expect, it } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import type { Filter } from '../../../../test-support/tcp-proxy.ts'
import type { Timer } from '../../src/core/clock.ts'
import { RabbitConnection } from '../../src/drivers/rabbitmq/connection.ts'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { TestClock } from '../../src/testing/index.ts'
import { until } from './support/until.ts'

describe.skipIf(!hasRabbit)('A connection to RabbitMQ that is lost', { timeout: 60_000 }, () => {
  it.each([0.25, 0.999])(
    'tries again after %d, drawn at random, of a time that doubles up to three seconds and begins anew once connected',
    async share => {
      const rabbit = await sharedRabbit()
      let isAway = false
      const createFilter = (): Filter => chunk => {
        if (isAway) proxy.cut()
        return isAway ? Buffer.alloc(0) : chunk
      }
      await using proxy = await new TcpProxy(rabbit.address.port, { createFilter }).listen()
      const clock = new WatchedClock()
      const location = parseLocation(`amqp://127.0.0.1:${proxy.port}`)
      const connection = new RabbitConnection({ location, name: 'test', clock, random: () => share })
      await connection.open()
      isAway = true
      proxy.cut()
      const longest = [200, 400, 800, 1600, 3000, 3000]
      // not a moment more: the next pause begins when this one has ended
      for (const index of longest.keys()) await clock.advance(await pauseOf(index))
      const last = await pauseOf(longest.length)
      isAway = false
      await clock.advance(last)
      await until('the connection', () => connection.state === 'connected')
      proxy.cut()
      await pauseOf(longest.length + 1)
      expect(clock.pauses).toEqual([...longest, 3000, 200].map(ms => share * ms))
      await connection.close()

      function pauseOf(index: number): Promise<number> {
        return until('a pause', () => clock.pauses[index])
      }
    },
  )
})

/** Writes down how long it is asked to wait. */
class WatchedClock extends TestClock {
  readonly pauses: number[] = []

  override after(ms: number, run: () => void): Timer {
    this.pauses.push(ms)
    return super.after(ms, run)
  }
}
