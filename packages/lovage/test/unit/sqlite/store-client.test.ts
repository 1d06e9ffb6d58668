import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
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

it('tells everybody when the store thread dies, and can be closed then', async () => {
  // only to get hold of the thread
  const post = vi.spyOn(Worker.prototype, 'postMessage')
  const connection = openSqlite(file.url)
  await connection.broker.open()
  const [thread] = post.mock.contexts as Worker[]
  if (thread === undefined) throw new Error('there is no thread')
  const ended = new Promise<Error>(resolve => {
    void connection.broker.consume(['queue'], {
      prefetch: 1,
      consumer: 'a@b',
      onDeliveries: () => undefined,
      onEnd: resolve,
    })
  })
  await connection.broker.stats('queue')
  const pending = connection.broker.publish([taskMessage('a')])
  await thread.terminate()
  expect(await pending).toMatchObject([{ accepted: 'unknown', error: { code: 'E_STORAGE' } }])
  expect(await ended).toMatchObject({
    code: 'E_STORAGE',
    message: expect.stringContaining('The store thread') as string,
  })
  expect(await connection.broker.publish([taskMessage('b')])).toMatchObject([{ accepted: 'no' }])
  await connection.close()
})
