/** A redelivery that waits for a slot while whoever had it before, and was only frozen, goes on and ends it. */
import { expect, it, vi } from 'vitest'
import { joinBackend } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import type { Pool, RunResult } from '../../../src/pools/pool.ts'
import { encodeTask } from '../../../src/protocol/task-message.ts'
import { TestClock } from '../../../src/testing/test-clock.ts'
import { Executor } from '../../../src/worker/executor.ts'
import { delivery, policy } from './support.ts'

const task = 'test.task'

function handOver(id: string, redelivered: boolean): Delivery {
  const message = encodeTask({ id, task, retries: 0, rootId: id, headers: {} }, '[[],{},{}]')
  return delivery({ token: id, message, redelivered })
}

/** What it was given, and how to end it. */
function heldPool(began: Map<string, (result: RunResult) => void>): Pool {
  return {
    capabilities: { killable: true },
    start: () => Promise.resolve(),
    run: ({ id }) => new Promise(resolve => began.set(id, resolve)),
    abort: () => undefined,
    takeBack: () => undefined,
    stats: () => ({ slots: 1, running: began.size }),
    stop: () => Promise.resolve(),
  }
}

it('is not begun: the store is asked once more when a slot is free', async () => {
  const connection = openMemory(new URL('memory://overtaken'), {}, new Map())
  const backend = joinBackend(connection, connection)
  await backend.open()
  const clock = new TestClock()
  const began = new Map<string, (result: RunResult) => void>()
  const settled: string[] = []
  const executor = new Executor({
    backend,
    pool: heldPool(began),
    slots: 1,
    clock,
    random: Math.random,
    startedValue: '{}',
    findTask: () => ({ policy: policy(), softTimeLimitMs: undefined, timeLimitMs: undefined }),
    sender: { origin: 'gen1@here', queueOf: () => 'celery' },
    isRevoked: () => undefined,
    onPrefetch: () => undefined,
    events: { settled: ({ request }, { kind }) => void settled.push(`${request.id} ${kind}`) },
  })
  executor.accept([handOver('slow', false)])
  const asked = vi.spyOn(connection.results, 'get')
  executor.accept([handOver('overtaken', true), handOver('again', true)])
  await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(2))
  await clock.advance(200)
  const end = { state: 'SUCCESS', value: '1', retries: 0, delivery: 1, seq: 1, at: clock.now(), readyAt: clock.now() }
  await connection.results.put({ id: 'overtaken', facts: undefined, startedAt: undefined, ...end })
  began.get('slow')?.({ kind: 'returned', value: 'null' })
  await vi.waitFor(() => expect([...began.keys()]).toEqual(['slow', 'again']))
  expect(settled).toEqual(expect.arrayContaining(['slow succeeded', 'overtaken superseded']))
  executor.abandon()
  await backend.close()
})
