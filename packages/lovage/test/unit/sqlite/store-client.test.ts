import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Connection } from '../../../src/backend.ts'
import type { Notice } from '../../../src/broker.ts'
import type { KeyChange } from '../../../src/coordination.ts'
import { StoreClient } from '../../../src/drivers/sqlite/store-client.ts'
import { openSqlite } from '../../../src/drivers/sqlite/sqlite.ts'
import { taskMessage, testFile, type TestFile } from '../../faults/support/sqlite-tasks.ts'

let file: TestFile

beforeEach(() => {
  file = testFile()
})

afterEach(() => {
  vi.restoreAllMocks()
  file.remove()
})

/** Opens a connection; gives its thread too, which is nobody's business but a test's. */
async function open(): Promise<{ readonly connection: Connection; readonly thread: Worker }> {
  const post = vi.spyOn(Worker.prototype, 'postMessage')
  const connection = openSqlite(file.url)
  await Promise.all([connection.broker.open(), connection.coordination.open()])
  const [thread] = post.mock.contexts as Worker[]
  if (thread === undefined) throw new Error('there is no thread')
  return { connection, thread }
}

it('tells everybody when the store thread dies, and starts another with the next call', async () => {
  const { connection, thread } = await open()
  const { broker, coordination } = connection
  const ended = new Promise<Error>(resolve => {
    void broker.consume(['queue'], { prefetch: 1, consumer: 'a@b', onDeliveries: () => undefined, onEnd: resolve })
  })
  const notices: Notice[] = []
  const changes: KeyChange[] = []
  await broker.listen('news', notice => notices.push(notice))
  await coordination.watchKeys('key', change => changes.push(change))
  const pending = broker.publish([taskMessage('a')])
  await thread.terminate()
  expect(await pending).toMatchObject([{ accepted: 'unknown', error: { code: 'E_STORAGE' } }])
  expect(await ended).toMatchObject({ code: 'E_STORAGE', message: expect.stringContaining('store thread') as string })

  expect(await broker.publish([taskMessage('b')])).toMatchObject([{ accepted: 'yes' }])
  expect((await broker.stats('queue')).ready).toBeGreaterThanOrEqual(1)
  await broker.send('news', taskMessage('c').message)
  await coordination.put('key', 'value', 1000)
  await vi.waitFor(() => {
    expect(notices).toMatchObject([{ address: 'news' }])
    expect(changes).toMatchObject([{ key: 'key', value: 'value' }])
  })
  await connection.close()
})

it('can be closed when the store thread has died, and starts none for it', async () => {
  const { connection, thread } = await open()
  await thread.terminate()
  const starts = vi.spyOn(Worker.prototype, 'ref')
  await connection.close()
  expect(starts).not.toHaveBeenCalled()
  await expect(connection.broker.stats('queue')).rejects.toMatchObject({ code: 'E_ILLEGAL_STATE' })
})

it('answers what is under way when the store thread dies while the connection closes', async () => {
  const post = vi.spyOn(Worker.prototype, 'postMessage')
  const client = new StoreClient({
    path: file.path,
    leaseMs: 1000,
    watchdogMs: 1000,
    resultExpiresMs: 1000,
    busyMs: 1000,
  })
  await client.open()
  const pending = client.call({ kind: 'queues' })
  const closed = client.close()
  await (post.mock.contexts as Worker[])[0]?.terminate()
  await Promise.allSettled([pending])
  await closed
  await expect(client.call({ kind: 'queues' })).rejects.toMatchObject({ code: 'E_ILLEGAL_STATE' })
})
