import { expect, it } from 'vitest'
import { Lovage } from '../../../src/index.ts'
import { startTestWorker, TestClock } from '../../../src/testing/index.ts'

function createApp(): ReturnType<typeof defineTasks> {
  return defineTasks(new Lovage('test', { brokerUrl: 'sqlite:must-not-be-opened.db', routes: { 'slow.*': 'slow' } }))
}

function defineTasks(app: Lovage) {
  const add = app.task('core.tasks.add', (_task, x: number, y: number) => x + y)
  const nap = app.task('slow.nap', async (task, ms: number) => {
    task.progress(0, 1)
    await task.sleep(ms)
    return 'awake'
  })
  const flaky = app.task('flaky', { retry: { max: 1, delayMs: 60_000, jitter: false } }, task => {
    if (task.retries === 0) throw new Error('not yet')
    return 'at last'
  })
  return { app, add, nap, flaky }
}

it('runs the tasks of an app that nothing has used yet, and gives it back', async () => {
  const { app, add } = createApp()
  const worker = await startTestWorker(app)
  const result = await add.delay(1, 2)
  await worker.next('SUCCESS', add)
  expect(await result.get()).toBe(3)
  await worker.stop()
  const again = await startTestWorker(app)
  expect(await result.state()).toBeUndefined()
  await again.stop()
})

it('gives an event that has already happened, and each only once', async () => {
  const { app, add } = createApp()
  await using worker = await startTestWorker(app)
  const [first, second] = [await add.delay(1, 1), await add.delay(2, 2)]
  await first.get()
  await second.get()
  expect([await worker.next('SUCCESS', add), await worker.next('SUCCESS')].map(event => event.id)).toEqual([
    first.id,
    second.id,
  ])
  expect(worker.events.filter(event => event.state === 'SUCCESS')).toHaveLength(2)
})

it('lets time be moved: sleeps, countdowns and retries take none', async () => {
  const { app, nap, flaky } = createApp()
  const clock = new TestClock()
  await using worker = await startTestWorker(app, { clock })
  const napping = await nap.delay(600_000)
  await worker.next('PROGRESS', nap)
  await clock.advance(600_000)
  expect(await napping.get()).toBe('awake')

  const later = await nap.applyAsync([1], { countdownMs: 600_000 })
  await clock.advance(599_000)
  expect(await later.state()).toBe('PENDING')
  await clock.advance(1001)
  expect(await later.get()).toBe('awake')

  const retried = await flaky.delay()
  await worker.next('RETRY', flaky)
  await clock.advance(60_000)
  expect(await retried.get()).toBe('at last')
})

it('refuses an app that is already in use', async () => {
  const { app, add } = createApp()
  await using _worker = await startTestWorker(app)
  await expect(startTestWorker(app)).rejects.toMatchObject({ code: 'E_ILLEGAL_STATE' })
  await add.delay(1, 2)
})
