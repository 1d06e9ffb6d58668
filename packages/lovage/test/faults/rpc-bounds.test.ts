/** rpc:// results at their bounds: small memories, a relay that is frozen, queues that are deleted in use. */
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { hasRabbit, sharedRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import type { StateRecord } from '../../src/core/record.ts'
import { systemClock } from '../../src/core/clock.ts'
import { RabbitConnection } from '../../src/drivers/rabbitmq/connection.ts'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { Mailbox } from '../../src/drivers/rabbitmq/results/mailbox.ts'
import { resultQueues } from '../../src/drivers/rabbitmq/results/names.ts'
import { RpcResults } from '../../src/drivers/rabbitmq/results/rpc-results.ts'
import type { RpcOptions } from '../../src/drivers/rabbitmq/results/rpc-results.ts'
import { RabbitSession } from '../../src/drivers/rabbitmq/session.ts'
import { Child } from './support/child.ts'
import { until } from './support/until.ts'

const program = fileURLToPath(new URL('support/rpc-process.ts', import.meta.url))
const app = 'bounds'
const limits = { maxTasks: 5, maxBytes: Infinity, maxPlaces: 5 }

describe.skipIf(!hasRabbit)('rpc:// results at their bounds', { timeout: 60_000 }, () => {
  test('a task that memory dropped is read from its place; beyond that, nothing is claimed', async () => {
    const { url } = await freshVhost()
    const [store, other] = [await open(url, { limits }), await open(url)]
    const ids = Array.from({ length: 20 }, (_, index) => `task-${index}`)
    for (const id of ids) await store.put(success(id))
    const kinds = (await store.getMany(ids)).map(({ kind }) => kind)
    expect(kinds).toEqual(ids.map((_, index) => (index < 10 ? 'unknown' : 'state')))
    expect((await other.getMany(ids)).every(({ kind }) => kind === 'state')).toBe(true)
    const shown: string[] = []
    await store.watch(['task-11', 'task-19'], { onState: ({ id, value }) => shown.push(`${id} ${value}`) })
    expect(shown.toSorted()).toEqual(['task-11 "task-11"', 'task-19 "task-19"'])
    // neither a late state nor another end brings it back
    expect(await store.put({ ...success('task-12'), state: 'PROGRESS' })).toBe(false)
    expect(await store.put({ ...success('task-12'), state: 'FAILURE' })).toBe(false)
    expect(await store.get('task-12')).toMatchObject({ state: { state: 'SUCCESS' } })
    expect(await store.forget(['task-12', 'task-19'])).toBe(2)
    expect((await store.get('task-12')).kind).toBe('unknown')
  })

  test('a process that begins late reads some way back, then some way further, then says that it does not know', async () => {
    const { url } = await freshVhost()
    const writer = await open(url)
    for (let index = 0; index < 30; index++) await writer.put(success(`task-${index}`))
    const late = await open(url, { lookBack: 10 })
    expect(await late.get('task-29')).toMatchObject({ kind: 'state', state: { value: '"task-29"' } })
    expect((await late.list()).items.map(({ id }) => id)).toEqual(
      Array.from({ length: 10 }, (_, index) => `task-${29 - index}`),
    )
    // who follows a task is told what who looks it up is
    const shown: string[] = []
    await late.watch(['task-14'], { onState: ({ id, value }) => shown.push(`${id} ${value}`) })
    expect(shown).toEqual(['task-14 "task-14"'])
    expect(await late.get('task-15')).toMatchObject({ kind: 'state', state: { value: '"task-15"' } })
    expect(await writer.forget(['task-16'])).toBe(1)
    expect((await late.get('task-16')).kind).toBe('unknown')
    expect(await late.get('task-3')).toEqual({
      kind: 'unknown',
      reason: expect.stringMatching(
        /^task-3: no state of it is among the last 10 tasks that the rpc:\/\/ results of the app "[^"]+" hold$/,
      ),
    })
  })

  test('a value that no message takes ends its task with the reason, and holds up nobody', async () => {
    const { url } = await freshVhost()
    const store = await open(url)
    const quotes = '"'.repeat(5_000_000)
    const value = JSON.stringify(quotes)
    expect(await store.put({ ...success('large'), value: JSON.stringify('x'.repeat(10_000_000)) })).toBe(true)
    await expect(store.put({ ...success('huge'), value })).rejects.toMatchObject({ code: 'E_MESSAGE_TOO_LARGE' })
    // a Python worker's takes 10 MB on its way in, and 20 on its way on
    await sendDocument(url, { status: 'SUCCESS', result: quotes, traceback: null, task_id: 'quotes' })
    expect(await store.put(success('next'))).toBe(true)
    expect(await store.get('quotes')).toMatchObject({
      state: { state: 'FAILURE', value: expect.stringMatching(/MessageTooLargeError.*Return a reference/) },
    })
    expect(await store.get('large')).toMatchObject({ kind: 'state', state: { state: 'SUCCESS' } })
  })

  test('while the relay is frozen look-ups say what they know, and nothing is lost', async () => {
    const { url } = await freshVhost()
    const relay = new Child([program, 'watch', url, app, '1'], { cwd: tmpdir() })
    await relay.line(/"ready"/)
    const store = await open(url, { relayTimeoutMs: 500 })
    await store.put(success('before'))
    expect((await store.get('before')).kind).toBe('state')
    await store.put({ ...success('running'), state: 'STARTED' })
    await store.get('running')
    relay.kill('SIGSTOP')
    const pending = { ...success('during'), state: 'PENDING', delivery: 0 }
    expect(await store.put(pending)).toBe(true)
    expect(await store.get('before')).toMatchObject({ state: { state: 'SUCCESS' } })
    expect(await store.get('running')).toMatchObject({ state: { state: 'STARTED' } })
    expect(await store.get('during')).toEqual({
      kind: 'unknown',
      reason: expect.stringContaining('nobody relayed the results within 500 ms'),
    })
    // a worker that decides by it does not take what is remembered for what is
    for (const id of ['running', 'during'])
      await expect(store.get(id, { isFresh: true })).rejects.toMatchObject({ code: 'E_BROKER_TIMEOUT' })
    relay.kill('SIGCONT')
    await until('the relay goes on', async () => (await store.get('during')).kind === 'state')
    relay.kill('SIGSTOP')
    const waiting = store.put(success('after'))
    relay.kill('SIGKILL')
    expect(await waiting).toBe(true)
    expect(await store.get('after')).toMatchObject({ state: { state: 'SUCCESS' } })
  })

  test('who watches while the relay is frozen is told what comes when it goes on', async () => {
    const { url, relay, store: early } = await frozenRelay({ relayTimeoutMs: 20_000 })
    const store = await open(url, { relayTimeoutMs: 300 })
    const shown: string[] = []
    const follow = (reader: RpcResults, id: string): Promise<unknown> =>
      reader.watch([id], { onState: ({ state }) => shown.push(`${id} ${state}`) })
    // an end that is known takes no look-up
    void follow(early, 'task-4')
    expect(shown).toEqual(['task-4 SUCCESS'])
    const watching = follow(early, 'dropped')
    await follow(store, 'task')
    relay.kill('SIGCONT')
    await watching
    await store.put(success('task'))
    await until('all is shown', () => shown.length === 3)
    expect(shown.toSorted()).toEqual(['dropped SUCCESS', 'task SUCCESS', 'task-4 SUCCESS'])
  })

  test('a dropped task is shown to who watches while the relay is frozen', async () => {
    const { relay, store } = await frozenRelay({ relayTimeoutMs: 300 })
    const shown: string[] = []
    await store.watch(['dropped'], { onState: ({ state }) => shown.push(state) })
    await until('it is shown', () => shown.length > 0)
    expect(shown).toEqual(['SUCCESS'])
    relay.kill('SIGCONT')
  })

  test('a put that nobody answered here is in the inbox before anything is said of it, however late it is', async () => {
    const { url } = await freshVhost()
    let aheadMs = 0
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + aheadMs }
    const location = parseLocation(url)
    const session = new RabbitSession(location, { clock })
    const reading = new RabbitConnection({ location, name: 'reads', clock })
    onTestFinished(() => Promise.all([session.close(), reading.close()]).then(() => undefined))
    await Promise.all([session.open(), reading.open()])
    const { publishing, publisher } = session
    const queues = resultQueues(app)
    // this process stands still while it waits for itself
    const askHere = (): Promise<undefined> => {
      setImmediate(() => (aheadMs = 60_000))
      return new Promise(() => undefined)
    }
    const mailbox = new Mailbox({ publishing, publisher, reading, askHere }, queues)
    await mailbox.restore(await reading.link(10_000))
    const put = { kind: 'put', puts: [{ mark: 'mark', record: success('task') }] } as const
    expect(await mailbox.ask(put, { timeoutMs: 10_000, persistent: true })).toBeUndefined()
    const { messageCount } = await publishing.withChannel('count', channel => channel.checkQueue(queues.inbox))
    expect(messageCount).toBe(1)
  })

  test('a store closes although its broker is frozen', async () => {
    await using server = await startRabbit()
    const store = await open(server.url())
    await store.put(success('task'))
    await store.get('task')
    server.freeze()
    const began = performance.now()
    const put = store.put(success('other')).catch((error: unknown) => error)
    await store.close()
    expect(performance.now() - began).toBeLessThan(5000)
    expect(await put).toMatchObject({ code: 'E_ILLEGAL_STATE' })
    server.thaw()
  })

  test('an inbox or a stream that is deleted in use is made anew', async () => {
    const { url, remove } = await freshVhost()
    const [store, other] = [await open(url), await open(url)]
    // so many messages that the next stream does not soon come as far
    for (let index = 0; index < 100; index++) await store.put(success(`before-${index}`))
    await store.put(success('first'))
    expect((await other.get('first')).kind).toBe('state')
    await remove('lovage.results.bounds')
    expect(await store.put(success('second'))).toBe(true)
    await remove('lovage.inbox.bounds')
    expect(await other.put(success('third'))).toBe(true)
    for (const reader of [store, other]) {
      const found = await reader.getMany(['first', 'second', 'third'])
      expect(found.map(({ kind }) => kind)).toEqual(['state', 'state', 'state'])
    }
  })
})

