/** Who was frozen, has lost his delivery and does not know it yet, writes a start beside the one who has it now. */
import { expect, it, vi } from 'vitest'
import { joinBackend } from '../../../src/backend.ts'
import { executorOn, handOver, heldPool, memoryBackend, policy, retrying } from './support.ts'
import type { Began } from './support.ts'

/** Two connections that are not one: a record and a delivery are two steps. */
const nowhere = { description: 'memory', close: () => Promise.resolve() }
const started = { id: 'task', retries: 0, delivery: 1, at: 0, facts: undefined, startedAt: undefined }

it.each([
  ['STARTED', 'requeue'],
  ['SUCCESS', 'ack'],
])(
  'where %s of another is newer than the retry it would store, a delivery is settled by %s',
  async (state, disposition) => {
    const backend = await memoryBackend(`zombie-end-${state}`)
    const began: Began = new Map()
    const split = joinBackend({ ...backend, ...nowhere }, { ...backend, ...nowhere })
    const settle = vi.spyOn(backend.broker, 'settle')
    const executor = executorOn({
      backend: split,
      pool: heldPool(1, began),
      slots: 1,
      findTask: () => ({ policy: policy({ retry: retrying }), softTimeLimitMs: undefined, timeLimitMs: undefined }),
    })
    executor.accept([handOver('task')])
    await backend.results.put({ ...started, state, delivery: 2, seq: 0 })
    const error = { type: 'Error', message: 'once more', retryable: true }
    began.get('task')?.({ kind: 'threw', error, wantsRetry: true })
    await vi.waitFor(() =>
      expect(settle.mock.calls.map(([{ disposition }]) => disposition.kind)).toEqual([disposition]),
    )
    executor.abandon()
    await backend.close()
  },
)

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
