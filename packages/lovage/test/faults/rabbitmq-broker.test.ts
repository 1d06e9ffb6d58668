// RabbitMQ stopped, killed, frozen, cut off and deaf, under load and idle: what was confirmed arrives, and everybody recovers.
import { describe, expect, it } from 'vitest'
import { hasRabbit, sharedRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import type { RabbitControl } from '../../../../test-support/rabbitmq-server.ts'
import { ForgottenConsumers, frameFilter, isDelivery } from '../../../../test-support/amqp-frames.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import type { Broker, Delivery } from '../../src/broker.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { Clock } from '../../src/core/clock.ts'
import { BrokerTimeoutError } from '../../src/core/errors.ts'
import { RabbitBroker } from '../../src/drivers/rabbitmq/broker.ts'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { openRabbit } from '../../src/drivers/rabbitmq/rabbitmq.ts'
import { RabbitSession } from '../../src/drivers/rabbitmq/session.ts'
import { publication } from '../../src/testing/conformance/fixtures.ts'
import { drain, Load, openPeer, unacknowledged } from './support/rabbit.ts'
import type { Sink } from './support/rabbit.ts'
import { isLong, until } from './support/until.ts'

const rounds = isLong ? 10 : 2
const slow = { timeout: 240_000 }

describe.skipIf(!hasRabbit)('RabbitMQ', slow, () => {
  for (const fault of ['stop', 'kill'] as const) {
    it(`loses nothing it confirmed when the broker is ${fault === 'stop' ? 'restarted' : 'killed'} under load`, async () => {
      await using server = await startRabbit()
      await using peer = await openPeer(server.url())
      const sink = await drain(peer.broker)
      const load = new Load(peer.broker)
      for (let round = 1; round <= rounds; round++) {
        const before = load.accepted.size
        await until('messages under way', () => load.accepted.size > before + 100)
        await server[fault]()
        await server.start()
      }
      const before = load.accepted.size
      await until('messages again', () => load.accepted.size > before + 50)
      await load.stop()
      const missing = (): string[] => [...load.accepted].filter(id => !sink.ids.has(id))
      await until('every confirmed message', () => missing().length === 0, { last: () => missing().slice(0, 9).join() })
      expect([...sink.ids].filter(id => !load.accepted.has(id) && !load.unknown.has(id))).toEqual([])
    })
  }

  it('answers a publish to a frozen broker in time, as unknown, and goes on when it thaws', async () => {
    await using server = await startRabbit()
    const session = new RabbitSession(parseLocation(server.url()), { publishTimeoutMs: 1000 })
    const broker = new RabbitBroker(session, alone)
    await broker.open()
    const sink = await drain(broker)
    await broker.publish([publication('before')])
    server.freeze()
    const [outcome] = await broker.publish([publication('frozen')])
    expect(outcome).toMatchObject({ accepted: 'unknown', error: expect.any(BrokerTimeoutError) })
    // more than are sent before one is confirmed: the rest is not sent after the time, to wait for ever
    const many = await broker.publish(Array.from({ length: 5000 }, (_, n) => publication(`frozen-${n}`)))
    expect([many[0], many.at(-1)]).toMatchObject([
      { accepted: 'unknown' },
      { accepted: 'no', error: expect.any(BrokerTimeoutError) },
    ])
    server.thaw()
    expect(await broker.publish([publication('after')])).toEqual([{ accepted: 'yes' }])
    await until('what was sent after', () => sink.ids.has('after'))
    await broker.close()
    await session.close()
  })

  it('ends in time when the broker does not answer', async () => {
    await using server = await startRabbit()
    const connection = openRabbit(server.url())
    await connection.broker.open()
    await connection.coordination.open()
    const sink = await drain(connection.broker)
    server.freeze()
    const startedAt = performance.now()
    await sink.subscription.close()
    await connection.close()
    expect(performance.now() - startedAt).toBeLessThan(15_000)
    server.thaw()
  })

  it('recovers an idle consumer behind a link that was half open, within 30 seconds of its return', async () => {
    await using server = await startRabbit()
    await using proxy = await new TcpProxy(server.address.port).listen()
    // the shortest heartbeat instead of ten minutes of silence: the same two missed beats
    await using behind = await openPeer(`amqp://127.0.0.1:${proxy.port}/?heartbeat=1`)
    await using outside = await openPeer(server.url())
    const sink = await drain(behind.broker)
    const before = proxy.connectionCount
    proxy.silence()
    await until('its attempts to connect anew', () => proxy.connectionCount > before, { timeoutMs: 15_000 })
    await outside.broker.publish([publication('meanwhile')])
    proxy.heal()
    const healedAt = performance.now()
    await until('the message from meanwhile', () => sink.ids.has('meanwhile'), { timeoutMs: 60_000 })
    expect(performance.now() - healedAt).toBeLessThan(30_000)
  })

  it('loses nothing that was confirmed when a link under load is half open', async () => {
    await using server = await startRabbit()
    await using proxy = await new TcpProxy(server.address.port).listen()
    await using behind = await openPeer(`amqp://127.0.0.1:${proxy.port}/?heartbeat=1`)
    const sink = await drain(behind.broker)
    const load = new Load(behind.broker)
    for (let round = 0; round < rounds; round++) {
      const before = load.accepted.size
      await until('messages under way', () => load.accepted.size > before + 100)
      const connections = proxy.connectionCount
      proxy.silence()
      await until('its attempts to connect anew', () => proxy.connectionCount > connections, { timeoutMs: 15_000 })
      proxy.heal()
      const healedAt = load.accepted.size
      await until('messages again', () => load.accepted.size > healedAt + 50, { timeoutMs: 30_000 })
    }
    await load.stop()
    const missing = (): string[] => [...load.accepted].filter(id => !sink.ids.has(id))
    await until('every confirmed message', () => missing().length === 0, { last: () => missing().slice(0, 9).join() })
    expect([...sink.ids].filter(id => !load.accepted.has(id) && !load.unknown.has(id))).toEqual([])
  })

  it('says what is in the way, and gives a broker that is back time to come up, however long it was away', async () => {
    await using server = await startRabbit()
    await using proxy = await new TcpProxy(server.address.port).listen()
    let aheadMs = 0
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + aheadMs }
    await using behind = await openPeer(`amqp://127.0.0.1:${proxy.port}/?heartbeat=1`, { clock })
    await using outside = await openPeer(server.url())
    await using other = await openPeer(`${server.url()}?maxPriority=9`)
    const told: (string | undefined)[] = []
    const ends: Error[] = []
    await behind.broker.consume(['queue'], {
      prefetch: 1,
      consumer: 'sink@test',
      onDeliveries: () => told.push('a delivery'),
      onInterruption: reason => told.push(reason?.message),
      onEnd: error => ends.push(error),
    })
    proxy.silence()
    await until('the loss', () => told.length > 0, { timeoutMs: 15_000 })
    expect(told[0]).toMatch(/^The connection was lost: /)
    aheadMs = 3_600_000
    await server.ctl(['delete_queue', 'queue'])
    await other.broker.declare(['queue'])
    proxy.heal()
    await until('the refusal', () => told.some(text => text?.includes('declared otherwise')), { timeoutMs: 30_000 })
    await server.ctl(['delete_queue', 'queue'])
    await until('its return', () => told.at(-1) === undefined, { timeoutMs: 30_000 })
    await outside.broker.publish([publication('after')])
    await until('the message', () => told.at(-1) === 'a delivery')
    expect(ends).toEqual([])
  })

  it('answers `lost` for what was held when the link went, and gives it to another', async () => {
    await using server = await startRabbit()
    await using peer = await openPeer(server.url())
    await using other = await openPeer(server.url())
    const sink = await drain(peer.broker, { hold: true })
    await peer.broker.publish([publication('held')])
    const first = await until('the delivery', () => sink.seen[0])
    await sink.subscription.close()
    await server.closeConnections()
    // its connection was closed, too: one that consumed before might get it just before that
    const heir = await drain(other.broker, { hold: true })
    const again = await until('the redelivery', () => heir.seen[0])
    expect(again).toMatchObject({ redelivered: true, deliveryCount: 2 })
    expect(await peer.broker.settle({ delivery: first, disposition: { kind: 'ack' } })).toBe('lost')
    expect(await other.broker.settle({ delivery: again, disposition: { kind: 'ack' } })).toBe('settled')
  })

  it('connects a deaf consumer anew: messages wait, it is free, and nothing comes', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    let isDeaf = false
    const createFilter = swallowDeliveries(() => isDeaf)
    await using proxy = await new TcpProxy(rabbit.address.port, { createFilter }).listen()
    const session = new RabbitSession(parseLocation(`amqp://127.0.0.1:${proxy.port}/${vhost}`))
    const broker = new RabbitBroker(session, { ...alone, checkMs: 300 })
    await broker.open()
    const sink = await drain(broker, { prefetch: 1 })
    isDeaf = true
    const stop = renewals(session, () => (isDeaf = false))
    await using outside = await openPeer(rabbit.url(vhost))
    // the first is swallowed on its way and fills the prefetch; to the broker it is held
    await outside.broker.publish([publication('swallowed'), publication('waiting')])
    await until('both', () => sink.ids.size === 2)
    expect(isDeaf).toBe(false)
    stop()
    await broker.close()
    await session.close()
    await rabbit.deleteVhost(vhost)
  })

  it('consumes anew where the broker has forgotten the consumer, and goes on with what is held', async () => {
    await using now = await forgetfulBroker()
    const sink = await drain(now.broker, { prefetch: 4, hold: true })
    const held = await now.forgetOneThatHolds(sink)
    await until('the second', () => sink.ids.has('waiting'))
    expect(await now.broker.settle({ delivery: held, disposition: { kind: 'ack' } })).toBe('settled')
    expect(now.renewed).toEqual([])
  })

  it('connects a consumer anew that was forgotten, and whose channel answers nothing', async () => {
    await using now = await forgetfulBroker()
    const sink = await drain(now.broker, { prefetch: 4, hold: true })
    await now.forgetOneThatHolds(sink, { isMute: true })
    await until('the second', () => sink.ids.has('waiting'), { timeoutMs: 30_000 })
    await until('the first, once more', () => sink.seen.length === 3)
    expect(now.renewed).toHaveLength(1)
  })

  it('goes on with a queue that was deleted in use', async () => {
    await using server = await startRabbit()
    await using peer = await openPeer(server.url())
    const sink = await drain(peer.broker)
    await peer.broker.publish([publication('before')])
    await until('the first', () => sink.ids.has('before'))
    await server.ctl(['delete_queue', 'queue'])
    expect(await peer.broker.publish([publication('after')])).toEqual([{ accepted: 'yes' }])
    await until('the second', () => sink.ids.has('after'))
  })

  it('takes up a channel that the broker closed, and does not send its acknowledgements on the next', async () => {
    await using server = await startRabbit({ config: ['consumer_timeout = 3000'] })
    // how often the broker looks; a minute unless told
    await server.eval('application:set_env(rabbit, channel_tick_interval, 500)')
    await using peer = await openPeer(server.url())
    const sink = await drain(peer.broker, { hold: true })
    await peer.broker.publish([publication('slow')])
    const first = await until('the delivery', () => sink.seen[0])
    const second = await until('the redelivery', () => sink.seen[1])
    expect(await peer.broker.settle({ delivery: first, disposition: { kind: 'ack' } })).toBe('lost')
    expect(await peer.broker.settle({ delivery: second, disposition: { kind: 'ack' } })).toBe('settled')
    // what it cannot count is not 0
    expect(await peer.broker.stats('queue')).toEqual({
      queue: 'queue',
      ready: 0,
      delayed: undefined,
      unsettled: undefined,
    })
  })

  it('holds a delivery for longer than the broker leaves it to one, over a lost connection too', async () => {
    await using server = await startRabbit({ config: ['consumer_timeout = 4000'] })
    await using holder = await openPeer(server.url(), { consumerTimeoutMs: 4000, roundMs: 1000 })
    await using other = await openPeer(server.url())
    const sink = await drain(holder.broker, { hold: true, prefetch: 2 })
    await other.broker.publish([publication('long')])
    const long = await until('the delivery', () => sink.seen[0])
    await until('nothing unacknowledged', async () => (await unacknowledged(server)) === 0, { everyMs: 100 })
    await other.broker.publish([publication('beside'), publication('over')])
    await until('the one beside it', () => sink.ids.has('beside'))
    await server.closeConnections()
    // several rounds of the copy: as many as it takes the connection to come back, and the other to be handed over again
    const again = await until('the other once more', () => sink.seen.find(({ redelivered }) => redelivered))
    expect(again.message.headers['id']).toBe('beside')
    expect(await holder.broker.settle({ delivery: long, disposition: { kind: 'ack' } })).toBe('settled')
    expect(await holder.broker.settle({ delivery: long, disposition: { kind: 'ack' } })).toBe('lost')
    for (const delivery of sink.seen.filter(({ message }) => message.headers['id'] !== 'long'))
      await holder.broker.settle({ delivery, disposition: { kind: 'ack' } })
    await until('the rest', () => sink.ids.has('over'))
    await until('no copy', async () => (await delayedCount(server)) === 0, { everyMs: 100 })
    expect(sink.seen.filter(({ message }) => message.headers['id'] === 'long').length).toBe(1)
  })

  it('counts what is held for long in the prefetch: what else comes is for others', async () => {
    await using server = await startRabbit()
    await using holder = await openPeer(server.url(), { consumerTimeoutMs: 1000, roundMs: 60_000 })
    await using other = await openPeer(server.url())
    const held = await drain(holder.broker, { hold: true, prefetch: 1 })
    await other.broker.publish([publication('long')])
    await until('nothing unacknowledged', async () => held.ids.has('long') && (await unacknowledged(server)) === 0, {
      everyMs: 100,
    })
    await other.broker.publish([publication('next')])
    const sink = await drain(other.broker)
    const next = await until('the next', () => sink.seen[0])
    expect(next.redelivered).toBe(false)
    expect(held.seen.length).toBe(1)
  })

  it('gives to another what was held for long by one that shows no life any more, and counts the crash', async () => {
    await using server = await startRabbit()
    await using holder = await openPeer(server.url(), { consumerTimeoutMs: 1000, roundMs: 1000 })
    await using heir = await openPeer(server.url(), { roundMs: 1000 })
    const held = await drain(holder.broker, { hold: true })
    await heir.broker.publish([publication('long')])
    await until('the delivery', () => held.seen[0])
    await until('nothing unacknowledged', async () => (await unacknowledged(server)) === 0, { everyMs: 100 })
    // what it has left does not tell of life any more
    await held.subscription.close()
    await holder.coordination.close()
    const sink = await drain(heir.broker, { hold: true })
    const delivery = await until('the copy', () => sink.seen[0], { everyMs: 50 })
    expect(delivery).toMatchObject({ deliveryCount: 2, redelivered: true, crashCount: 1 })
    expect(delivery.message.headers).toEqual(publication('long').message.headers)
  })

  it('hands over nothing that was held for long and is settled, however late its copy comes round', async () => {
    await using server = await startRabbit()
    await using holder = await openPeer(server.url(), { consumerTimeoutMs: 1000, roundMs: 1000 })
    const hourLater: Clock = { ...systemClock, now: () => systemClock.now() + 3_600_000 }
    await using heir = await openPeer(server.url(), { roundMs: 1000, clock: hourLater })
    const held = await drain(holder.broker, { hold: true })
    await holder.broker.publish([publication('long')])
    const long = await until('the delivery', () => held.seen[0])
    await until('nothing unacknowledged', async () => (await unacknowledged(server)) === 0, { everyMs: 100 })
    expect(await holder.broker.settle({ delivery: long, disposition: { kind: 'ack' } })).toBe('settled')
    await held.subscription.close()
    await until('the copy', async () => (await holder.broker.stats('queue')).ready === 1, { everyMs: 100 })
    await holder.broker.publish([publication('next')])
    const sink = await drain(heir.broker, { hold: true })
    await until('the next', () => sink.ids.has('next'))
    await until('only the next to be held', async () => (await unacknowledged(server)) === 1, { everyMs: 100 })
    expect([...sink.ids]).toEqual(['next'])
  })

  it('keeps what the processes agree on when the broker is killed, and agrees again within seconds', async () => {
    await using server = await startRabbit()
    await using peer = await openPeer(server.url())
    await using other = await openPeer(server.url())
    const heard: string[] = []
    await other.coordination.watchKeys('revoke/', ({ key, value }) => heard.push(`${key} ${value}`))
    await peer.coordination.put('revoke/before', 'x', 3_600_000)
    await until('the first', () => heard.includes('revoke/before x'))
    await server.stop()
    await server.start()
    await insist(() => peer.coordination.get('revoke/before'))
    await server.kill()
    await server.start()
    // in the first second after a start a stream confirms what it drops: it is written until it can be read
    await insist(() => peer.coordination.put('revoke/after', 'y', 3_600_000))
    await until('the second', () => heard.includes('revoke/after y'))
    await using late = await openPeer(server.url())
    expect(await late.coordination.list('revoke/')).toEqual([
      { key: 'revoke/after', value: 'y' },
      { key: 'revoke/before', value: 'x' },
    ])
    expect(await late.coordination.putIfAbsent('revoke/before', 'z', 1000)).toBe('x')
    expect(heard.filter(text => text.endsWith('undefined'))).toEqual([])
  })

  it('feels a broker whose memory is short: a publish waits, and is refused in time', async () => {
    await using server = await startRabbit()
    const session = new RabbitSession(parseLocation(server.url()), { publishTimeoutMs: 1500 })
    const broker = new RabbitBroker(session, alone)
    await broker.open()
    await broker.publish([publication('before')])
    await server.ctl(['set_vm_memory_high_watermark', '0.0001'])
    // the alarm is told to who publishes: the first may still be taken, and wait for its confirm
    await broker.publish([publication('told')])
    const [refused] = await broker.publish([publication('refused')])
    expect(refused).toMatchObject({
      accepted: 'no',
      error: { code: 'E_BROKER_TIMEOUT', message: expect.stringMatching(/it is blocked, .*rabbitmqctl status/) },
    })
    await broker.close()
    await session.close()
    // a rabbitmqctl takes seconds on a busy machine
    const patient = new RabbitSession(parseLocation(server.url()), { publishTimeoutMs: 60_000 })
    const waiter = new RabbitBroker(patient, alone)
    await waiter.open()
    const waiting = waiter.publish([publication('waits')])
    await server.ctl(['set_vm_memory_high_watermark', '0.9'])
    expect(await waiting).toEqual([{ accepted: 'yes' }])
    await waiter.close()
    await patient.close()
  })

  it('carries 16 MiB, and refuses more before it is sent', async () => {
    await using server = await startRabbit()
    await using peer = await openPeer(server.url())
    const sink = await drain(peer.broker)
    const sized = (id: string, bytes: number): Parameters<Broker['publish']>[0][number] => {
      const one = publication(id)
      return { ...one, message: { ...one.message, body: new Uint8Array(bytes) } }
    }
    const limit = 16 * 1024 * 1024
    const outcomes = await peer.broker.publish([sized('largest', limit), sized('larger', limit + 1)])
    expect(outcomes).toMatchObject([{ accepted: 'yes' }, { accepted: 'no', error: { code: 'E_MESSAGE_TOO_LARGE' } }])
    await until('the largest', () => sink.ids.has('largest'))
    expect(sink.seen[0]?.message.body.length).toBe(limit)
  })
})

