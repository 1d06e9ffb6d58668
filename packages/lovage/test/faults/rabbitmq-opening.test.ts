// The first use of a RabbitMQ by several processes at once, which is when it ends connections: it does so while two of
// them declare the same stream.
import { describe, expect, it } from 'vitest'
import { frameFilter } from '../../../../test-support/amqp-frames.ts'
import type { Frame } from '../../../../test-support/amqp-frames.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import { openRabbit } from '../../src/drivers/rabbitmq/rabbitmq.ts'

const [declares, consumes] = [(50 << 16) + 10, (60 << 16) + 20]

describe.skipIf(!hasRabbit)('A RabbitMQ that is used for the first time', { timeout: 60_000 }, () => {
  it.each([
    ['declared', declares],
    ['read', consumes],
  ])('agrees over the next connection when the first one ends as the control stream is %s', async (_, method) => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    let cutCount = 0
    const createFilter = frameFilter((frame, direction) => {
      const isIt = direction === 'to-server' && methodOf(frame) === method && frame.payload.includes('lovage.control')
      if (isIt && cutCount++ === 0) proxy.cut()
      return cutCount !== 1 || !isIt
    })
    await using proxy = await new TcpProxy(rabbit.address.port, { createFilter }).listen()
    const connection = openRabbit(`amqp://127.0.0.1:${proxy.port}/${vhost}`)
    await connection.coordination.open()
    expect(cutCount).toBeGreaterThan(1)
    expect(await connection.coordination.putIfAbsent('key', 'value', 60_000)).toBeUndefined()
    expect(await connection.coordination.get('key')).toBe('value')
    await connection.close()
    await rabbit.deleteVhost(vhost)
  })
})

function methodOf({ type, payload }: Frame): number {
  return type === 1 ? payload.readUInt32BE(0) : 0
}
