import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import type { Logger } from '../../../src/app/types.ts'
import { Worker } from '../../../src/worker/index.ts'
import { memoryApp } from '../app/support.ts'

const nothing = (): void => undefined
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

it('stops when the broker is gone, says what it could not do, and goes on with nothing', async () => {
  const lines: string[] = []
  const app = memoryApp()
  const { promise: running, resolve: onRun } = Promise.withResolvers<void>()
  const { promise: end, resolve: release } = Promise.withResolvers<void>()
  const held = app.task('test.held', async () => {
    onRun()
    await end
  })
  const worker = new Worker(app, { logger: { ...silent, warn: line => void lines.push(line) } })
  await worker.start()
  await held.delay()
  await running
  await app.close()
  release()
  await worker.stop({ graceMs: 0 })
  expect(worker.state).toBe('stopped')
  expect(lines).toContainEqual(expect.stringMatching(/^Could not sign off: .*closed/))
})

it('does not stay with the signal that could have stopped it', async () => {
  const { signal } = new AbortController()
  const app = memoryApp()
  app.task('test.nothing', nothing)
  const worker = new Worker(app, { logger: silent })
  await worker.start({ signal })
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  await worker.stop()
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)

  const empty = new Worker(memoryApp(), { logger: silent })
  await expect(empty.start({ signal })).rejects.toThrow('0 tasks')
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})
