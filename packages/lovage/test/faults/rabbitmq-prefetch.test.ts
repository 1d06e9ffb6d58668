// A prefetch cannot be changed at RabbitMQ: consumers are ended and others begin, and meanwhile nothing comes.
import { describe, expect, it, onTestFinished } from 'vitest'
import { declarationOf, frameFilter } from '../../../../test-support/amqp-frames.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import { publication } from '../../src/testing/conformance/fixtures.ts'
import { drain, openPeer } from './support/rabbit.ts'
import { until } from './support/until.ts'

describe.skipIf(!hasRabbit)('A prefetch on RabbitMQ', { timeout: 60_000 }, () => {
  it('keeps its consumers while it wavers, hands on what fits, and gives the rest to others', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    onTestFinished(() => rabbit.deleteVhost(vhost))
    let consumerCount = 0
    const createFilter = frameFilter((frame, direction) => {
      if (direction === 'to-server' && declarationOf(frame)?.what === 'qos') consumerCount++
      return true
    })
    await using proxy = await new TcpProxy(rabbit.address.port, { createFilter }).listen()
    await using peer = await openPeer(`amqp://127.0.0.1:${proxy.port}/${vhost}`)
    const sink = await drain(peer.broker, { prefetch: 64, hold: true })
    const before = consumerCount
    for (const prefetch of [40, 60, 33, 90, 30]) sink.subscription.setPrefetch(prefetch)

    await peer.broker.publish(Array.from({ length: 64 }, (_, index) => publication(`task-${index}`)))
    await until('what fits', () => sink.seen.length === 30)
    expect(consumerCount).toBe(before)

    await using other = await openPeer(rabbit.url(vhost))
    const rest = await drain(other.broker)
    await until('the rest', () => rest.ids.size === 34)
    expect(sink.seen.length).toBe(30)
  })
})
