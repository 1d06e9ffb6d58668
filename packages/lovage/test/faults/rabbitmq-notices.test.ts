// Who listens for events and commands goes on listening, whatever happens to its queue or its link.
import { describe, expect, it } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import type { RabbitControl } from '../../../../test-support/rabbitmq-server.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import type { Broker } from '../../src/broker.ts'
import { RabbitBroker } from '../../src/drivers/rabbitmq/broker.ts'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { RabbitSession } from '../../src/drivers/rabbitmq/session.ts'
import { publication } from '../../src/testing/conformance/fixtures.ts'
import { openPeer } from './support/rabbit.ts'
import { until } from './support/until.ts'

const addresses = ['celeryev.worker.heartbeat', 'celery.pidbox', 'reply.celery.pidbox.me', 'other']

describe.skipIf(!hasRabbit)('Listening on RabbitMQ', { timeout: 60_000 }, () => {
  it('goes on when the queues of those who listen are deleted', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    await using peer = await openPeer(rabbit.url(vhost))
    const heard = await listen(peer.broker)
    await deleteQueues(rabbit, vhost)
    await sendUntilHeard(peer.broker, heard)
    expect([...heard].toSorted()).toEqual(addresses.toSorted())
    await peer.close()
    await rabbit.deleteVhost(vhost)
  })

  it('goes on at once over a new link, though the broker believes that the old one is there', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    await using proxy = await new TcpProxy(rabbit.address.port).listen()
    const session = new RabbitSession(parseLocation(`amqp://127.0.0.1:${proxy.port}/${vhost}`))
    const broker = new RabbitBroker(session, {
      register: { note: () => Promise.resolve(), list: () => Promise.resolve([]) },
      signs: { put: () => Promise.resolve(), get: () => Promise.resolve(undefined) },
    })
    await broker.open()
    const heard = await listen(broker)
    const before = proxy.connectionCount
    proxy.silence()
    proxy.heal({ mute: true })
    for (const connection of [session.consuming, session.publishing]) connection.renew(new Error('for the test'))
    await sendUntilHeard(broker, heard)
    // no attempt was refused
    expect(proxy.connectionCount).toBe(before + 2)
    await broker.close()
    await session.close()
    await rabbit.deleteVhost(vhost)
  })
})

async function listen(broker: Broker): Promise<Set<string>> {
  const heard = new Set<string>()
  for (const address of addresses) await broker.listen(address, notice => heard.add(notice.address))
  return heard
}

async function sendUntilHeard(broker: Broker, heard: ReadonlySet<string>): Promise<void> {
  const { message } = publication('notice')
  await until('all addresses', async () => {
    for (const address of addresses) await broker.send(address, message)
    return addresses.every(address => heard.has(address))
  })
}

async function deleteQueues(rabbit: RabbitControl, vhost: string): Promise<void> {
  await rabbit.eval(
    `[rabbit_amqqueue:delete(Q, false, false, <<"tests">>) || Q <- rabbit_amqqueue:list(<<"${vhost}">>)], ok`,
  )
}
