/** A redelivery that waits for a slot while whoever had it before, and was only frozen, goes on and ends it. */
import { expect, it, vi } from 'vitest'
import { TestClock } from '../../../src/testing/test-clock.ts'
import { executorOn, handOver, heldPool, memoryBackend } from './support.ts'
import type { Began } from './support.ts'

it('is not begun: the store is asked once more when a slot is free', async () => {
  const backend = await memoryBackend('overtaken')
  const clock = new TestClock()
  const began: Began = new Map()
  const settled: string[] = []
  const executor = executorOn({
    backend,
    pool: heldPool(1, began),
    slots: 1,
    clock,
    events: { settled: ({ request }, { kind }) => void settled.push(`${request.id} ${kind}`) },
  })
  executor.accept([handOver('slow')])
  const asked = vi.spyOn(backend.results, 'get')
  executor.accept(['overtaken', 'again'].map(id => handOver(id, { redelivered: true })))
  await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(2))
  await clock.advance(200)
  const end = { state: 'SUCCESS', value: '1', retries: 0, delivery: 1, seq: 1, at: clock.now(), readyAt: clock.now() }
  await backend.results.put({ id: 'overtaken', facts: undefined, startedAt: undefined, ...end })
  began.get('slow')?.({ kind: 'returned', value: 'null' })
  await vi.waitFor(() => expect([...began.keys()]).toEqual(['slow', 'again']))
  expect(settled).toEqual(expect.arrayContaining(['slow succeeded', 'overtaken superseded']))
  executor.abandon()
  await backend.close()
})
