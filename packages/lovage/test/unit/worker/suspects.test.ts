/** Suspects each take a process of their own, for long: those who wait behind them overtake them. */
import { expect, it, vi } from 'vitest'
import { executorOn, handOver, heldPool, memoryBackend } from './support.ts'
import type { Began } from './support.ts'

it('leaves half of the slots to the others, however many suspects wait before them', async () => {
  const backend = await memoryBackend('suspects')
  const began: Began = new Map()
  const executor = executorOn({ backend, pool: heldPool(4, began), slots: 4 })
  executor.accept(['s1', 's2', 's3', 's4', 's5'].map(id => handOver(id, { crashCount: 2, redelivered: true })))
  await vi.waitFor(() => expect([...began.keys()]).toEqual(['s1', 's2']))
  executor.accept(['good1', 'good2', 'good3'].map(id => handOver(id)))
  expect([...began.keys()]).toEqual(['s1', 's2', 'good1', 'good2'])
  executor.abandon()
  await backend.close()
})
