/** Who was frozen, has lost his delivery and does not know it yet, writes a start beside the one who has it now. */
import { expect, it, onTestFinished, vi } from 'vitest'
import { joinBackend } from '../../../src/backend.ts'
import type { Backend } from '../../../src/backend.ts'
import type { Executor } from '../../../src/worker/executor.ts'
import { executorOn, handOver, heldPool, memoryBackend, policy, retrying } from './support.ts'
import type { Began } from './support.ts'

/** Two connections that are not one: a record and a delivery are two steps. */
const nowhere = { description: 'memory', close: () => Promise.resolve() }
const started = { id: 'task', retries: 0, delivery: 1, at: 0, facts: undefined, startedAt: undefined }

const threw = {
  kind: 'threw',
  error: { type: 'Error', message: 'once more', retryable: true },
  wantsRetry: true,
} as const

it('the end of an attempt is written above the start of another, as long as the delivery is held', async () => {
  const { backend, began, settled } = await splitExecutor('zombie-end')
  const { message } = handOver('task')
  await backend.broker.publish([{ id: 'task', queue: 'celery', message, priority: undefined, notBefore: undefined }])
  await vi.waitFor(() => expect(began.has('task')).toBe(true))
  await backend.results.put({ ...started, state: 'STARTED', delivery: 2, seq: 0 })
  began.get('task')?.(threw)
  await vi.waitFor(() => expect(settled).toEqual(['held']))
  expect(await backend.results.get('task')).toMatchObject({ state: { state: 'RETRY', retries: 0, delivery: 3 } })
})

it.each(['STARTED', 'SUCCESS'])('where the delivery is lost, %s of another stays', async state => {
  const { backend, executor, began, settled } = await splitExecutor(`zombie-lost-${state}`)
  executor.accept([handOver('task')])
  await backend.results.put({ ...started, state, delivery: 2, seq: 0 })
  began.get('task')?.(threw)
  await vi.waitFor(() => expect(settled).toEqual(['lost']))
  expect(await backend.results.get('task')).toMatchObject({ state: { state, delivery: 2 } })
})

/** Takes what is published. A record and a settlement are two steps. */
async function splitExecutor(name: string): Promise<{
  backend: Backend
  executor: Executor
  began: Began
  settled: readonly string[]
}> {
  const backend = await memoryBackend(name)
  const began: Began = new Map()
  const settled: string[] = []
  const executor = executorOn({
    backend: joinBackend({ ...backend, ...nowhere }, { ...backend, ...nowhere }),
    pool: heldPool(1, began),
    slots: 1,
    findTask: () => ({ policy: policy({ retry: retrying }), softTimeLimitMs: undefined, timeLimitMs: undefined }),
    events: { settled: (_run, _outcome, isLost) => void settled.push(isLost ? 'lost' : 'held') },
  })
  await backend.broker.consume(['celery'], {
    prefetch: 1,
    consumer: 'executor@test',
    onDeliveries: batch => executor.accept(batch),
  })
  onTestFinished(async () => {
    executor.abandon()
    await backend.close()
  })
  return { backend, executor, began, settled }
}

it.each([
  ['STARTED', 'returned'],
  ['SUCCESS', 'superseded'],
])('where %s of another is newer than its own start, a delivery is %s', async (state, kind) => {
  const backend = await memoryBackend(`zombie-${state}`)
  await backend.results.put({ ...started, state, seq: Number.MAX_SAFE_INTEGER })
  const began: Began = new Map()
  const settled: string[] = []
  const executor = executorOn({
    backend,
    pool: heldPool(1, began),
    slots: 1,
    findTask: () => ({ policy: policy({ acksLate: false }), softTimeLimitMs: undefined, timeLimitMs: undefined }),
    events: { settled: (_run, outcome) => void settled.push(outcome.kind) },
  })
  executor.accept([handOver('task')])
  await vi.waitFor(() => expect(settled).toEqual([kind]))
  expect(began.size).toBe(0)
  executor.abandon()
  await backend.close()
})
