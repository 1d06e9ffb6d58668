/** Who was frozen, has lost his delivery and does not know it yet, writes a start beside the one who has it now. */
import { expect, it, onTestFinished, vi } from 'vitest'
import { joinBackend } from '../../../src/backend.ts'
import type { Backend } from '../../../src/backend.ts'
import type { TaskPolicy } from '../../../src/worker/decide.ts'
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
  await vi.waitFor(() => expect(settled).toEqual([{ kind: 'retrying', isLost: false }]))
  expect(await backend.results.get('task')).toMatchObject({ state: { state: 'RETRY', retries: 0, delivery: 3 } })
})

it.each(['STARTED', 'SUCCESS'])('where the delivery is lost, %s of another stays', async state => {
  const { backend, executor, began, settled } = await splitExecutor(`zombie-lost-${state}`)
  executor.accept([handOver('task')])
  await backend.results.put({ ...started, state, delivery: 2, seq: 0 })
  began.get('task')?.(threw)
  await vi.waitFor(() => expect(settled).toEqual([{ kind: 'retrying', isLost: true }]))
  expect(await backend.results.get('task')).toMatchObject({ state: { state, delivery: 2 } })
})

/** Takes what is published. A record and a settlement are two steps. */
async function splitExecutor(
  name: string,
  change: Partial<TaskPolicy> = { retry: retrying },
): Promise<{
  backend: Backend
  executor: Executor
  began: Began
  settled: readonly { readonly kind: string; readonly isLost: boolean }[]
}> {
  const backend = await memoryBackend(name)
  const began: Began = new Map()
  const settled: { kind: string; isLost: boolean }[] = []
  const executor = executorOn({
    backend: joinBackend({ ...backend, ...nowhere }, { ...backend, ...nowhere }),
    pool: heldPool(1, began),
    slots: 1,
    findTask: () => ({ policy: policy(change), softTimeLimitMs: undefined, timeLimitMs: undefined }),
    events: { settled: (_run, { kind }, isLost) => void settled.push({ kind, isLost }) },
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
  const { backend, executor, began, settled } = await splitExecutor(`zombie-${state}`, { acksLate: false })
  await backend.results.put({ ...started, state, seq: Number.MAX_SAFE_INTEGER })
  executor.accept([handOver('task')])
  await vi.waitFor(() => expect(settled).toMatchObject([{ kind }]))
  expect(began.size).toBe(0)
})
