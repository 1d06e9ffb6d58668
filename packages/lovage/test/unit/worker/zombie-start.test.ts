/** Who was frozen, has lost his delivery and does not know it yet, writes a start beside the one who has it now. */
import { expect, it, vi } from 'vitest'
import type { RunResult } from '../../../src/pools/pool.ts'
import { executorOn, handOver, heldPool, memoryBackend, policy } from './support.ts'

const started = { id: 'task', retries: 0, delivery: 1, at: 0, facts: undefined, startedAt: undefined }

it.each([
  ['STARTED', 'returned'],
  ['SUCCESS', 'superseded'],
])('where %s of another is newer than its own start, a delivery is %s', async (state, kind) => {
  const backend = await memoryBackend(`zombie-${state}`)
  await backend.results.put({ ...started, state, seq: Number.MAX_SAFE_INTEGER })
  const began = new Map<string, (result: RunResult) => void>()
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
