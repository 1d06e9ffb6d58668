import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { IllegalStateError, InvalidArgumentError } from '../../../src/core/errors.ts'
import { createInlinePool } from '../../../src/pools/inline.ts'
import { disposable, request, start, valueOf } from '../../fixtures/pools/pool-kit.ts'
import type { TestPool } from '../../fixtures/pools/pool-kit.ts'
import { runTask } from '../../fixtures/pools/tasks.ts'

async function inlinePool(slots = 2): Promise<TestPool> {
  const pool = createInlinePool({ slots, runTask, clock: systemClock })
  await pool.start()
  return disposable(pool)
}

test('runs return, throw and report', async () => {
  await using pool = await inlinePool()
  const run = start(pool, request('unclonable'))
  expect(await valueOf(start(pool, request('echo', [1])).result)).toEqual([1])
  expect(await start(pool, request('throws')).result).toMatchObject({ kind: 'threw', error: { type: 'TypeError' } })
  expect(await run.result).toMatchObject({ kind: 'returned' })
  expect(run.reports).toHaveLength(1)
  expect(pool.capabilities.killable).toBe(false)
})

test('never more run than there are slots, in the order given', async () => {
  await using pool = await inlinePool(3)
  const most = await Promise.all(Array.from({ length: 12 }, () => valueOf(start(pool, request('gauged', 2)).result)))
  expect(Math.max(...most.map(Number))).toBe(3)
})

test('soft and hard limits abort, and so does abort', async () => {
  await using pool = await inlinePool(3)
  const soft = start(pool, request('heeding', null, { softLimitMs: 5 }))
  const hard = start(pool, request('heeding', null, { hardLimitMs: 5 }))
  const revoked = start(pool, request('heeding'))
  expect(pool.stats()).toEqual({ slots: 3, running: 3 })
  pool.abort(revoked.runId, 'revoked')
  pool.abort(revoked.runId, 'shutdown')
  expect(await revoked.result).toMatchObject({ kind: 'aborted', reason: 'revoked' })
  expect(await soft.result).toMatchObject({ kind: 'aborted', reason: 'soft-time-limit' })
  expect(await hard.result).toMatchObject({ kind: 'aborted', reason: 'soft-time-limit' })
})

test('a run that waits is aborted at once', async () => {
  await using pool = await inlinePool(1)
  start(pool, request('heeding'))
  const waiting = start(pool, request('echo'))
  pool.abort(waiting.runId, 'terminated')
  expect(await waiting.result).toMatchObject({
    kind: 'aborted',
    reason: 'terminated',
    error: { message: 'terminated' },
  })
})

test('a run that has not begun can be taken back; one that has is left alone', async () => {
  await using pool = await inlinePool(1)
  const begun = start(pool, request('heeding'))
  await begun.begun
  const waiting = start(pool, request('echo'))
  pool.takeBack(waiting.runId)
  expect(await waiting.result).toMatchObject({ kind: 'aborted', reason: 'shutdown', began: false })
  pool.takeBack(begun.runId)
  pool.takeBack(-1)
  pool.abort(begun.runId, 'revoked')
  expect(await begun.result).toMatchObject({ kind: 'aborted', reason: 'revoked' })
})

test('stop ends what runs and what waits as lost, and a stopped pool may start again', async () => {
  await using pool = await inlinePool(1)
  const runs = [start(pool, request('heeding')), start(pool, request('echo'))]
  await pool.stop()
  await pool.stop()
  runs.push(start(pool, request('echo')))
  for (const run of runs) expect(await run.result).toMatchObject({ kind: 'lost', alone: false, suspect: false })
  await pool.start()
  expect(await valueOf(start(pool, request('echo', 1)).result)).toBe(1)
})

test('it needs slots, and a start', async () => {
  expect(() => createInlinePool({ slots: 0, runTask, clock: systemClock })).toThrow(InvalidArgumentError)
  const pool = createInlinePool({ slots: 1, runTask, clock: systemClock })
  await expect(pool.run(request('echo'), () => undefined)).rejects.toThrow(IllegalStateError)
})

test('a runTask that rejects has thrown', async () => {
  const broken = createInlinePool({ slots: 1, runTask: () => Promise.reject(new Error('broken')), clock: systemClock })
  await broken.start()
  expect(await broken.run(request('echo'), () => undefined)).toMatchObject({
    kind: 'threw',
    error: { message: 'broken' },
  })
})
