/** Two deliveries of one attempt in one worker: its message was sent twice, or came again over another connection. */
import { expect, it, onTestFinished, vi } from 'vitest'
import { joinBackend } from '../../../src/backend.ts'
import type { Backend } from '../../../src/backend.ts'
import type { Executor } from '../../../src/worker/executor.ts'
import { executorOn, handOver, heldPool, memoryBackend } from './support.ts'
import type { Began } from './support.ts'

/** Two connections that are not one: a record and a delivery are two steps, and neither is refused for the other. */
const nowhere = { description: 'memory', close: () => Promise.resolve() }

it('the second is not run beside the first, and is judged by what that one has stored', async () => {
  const { executor, began, settled } = await splitExecutor('twins-end')
  executor.accept([handOver('task', { token: 'first' })])
  executor.accept([handOver('task', { token: 'second', redelivered: true }), handOver('other')])
  executor.accept([handOver('task', { token: 'third', redelivered: true })])
  // all that may run does: the other one was accepted after it
  await vi.waitFor(() => expect([...began.keys()]).toEqual(['task', 'other']))
  expect(executor.runningCount).toBe(2)
  began.get('task')?.({ kind: 'returned', value: '1' })
  await vi.waitFor(() => expect(settled).toEqual(['task succeeded', 'task superseded', 'task superseded']))
  expect(executor.heldCount).toBe(1)
})

it('the second is run when the first was given back', async () => {
  const { backend, executor, began, settled } = await splitExecutor('twins-back')
  executor.accept([handOver('task', { token: 'first' }), handOver('task', { token: 'second', redelivered: true })])
  await vi.waitFor(() => expect(began.has('task')).toBe(true))
  const asked = vi.spyOn(backend.results, 'get')
  began.get('task')?.({ kind: 'rejected', requeue: true })
  await vi.waitFor(() => expect(settled).toEqual(['task returned']))
  await vi.waitFor(() => expect(asked).toHaveBeenCalledOnce())
  await vi.waitFor(() => expect(executor.runningCount).toBe(1))
})

it('another attempt does not wait', async () => {
  const { executor } = await splitExecutor('twins-retry')
  const first = handOver('task', { token: 'first' })
  const { message } = first
  const next = { ...message, headers: { ...message.headers, retries: 1 } }
  executor.accept([first, { ...first, token: 'next', message: next }])
  await vi.waitFor(() => expect(executor.runningCount).toBe(2))
})

it('goes back with all that has not begun, when the worker is told to stop', async () => {
  const { executor, began, settled } = await splitExecutor('twins-stop')
  executor.accept([handOver('task', { token: 'first' }), handOver('task', { token: 'second', redelivered: true })])
  await vi.waitFor(() => expect(began.has('task')).toBe(true))
  executor.returnUnstarted()
  await vi.waitFor(() => expect(settled).toEqual(['task returned']))
  expect(executor.heldCount).toBe(1)
})

async function splitExecutor(
  name: string,
): Promise<{ backend: Backend; executor: Executor; began: Began; settled: readonly string[] }> {
  const memory = await memoryBackend(name)
  const backend = joinBackend({ ...memory, ...nowhere }, { ...memory, ...nowhere })
  const began: Began = new Map()
  const settled: string[] = []
  const executor = executorOn({
    backend,
    pool: heldPool(4, began),
    slots: 4,
    events: { settled: ({ request }, { kind }) => void settled.push(`${request.id} ${kind}`) },
  })
  onTestFinished(async () => {
    executor.abandon()
    await memory.close()
  })
  return { backend, executor, began, settled }
}