/** Without coordination. */
const alone = {
  register: { note: () => Promise.resolve(), list: () => Promise.resolve([]) },
  signs: { put: () => Promise.resolve(), get: () => Promise.resolve(undefined) },
}

/** Its consumers can be forgotten by RabbitMQ, which is asked every 300 ms what waits. */
async function forgetfulBroker() {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost()
  const consumers = new ForgottenConsumers()
  const proxy = await new TcpProxy(rabbit.address.port, { createFilter: consumers.createFilter }).listen()
  const session = new RabbitSession(parseLocation(`amqp://127.0.0.1:${proxy.port}/${vhost}`))
  const broker = new RabbitBroker(session, { ...alone, checkMs: 300 })
  await broker.open()
  const renewed: Error[] = []
  session.consuming.onLost(error => renewed.push(error))
  const outside = await openPeer(rabbit.url(vhost))
  return {
    broker,
    renewed,
    /** The delivery that is held; `waiting` waits then. */
    async forgetOneThatHolds(sink: Sink, options: { readonly isMute?: boolean } = {}): Promise<Delivery> {
      await outside.broker.publish([publication('held')])
      const held = await until('the first', () => sink.seen[0])
      consumers.forget(options)
      const isForgotten = async (): Promise<boolean> =>
        (await rabbit.eval(`length(rabbit_amqqueue:consumers_all(<<"${vhost}">>))`)) === '0'
      await until('its end', isForgotten)
      await outside.broker.publish([publication('waiting')])
      return held
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await broker.close()
      await session.close()
      await outside[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
      await rabbit.deleteVhost(vhost)
    },
  }
}

/** A consumer that is deaf: its deliveries vanish on their way. */
function swallowDeliveries(isDeaf: () => boolean): ReturnType<typeof frameFilter> {
  const swallowing = new Set<number>()
  return frameFilter((frame, direction) => {
    if (direction === 'to-server') return true
    if (frame.type === 1) {
      if (isDeaf() && isDelivery(frame)) swallowing.add(frame.channel)
      else swallowing.delete(frame.channel)
    }
    return !swallowing.has(frame.channel)
  })
}

/** Again while the broker is away. */
async function insist(act: () => Promise<unknown>): Promise<void> {
  await until(
    'an answer',
    () =>
      act().then(
        () => true,
        () => false,
      ),
    { timeoutMs: 60_000 },
  )
}

async function delayedCount(server: RabbitControl): Promise<number> {
  const lines = await server.ctl(['list_queues', 'name', 'messages', '--no-table-headers'])
  return [...lines.matchAll(/^celery_delayed_\d+\t(\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0)
}

function renewals(session: RabbitSession, onRenewal: () => void): () => void {
  return session.consuming.onLost(onRenewal)
}
