import { expect, it, vi } from 'vitest'
import { Lovage } from '../../../src/index.ts'
import { joinBackend } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { revokePrefix } from '../../../src/core/keys.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { internals } from '../../../src/app/internals.ts'
import { answersAddress, controlAddress, encodeCommand } from '../../../src/protocol/pidbox.ts'
import { startTestWorker } from '../../../src/testing/index.ts'
import { Worker } from '../../../src/worker/worker.ts'

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

it.each([1, 2])('revokes every delivery of a task: one runs, another waits for its end (-c %i)', async concurrency => {
  const app = new Lovage('test')
  const begun = Promise.withResolvers<void>()
  const ended: unknown[] = []
  let runs = 0
  const nap = app.task('nap', async task => {
    runs++
    begun.resolve()
    await task.sleep(600_000).catch((error: unknown) => {
      ended.push(error)
      throw error
    })
  })
  await using worker = await startTestWorker(app, { concurrency })
  // a sender that was not sure sends again under the same id
  await nap.applyAsync([], { taskId: 'same' })
  await nap.applyAsync([], { taskId: 'same' })
  await begun.promise
  await app.result('same').revoke()
  await worker.next('REVOKED')
  await vi.waitFor(async () => expect(await app.queue('celery').stats()).toMatchObject({ ready: 0, unsettled: 0 }))
  expect(ended).toHaveLength(1)
  expect(runs).toBe(1)
})

it('does not begin a task that is revoked while its start is written (seed 3178 of the simulator)', async () => {
  const connection = openMemory(new URL('memory://'), {}, new Map())
  const backend = joinBackend(connection, connection)
  await backend.open()
  const app = new Lovage('test')
  let runs = 0
  const once = app.task('once', { acksLate: false }, () => void runs++)
  internals(app).takeOver(backend)
  const { broker } = connection
  const markStarted = broker.markStarted.bind(broker)
  broker.markStarted = async deliveries => {
    const lost = await markStarted(deliveries)
    await app.result('same').revoke()
    return lost
  }
  await using worker = new Worker(app, { pool: 'inline', logger: silent })
  await worker.start()
  const result = await once.applyAsync([], { taskId: 'same' })
  await expect(result.get({ timeoutMs: 5000 })).rejects.toThrow('revoked')
  expect(runs).toBe(0)
})

it.each([
  ['one that runs', ['same'], false],
  ['several', ['other', 'same'], true],
])('heeds what Celery revokes: %s', async (_what, ids, terminate) => {
  const app = new Lovage('test')
  const begun = Promise.withResolvers<void>()
  const nap = app.task('nap', async task => {
    begun.resolve()
    await task.sleep(600_000)
  })
  await using worker = await startTestWorker(app)
  await nap.applyAsync([], { taskId: 'same' })
  await begun.promise
  const { broker, coordination } = await internals(app).backend()
  const answer = Promise.withResolvers<unknown>()
  await broker.listen(answersAddress('oid'), ({ message }) => answer.resolve(JSON.parse(String(message.body))))
  const args = { task_id: ids.length === 1 ? ids[0] : ids, terminate, signal: 'SIGTERM' }
  const answerTo = { address: answersAddress('oid'), ticket: 't' }
  await broker.send(controlAddress, encodeCommand({ method: 'revoke', args, answerTo }, Date.now() + 1000))
  await worker.next('REVOKED')
  expect(Object.values((await answer.promise) as object)).toEqual([
    { ok: `tasks {${ids.map(id => `'${id}'`).join(', ')}} flagged as revoked` },
  ])
  // for workers that start later
  expect((await coordination.list('revoke/')).map(({ key }) => key)).toEqual(ids.map(id => `revoke/${id}`))
})

it('keeps a revoke for its week when a stale delivery of an attempt is dropped whose next one still waits', async () => {
  const connection = openMemory(new URL('memory://'), {}, new Map())
  const backend = joinBackend(connection, openMemory(new URL('memory://'), {}, new Map()))
  await backend.open()
  const app = new Lovage('test')
  app.task('waits', () => null)
  internals(app).takeOver(backend)
  const { broker, results, coordination } = backend
  const first = Promise.withResolvers<Delivery>()
  const onDeliveries = ([delivery]: readonly Delivery[]): void => delivery && first.resolve(delivery)
  const subscription = await broker.consume(['celery'], { prefetch: 1, consumer: 'first@here', onDeliveries })
  await app.sendTask('waits', [], {}, { taskId: 'same' })
  const delivery = await first.promise
  await subscription.close()
  const error = { type: 'Error', message: 'again', retryable: true, retryAt: Date.now() + 172_800_000 }
  const record = { id: 'same', state: 'RETRY', retries: 0, delivery: 1, seq: 1, at: Date.now() }
  await results.put({ ...record, value: JSON.stringify(error) })
  await broker.settle({ delivery, disposition: { kind: 'requeue' } })
  await app.result('same').revoke()
  const kept: (number | undefined)[] = []
  const put = coordination.put.bind(coordination)
  coordination.put = (key, value, ttlMs) => {
    if (key.startsWith(revokePrefix)) kept.push(ttlMs)
    return put(key, value, ttlMs)
  }
  const dropped = Promise.withResolvers<string>()
  const settled = (_run: unknown, { kind }: { readonly kind: string }): void => dropped.resolve(kind)
  await using worker = new Worker(app, { pool: 'inline', logger: silent, events: { settled } })
  await worker.start()
  expect(await dropped.promise).toBe('superseded')
  expect(kept).toEqual([])
  await worker.stop()
  await backend.close()
})
