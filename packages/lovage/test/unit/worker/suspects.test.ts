/** Suspects each take a process of their own, for long: those who wait behind them overtake them. */
import { expect, it, vi } from 'vitest'
import { joinBackend } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { Pool } from '../../../src/pools/pool.ts'
import { encodeTask } from '../../../src/protocol/task-message.ts'
import { Executor } from '../../../src/worker/executor.ts'
import { delivery, policy } from './support.ts'

const task = 'test.task'

function handOver(id: string, crashCount: number): Delivery {
  const message = encodeTask({ id, task, retries: 0, rootId: id, headers: {} }, '[[],{},{}]')
  return delivery({ token: id, message, crashCount, redelivered: crashCount > 0 })
}

/** Runs nothing to its end: what it was given stays. */
function endlessPool(began: string[]): Pool {
  return {
    capabilities: { killable: true },
    start: () => Promise.resolve(),
    run: ({ id }) => {
      began.push(id)
      return new Promise(() => undefined)
    },
    abort: () => undefined,
    takeBack: () => undefined,
    stats: () => ({ slots: 4, running: began.length }),
    stop: () => Promise.resolve(),
  }
}

it('leaves half of the slots to the others, however many suspects wait before them', async () => {
  const connection = openMemory(new URL('memory://suspects'), {}, new Map())
  const backend = joinBackend(connection, connection)
  await backend.open()
  const began: string[] = []
  const executor = new Executor({
    backend,
    pool: endlessPool(began),
    slots: 4,
    clock: systemClock,
    random: Math.random,
    startedValue: '{}',
    findTask: () => ({ policy: policy(), softTimeLimitMs: undefined, timeLimitMs: undefined }),
    sender: { origin: 'gen1@here', queueOf: () => 'celery' },
    isRevoked: () => undefined,
    onPrefetch: () => undefined,
    events: {},
  })
  executor.accept(['s1', 's2', 's3', 's4', 's5'].map(id => handOver(id, 2)))
  await vi.waitFor(() => expect(began).toEqual(['s1', 's2']))
  executor.accept(['good1', 'good2', 'good3'].map(id => handOver(id, 0)))
  expect(began).toEqual(['s1', 's2', 'good1', 'good2'])
  executor.abandon()
  await backend.close()
})
