import { expect, it } from 'vitest'
import { Lovage } from '../../../src/index.ts'
import { startTestWorker } from '../../../src/testing/index.ts'

it.each([
  ['that run', 2],
  ['of which one waits for a slot', 1],
])('revokes every delivery of a task: two %s', async (_what, concurrency) => {
  const app = new Lovage('test')
  const begun = Array.from({ length: concurrency }, () => Promise.withResolvers<void>())
  const ended: unknown[] = []
  let runs = 0
  const nap = app.task('nap', async task => {
    begun[runs++]?.resolve()
    await task.sleep(600_000).catch((error: unknown) => {
      ended.push(error)
      throw error
    })
  })
  await using worker = await startTestWorker(app, { concurrency })
  // a sender that was not sure sends again under the same id
  await nap.applyAsync([], { taskId: 'same' })
  await nap.applyAsync([], { taskId: 'same' })
  await Promise.all(begun.map(({ promise }) => promise))
  await app.result('same').revoke()
  await worker.next('REVOKED')
  await worker.next('REVOKED')
  expect(ended).toHaveLength(concurrency)
  expect(runs).toBe(concurrency)
})
