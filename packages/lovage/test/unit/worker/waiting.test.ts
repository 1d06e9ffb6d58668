/** Deliveries behind a slow task: a worker that was quick a moment ago holds more than it has slots for. */
import { expect, it, onTestFinished } from 'vitest'
import type { Lovage } from '../../../src/app/lovage.ts'
import type { AsyncResult, Logger } from '../../../src/app/types.ts'
import { Worker } from '../../../src/worker/index.ts'
import type { ExecutorEvents } from '../../../src/worker/executor.ts'
import { memoryApp } from '../app/support.ts'

const nothing = (): void => undefined
const logger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

interface Held {
  readonly app: Lovage
  /** How often each task was handed to the busy worker. */
  readonly received: ReadonlyMap<string, number>
  readonly behind: readonly AsyncResult<null>[]
  /** Resolves when the busy worker has given one of them back. */
  readonly givenBack: Promise<void>
  readonly release: () => void
}

/** One slot, busy with a task that lasts until `release`, after so many quick ones that it takes twenty more along. */
async function busyWorker(options: { readonly expiresInMs?: number } = {}): Promise<Held> {
  const app = memoryApp()
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const { promise: isHeld, resolve: onHeld } = Promise.withResolvers<void>()
  const { promise: givenBack, resolve: onGivenBack } = Promise.withResolvers<void>()
  const quick = app.task('test.quick', () => null)
  const slow = app.task('test.slow', async () => {
    onHeld()
    await held
  })
  const received = new Map<string, number>()
  const events: ExecutorEvents = {
    received: ({ request }) => void received.set(request.id, (received.get(request.id) ?? 0) + 1),
    settled: (_run, { kind }) => (kind === 'returned' ? onGivenBack() : undefined),
  }
  const worker = new Worker(app, { name: 'busy', concurrency: 1, logger, events })
  await worker.start()
  onTestFinished(async () => {
    release()
    await worker.stop()
  })
  await quick.applyMany(Array.from({ length: 3000 }, () => []))
  await slow.delay()
  await isHeld
  const twenty = Array.from({ length: 20 }, (): [] => [])
  const behind = await quick.applyMany(twenty, options)
  return { app, received, behind, givenBack, release }
}

const values = (results: readonly AsyncResult<null>[]) =>
  Promise.allSettled(results.map(result => result.get({ timeoutMs: 4000 })))

it('are run by a worker that is free', async () => {
  const { app, received, behind } = await busyWorker()
  const free = new Worker(app, { name: 'free', concurrency: 1, logger })
  await free.start()
  onTestFinished(() => free.stop())
  expect((await values(behind)).map(({ status }) => status)).toEqual(behind.map(() => 'fulfilled'))
  expect(behind.filter(({ id }) => received.has(id)).length).toBeGreaterThan(1)
})

it('do not start once they have expired, and do not go to and fro meanwhile', async () => {
  const { received, behind, givenBack, release } = await busyWorker({ expiresInMs: 100 })
  // they have waited for longer than that
  await givenBack
  release()
  const expired = { status: 'rejected', reason: expect.objectContaining({ code: 'E_TASK_REVOKED' }) }
  expect(await values(behind)).toEqual(behind.map(() => expired))
  expect(Math.max(...received.values())).toBeLessThanOrEqual(2)
})
