/**
 * RabbitMQ for tests. `describe.skipIf(!hasRabbit)`, then `await sharedRabbit()` and a virtual host of one's own for
 * isolation, or `await using server = await startRabbit()` for tests that kill or freeze it.
 */
import { spawnSync } from 'node:child_process'
import { createConnection } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { findRabbitServer, RabbitControl } from './rabbitmq-server.ts'
import type { RabbitAddress } from './rabbitmq-server.ts'

export { startRabbit } from './rabbitmq-server.ts'

/** Whether there is a RabbitMQ to test with. In CI a missing one is installed, or loading this file fails. */
export const hasRabbit: boolean = provideRabbit()

/** Set by `rabbitmq-global.ts`: where the one server of this test run is asked for. */
export const starterVariable = 'RABBIT_OF_THIS_TEST_RUN'

/** The one server of this test run, started by whoever asks first. Nobody may stop it or use its default vhost. */
export async function sharedRabbit(): Promise<RabbitControl> {
  const path = process.env[starterVariable]
  if (path === undefined) throw new Error('sharedRabbit() works below Vitest only; elsewhere: startRabbit()')
  const answer: unknown = JSON.parse(await text(createConnection(path)))
  if (typeof answer !== 'object' || answer === null || !('port' in answer)) throw new Error(JSON.stringify(answer))
  return new RabbitControl(answer as RabbitAddress)
}

function provideRabbit(): boolean {
  if (findRabbitServer() !== undefined) return true
  if (process.env['CI']) {
    const script = fileURLToPath(new URL('../scripts/servers.js', import.meta.url))
    spawnSync(process.execPath, [script, 'rabbitmq-server'], { stdio: 'inherit' })
    if (findRabbitServer() === undefined) throw new Error('CI needs RabbitMQ, and it could not be installed.')
    return true
  }
  console.warn('SKIPPED: everything on RabbitMQ, because it is not installed. Debian: apt-get install rabbitmq-server')
  return false
}