function success(id: string): StateRecord {
  return { id, state: 'SUCCESS', retries: 0, delivery: 1, seq: 0, at: Date.now(), value: JSON.stringify(id) }
}

/** A process that relays, frozen when `store` has read six ends and dropped the first of them, `dropped`. */
async function frozenRelay(options: Partial<RpcOptions>): Promise<{ url: string; relay: Child; store: RpcResults }> {
  const { url } = await freshVhost()
  const relay = new Child([program, 'watch', url, app, '0'], { cwd: tmpdir() })
  await relay.line(/"ready"/)
  const store = await open(url, { ...options, limits })
  for (const id of ['dropped', ...Array.from({ length: 5 }, (_, index) => `task-${index}`)])
    await store.put(success(id))
  await until('the last is read', async () => (await store.get('task-4')).kind === 'state')
  relay.kill('SIGSTOP')
  return { url, relay, store }
}

async function freshVhost(): Promise<{ readonly url: string; readonly remove: (queue: string) => Promise<unknown> }> {
  const server = await sharedRabbit()
  const vhost = await server.addVhost()
  onTestFinished(() => server.deleteVhost(vhost))
  return { url: server.url(vhost), remove: queue => server.ctl(['delete_queue', '-p', vhost, queue]) }
}

/** What a Python worker sends. */
async function sendDocument(url: string, document: object): Promise<void> {
  const session = new RabbitSession(parseLocation(url))
  await session.open()
  const body = Buffer.from(JSON.stringify(document))
  const properties = { contentType: 'application/json' }
  await session.publisher.publish([{ exchange: '', routingKey: `lovage.inbox.${app}`, body, properties }])
  await session.close()
}

async function open(url: string, options: Partial<RpcOptions> = {}): Promise<RpcResults> {
  const session = new RabbitSession(parseLocation(url))
  const results = new RpcResults(session, { app, ...options })
  await results.open()
  onTestFinished(async () => {
    await results.close()
    await session.close()
  })
  return results
}
