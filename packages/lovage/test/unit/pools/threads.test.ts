import { expect, test } from 'vitest'
import { AppLoadError, IllegalStateError, InvalidArgumentError, ShutdownError } from '../../../src/core/errors.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createThreadsPool } from '../../../src/pools/threads.ts'
import { disposable, entry, request, start, threadsPool, valueOf } from '../../fixtures/pools/pool-kit.ts'

test('a run returns what its task returned, as JSON text', async () => {
  await using pool = await threadsPool()
  expect(await start(pool, request('echo', [1, 'ü'])).result).toEqual({ kind: 'returned', value: '[1,"ü"]' })
})

test("V8's own flags, which no thread takes, do not keep a thread from starting", async () => {
  await using pool = await threadsPool({ execArgv: ['--max-old-space-size=512'] })
  expect(await valueOf(start(pool, request('echo', 1)).result)).toBe(1)
})

test('a thrown error is a result, not a rejection', async () => {
  await using pool = await threadsPool()
  expect(await start(pool, request('throws')).result).toMatchObject({
    kind: 'threw',
    error: { type: 'TypeError', message: 'no such thing' },
  })
})

test('a body of bytes arrives as bytes', async () => {
  await using pool = await threadsPool()
  const plain = request('bytes')
  const run = { ...plain, message: { ...plain.message, body: new Uint8Array([7, 0, 255]) } }
  expect(await valueOf(start(pool, run).result)).toEqual([7, 0, 255])
})

test('runs start in the order given, and never more than there are slots', async () => {
  await using pool = await threadsPool({ slots: 3 })
  const ended: number[] = []
  const most = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const value = await valueOf(start(pool, request('gauged', 5)).result)
      ended.push(index)
      return Number(value)
    }),
  )
  expect(Math.max(...most)).toBe(3)
  expect(ended).toEqual(ended.toSorted((a, b) => a - b))
})

test('with one slot, runs of different length end in the order given', async () => {
  await using pool = await threadsPool({ slots: 1 })
  const ended: number[] = []
  await Promise.all([20, 1, 10, 0].map(async ms => (await start(pool, request('wait', ms)).result, ended.push(ms))))
  expect(ended).toEqual([20, 1, 10, 0])
})

test('several threads share the slots, and an idle one takes over what waits behind a blocked one', async () => {
  await using pool = await threadsPool({ slots: 2, threads: 2 })
  const blocked = start(pool, request('spin'))
  await blocked.begun
  const others = Array.from({ length: 50 }, (_, i) => start(pool, request('echo', i)))
  expect(await Promise.all(others.map(each => valueOf(each.result)))).toEqual(others.map((_, i) => i))
})

test('a result does not wait behind a task that blocks', async () => {
  await using pool = await threadsPool()
  // so that the name is known as quick: the hardest case is another matter, a quick task that turns slow
  await Promise.all(Array.from({ length: 20 }, () => start(pool, request('echo')).result))
  const first = start(pool, request('echo', 1))
  const blocked = start(pool, request('spin'))
  expect(await valueOf(first.result)).toBe(1)
  await blocked.begun
})

test('reports of a task that never yields leave at once', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('chatty'))
  expect(await run.begun).toEqual({ kind: 'progress', runId: run.runId, progress: { current: 1, total: 2 } })
})

test('a log field that cannot be cloned does not fail the task', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('unclonable'))
  expect(await run.result).toMatchObject({ kind: 'returned' })
  expect(run.reports).toMatchObject([{ fields: { n: 1 } }])
})

test('an abort reaches a running task as an error that says why', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('heeding'))
  await run.begun
  pool.abort(run.runId, 'revoked')
  expect(await run.result).toMatchObject({ kind: 'aborted', reason: 'revoked', error: { type: 'TaskRevokedError' } })
})

test('a run that has not started is aborted at once, even behind a task that blocks', async () => {
  await using pool = await threadsPool({ slots: 1 })
  const blocked = start(pool, request('spin'))
  await blocked.begun
  const handedOver = start(pool, request('echo'))
  const sameTurn = start(pool, request('echo'))
  pool.abort(sameTurn.runId, 'shutdown')
  expect(await sameTurn.result).toMatchObject({ kind: 'aborted', reason: 'shutdown', error: { type: 'ShutdownError' } })
  pool.abort(handedOver.runId, 'revoked')
  expect(await handedOver.result).toMatchObject({ kind: 'aborted', reason: 'revoked', error: { message: 'revoked' } })
})

test('a run that has not begun can be taken back; one that has is left alone', async () => {
  await using pool = await threadsPool({ slots: 1 })
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

test('an abort of an unknown run does nothing', async () => {
  await using pool = await threadsPool()
  pool.abort(-1, 'revoked', 0)
  expect(await valueOf(start(pool, request('echo', 1)).result)).toBe(1)
})

test('the soft limit aborts the signal', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('heeding', null, { softLimitMs: 20 }))
  expect(await run.result).toMatchObject({
    kind: 'aborted',
    reason: 'soft-time-limit',
    error: { type: 'SoftTimeLimitExceeded' },
  })
})

