// Several hosts in the URL, as nodes of one cluster: each is a proxy before the same RabbitMQ, with a life of its own.
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePort } from '../../../../test-support/free-ports.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import { publication } from '../../src/testing/conformance/fixtures.ts'
import { drain, openPeer } from './support/rabbit.ts'
import { until } from './support/until.ts'

/** Each process has one that publishes and one that consumes. */
const connections = 2

describe.skipIf(!hasRabbit)('RabbitMQ at several hosts', { timeout: 60_000 }, () => {
  it('is reached at the second when nothing listens at the first', async () => {
    const { openHost, url } = await openCluster()
    await using second = await openHost()
    await using peer = await openPeer(url([await freePort(), second.port]))
    expect(await peer.broker.publish([publication('task')])).toEqual([{ accepted: 'yes' }])
    expect(second.connectionCount).toBe(connections)
  })

  it('is reached at the second when the first takes connections and says nothing', async () => {
    const { openHost, url } = await openCluster()
    await using first = await openHost()
    await using second = await openHost()
    first.silence()
    await using peer = await openPeer(url([first.port, second.port], '?connectTimeoutMs=300'))
    expect(await peer.broker.publish([publication('task')])).toEqual([{ accepted: 'yes' }])
    expect([first.connectionCount, second.connectionCount]).toEqual([connections, connections])
  })

  it('says what each of them answered, when none can be used', async () => {
    const { openHost, url } = await openCluster()
    await using silent = await openHost()
    silent.silence()
    const nowhere = await freePort()
    await expect(openPeer(url([nowhere, silent.port], '?connectTimeoutMs=300'))).rejects.toThrow(
      new RegExp(
        `:${nowhere} cannot be used: nothing listens.*; .*:${silent.port} cannot be used: no answer within 300 ms`,
      ),
    )
  })

  it('is used at the other host when the first dies, by consumers and publishers alike', async () => {
    const { openHost, url } = await openCluster()
    const first = await openHost()
    await using second = await openHost()
    await using peer = await openPeer(url([first.port, second.port]))
    const sink = await drain(peer.broker)
    await peer.broker.publish([publication('before')])
    await until('what was sent before', () => sink.ids.has('before'))
    expect([first.connectionCount, second.connectionCount]).toEqual([connections, 0])
    await first[Symbol.asyncDispose]()
    // what is sent before the loss is noticed has an unknown end
    const publish = async (): Promise<boolean> =>
      (await peer.broker.publish([publication('after')]))[0]?.accepted === 'yes'
    await until('a confirm', publish)
    await until('what was sent after', () => sink.ids.has('after'))
    expect(second.connectionCount).toBe(connections)
  })
})

interface Cluster {
  readonly openHost: () => Promise<TcpProxy>
  /** @param query of the first host, which is that of all */
  readonly url: (ports: readonly number[], query?: string) => string
}

/** On a virtual host of its own, gone after the test. */
async function openCluster(): Promise<Cluster> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost()
  onTestFinished(() => rabbit.deleteVhost(vhost))
  return {
    openHost: () => new TcpProxy(rabbit.address.port).listen(),
    url: ([first, ...others], query = '') =>
      [`amqp://127.0.0.1:${first}/${vhost}${query}`, ...others.map(port => `amqp://127.0.0.1:${port}`)].join(';'),
  }
}
