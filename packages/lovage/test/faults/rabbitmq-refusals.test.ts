// Messages and ends that cannot be written as they are, and brokers that take nothing: no delivery is held for ever.
import type { ChannelModel, Options } from 'amqplib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import type { RabbitServer } from '../../../../test-support/rabbitmq-server.ts'
import { loadClient } from '../../src/drivers/rabbitmq/client.ts'
import { internals } from '../../src/app/internals.ts'
import { Lovage } from '../../src/app/lovage.ts'
import type { Broker } from '../../src/broker.ts'
import { Worker } from '../../src/worker/worker.ts'
import { openPeer, unacknowledged } from './support/rabbit.ts'
import { until } from './support/until.ts'

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

describe.skipIf(!hasRabbit)('Nothing is held for ever on RabbitMQ', { timeout: 120_000 }, () => {
  it('a message that cannot be copied as it is ends among the dead letters, and its worker goes on', async () => {
    await using server = await startRabbit()
    const app = openApp(server.url())
    const good = app.task('good', (_task, n: number) => n)
    await using worker = new Worker(app, { pool: 'inline', concurrency: 1, logger: silent })
    await worker.start()
    // what Celery with pickle sends; the client's room for headers is 65,536 bytes, and the note of a dead letter needs some
    const pickled = { contentType: 'application/x-python-serialize', contentEncoding: 'binary' }
    const large = { task: 'good', id: 'large-headers', filler: 'x'.repeat(65_350) }
    await send(server, { ...pickled, correlationId: 'large-headers', headers: large })
    const result = await good.delay(7)
    expect(await result.get({ timeoutMs: 30_000 })).toBe(7)
    const { broker } = await internals(app).backend()
    const cut = await until('the dead letter', async () => (await broker.parked()).items[0])
    expect(cut).toMatchObject({ id: 'large-headers', queue: 'celery', message: { headers: { task: 'good' } } })
    expect(cut.reason).toMatch(/pickle.*long headers are left out here/)
    expect(cut.message.headers).not.toHaveProperty('filler')
    await expect.poll(() => unacknowledged(server, 'celery'), { timeout: 20_000 }).toBe(0)
  })

  it('what the broker itself puts among the dead letters has its queue and can be taken', async () => {
    await using server = await startRabbit()
    const app = openApp(server.url())
    const { broker } = await internals(app).backend()
    expect((await broker.parked()).items).toEqual([])
    const where = { 'dead-letter-exchange': '', 'dead-letter-routing-key': 'lovage.parked' }
    await server.ctl(['set_policy', 'dead', '^celery$', JSON.stringify(where), '--apply-to', 'queues'])
    const { id } = await app.sendTask('dropped', [1])
    const model = await connect(server)
    const channel = await model.createChannel()
    const message = await until('the message', async () => (await channel.get('celery')) || undefined)
    channel.reject(message, false)
    const [parked] = await until('the dead letter', async () => {
      const { items } = await broker.parked()
      return items.length > 0 ? items : undefined
    })
    await model.close()
    expect(parked).toMatchObject({ id, queue: 'celery', reason: 'dropped by the broker: rejected' })
    expect(Math.abs(Date.now() - (parked?.parkedAt ?? 0))).toBeLessThan(60_000)
    expect(await broker.takeParked(parked?.parkedId ?? '')).toMatchObject({ id, message: { headers: { id } } })
    expect((await broker.parked()).items).toEqual([])
  })

  it('what a stopped worker cannot settle goes back, though its process lives on', async () => {
    await using server = await startRabbit()
    const app = openApp(server.url())
    const [begun, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const slow = app.task('slow', async () => {
      begun.resolve()
      await mayEnd.promise
      return 'done'
    })
    const first = new Worker(app, { pool: 'inline', logger: silent })
    await first.start()
    const result = await slow.delay()
    await begun.promise
    await server.ctl(['set_vm_memory_high_watermark', '0.0001'])
    const { broker } = await internals(app).backend()
    await untilBlocked(broker)
    mayEnd.resolve()
    await first.stop({ graceMs: 1000 })
    await expect.poll(() => unacknowledged(server, 'celery'), { timeout: 20_000 }).toBe(0)
    await server.ctl(['set_vm_memory_high_watermark', '0.9'])
    await using second = new Worker(app, { pool: 'inline', logger: silent })
    await second.start()
    expect(await result.get({ timeoutMs: 30_000 })).toBe('done')
  })

  it('a connection that is given up leaves nobody waiting for its answers', async () => {
    await using server = await startRabbit()
    await using peer = await openPeer(server.url())
    await peer.broker.declare(['queue'])
    server.freeze()
    const asked = peer.broker.stats('queue')
    // the question is on its way when it is given up
    setImmediate(() => peer.session.publishing.renew(new Error('this test gives it up')))
    try {
      await expect(asked).rejects.toThrow(/Channel ended/)
    } finally {
      server.thaw()
    }
    await until('it is there again', async () => (await peer.broker.stats('queue')).ready === 0)
  })
})

function openApp(brokerUrl: string): Lovage {
  const app = new Lovage('refusals', { brokerUrl })
  onTestFinished(() => app.close())
  return app
}

async function connect(server: RabbitServer): Promise<ChannelModel> {
  const client = await loadClient()
  return await client.connect(server.url())
}

/** As another client would. */
async function send(server: RabbitServer, properties: Options.Publish): Promise<void> {
  const model = await connect(server)
  const channel = await model.createConfirmChannel()
  channel.publish('', 'celery', Buffer.from('gAJdcQAu', 'base64'), { deliveryMode: 2, ...properties })
  await channel.waitForConfirms()
  await model.close()
}

/** The alarm is told to who publishes: the first may still be taken. */
async function untilBlocked(broker: Broker): Promise<void> {
  const message = { properties: { contentType: 'application/json', contentEncoding: 'utf-8' }, headers: {}, body: '[]' }
  const probe = { id: 'probe', queue: 'probe', message, priority: undefined, notBefore: undefined }
  await until('the alarm', async () => (await broker.publish([probe]))[0]?.accepted !== 'yes', { timeoutMs: 60_000 })
}