test('limits count from the start of the run, not from when it was given', async () => {
  await using pool = await threadsPool({ slots: 1 })
  const first = start(pool, request('block', 300))
  const second = start(pool, request('wait', 10, { hardLimitMs: 250 }))
  expect((await first.result).kind).toBe('returned')
  expect((await second.result).kind).toBe('returned')
})

test('what loading throws is what start rejects with', async () => {
  const coded = await threadsPool({ workerData: { load: 'coded' } }).catch((error: unknown) => error)
  expect(coded).toBeInstanceOf(AppLoadError)
  expect(coded).toMatchObject({
    name: 'AppLoadError',
    code: 'E_APP_LOAD',
    message: 'tasks.ts does not load',
    details: { file: 'tasks.ts' },
  })
  const plain = await threadsPool({ workerData: { load: 'plain' } }).catch((error: unknown) => error)
  expect(plain).toMatchObject({ code: 'E_APP_LOAD', cause: { name: 'SyntaxError', message: 'Unexpected token' } })
})

test('an entry that ends, or is not there, before it has loaded is an AppLoadError', async () => {
  await expect(threadsPool({ workerData: { load: 'exit' } })).rejects.toThrow(/entry\.ts: .*exited with code 3 before/)
  await expect(threadsPool({ entry: new URL('./nowhere.ts', entry) })).rejects.toThrow(AppLoadError)
})

test('a failed start leaves the pool startable', async () => {
  const data: { load?: 'plain' | undefined } = { load: 'plain' }
  const pool = createThreadsPool({ slots: 1, entry, workerData: data, clock: systemClock })
  await expect(pool.start()).rejects.toThrow(AppLoadError)
  delete data.load
  await using running = disposable(pool)
  await running.start()
  expect(await valueOf(start(running, request('echo', 1)).result)).toBe(1)
})

test('slots and threads are counted from 1', () => {
  const options = { entry, workerData: {}, clock: systemClock }
  expect(() => createThreadsPool({ ...options, slots: 0 })).toThrow(InvalidArgumentError)
  expect(() => createThreadsPool({ ...options, slots: 1, threads: 1.5 })).toThrow(/threads is 1.5/)
})

test('a run needs a started pool', async () => {
  const pool = createThreadsPool({ slots: 1, entry, workerData: {}, clock: systemClock })
  await pool.stop()
  await expect(pool.run(request('echo'), () => undefined)).rejects.toThrow(IllegalStateError)
})

test('stop ends what runs and what waits as lost, without suspicion', async () => {
  await using pool = await threadsPool({ slots: 1 })
  const spinning = start(pool, request('spin'))
  const waiting = start(pool, request('echo'))
  await spinning.begun
  const justGiven = start(pool, request('echo'))
  const stopped = pool.stop()
  expect(pool.stop()).toBe(stopped)
  await stopped
  const lost = { kind: 'lost', alone: false, suspect: false, error: { type: 'ShutdownError' } }
  expect(await spinning.result).toMatchObject(lost)
  expect(await waiting.result).toMatchObject(lost)
  expect(await justGiven.result).toMatchObject(lost)
  expect(await start(pool, request('echo')).result).toMatchObject(lost)
  expect(pool.stats()).toEqual({ slots: 1, running: 0 })
})

test('start after stop, and during it, starts anew', async () => {
  await using pool = await threadsPool()
  void pool.stop()
  await pool.start()
  expect(await valueOf(start(pool, request('echo', 1)).result)).toBe(1)
})

test('stop while the tasks are being loaded ends the start', async () => {
  const pool = createThreadsPool({ slots: 1, entry, workerData: { load: 'never' }, clock: systemClock })
  const started = pool.start()
  expect(pool.start()).toBe(started)
  await Promise.all([expect(started).rejects.toThrow(ShutdownError), pool.stop()])
})

test('runs given while the pool starts run when it has', async () => {
  const pool = createThreadsPool({ slots: 1, entry, workerData: {}, clock: systemClock })
  await using _running = disposable(pool)
  const started = pool.start()
  const run = start(pool, request('echo', 1))
  await started
  expect(await valueOf(run.result)).toBe(1)
})

test('running counts what has started and not ended', async () => {
  await using pool = await threadsPool({ slots: 2 })
  const runs = [1, 2, 3].map(() => start(pool, request('heeding')))
  await Promise.all(runs.slice(0, 2).map(run => run.begun))
  expect(pool.stats()).toEqual({ slots: 2, running: 2 })
})

test('more runs than one thread may hold all end', async () => {
  await using pool = await threadsPool()
  const runs = Array.from({ length: 10_000 }, (_, i) => start(pool, request('echo', i)))
  const values = await Promise.all(runs.map(run => valueOf(run.result)))
  expect(values).toEqual(runs.map((_, i) => i))
})
