/** What tasks can do to their thread, and what becomes of them, of their neighbours and of those that wait. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { request, start, threadsPool, valueOf } from '../fixtures/pools/pool-kit.ts'
import type { Started } from '../fixtures/pools/pool-kit.ts'
import { until } from './support/until.ts'

const timeLimit = {
  kind: 'killed',
  reason: 'time-limit',
  error: { type: 'TimeLimitExceeded', module: 'billiard.exceptions' },
}

for (const name of ['spin', 'regex', 'heedless'])
  test(`fault 25: the hard limit ends ${name}, and those behind it run in a new thread`, async () => {
    await using pool = await threadsPool({ slots: 1 })
    const run = start(pool, request(name, null, { hardLimitMs: 50 }))
    const behind = [1, 2, 3].map(i => start(pool, request('echo', i)))
    expect(await run.result).toMatchObject(timeLimit)
    expect(await Promise.all(behind.map(each => valueOf(each.result)))).toEqual([1, 2, 3])
    expect(pool.faults).toEqual([])
  })

test('neighbours of a task ended by force are lost without suspicion, and those that wait lose nothing', async () => {
  await using pool = await threadsPool({ slots: 2 })
  const neighbour = start(pool, request('heedless'))
  await neighbour.begun
  const run = start(pool, request('spin', null, { hardLimitMs: 50 }))
  const behind = start(pool, request('echo', 1))
  expect(await run.result).toMatchObject(timeLimit)
  expect(await neighbour.result).toMatchObject({
    kind: 'lost',
    alone: false,
    suspect: false,
    error: { type: 'WorkerLostError' },
  })
  expect(await valueOf(behind.result)).toBe(1)
})

test('the soft limit aborts, and the hard limit ends what does not heed it', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('heedless', null, { softLimitMs: 10, hardLimitMs: 60 }))
  expect(await run.result).toMatchObject(timeLimit)
})

test('a terminate that is not heeded ends the task by force', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('spin'))
  await run.begun
  pool.abort(run.runId, 'terminated', 20)
  expect(await run.result).toMatchObject({
    kind: 'killed',
    reason: 'terminated',
    error: { type: 'TaskRevokedError', message: 'terminated' },
  })
})

test('a terminate that is heeded in time ends the task alone', async () => {
  await using pool = await threadsPool({ slots: 2 })
  const [run, neighbour] = [start(pool, request('heeding')), start(pool, request('heeding'))]
  await Promise.all([run.begun, neighbour.begun])
  pool.abort(run.runId, 'terminated', 5000)
  expect(await run.result).toMatchObject({ kind: 'aborted', reason: 'terminated' })
  pool.abort(neighbour.runId, 'revoked')
  expect(await neighbour.result).toMatchObject({ kind: 'aborted', reason: 'revoked' })
})

test('a task that does not heed a forced shutdown is lost without suspicion: it runs again elsewhere', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('spin'))
  await run.begun
  pool.abort(run.runId, 'shutdown', 20)
  expect(await run.result).toMatchObject({ kind: 'lost', suspect: false, error: { type: 'ShutdownError' } })
})

test('fault 31: process.exit() in a task throws in that task, and nothing else notices', async () => {
  await using pool = await threadsPool()
  const neighbour = start(pool, request('heeding'))
  await neighbour.begun
  const ended = await start(pool, request('exit', 3)).result
  expect(ended).toMatchObject({ kind: 'threw', error: { type: 'IllegalStateError' } })
  expect(JSON.stringify(ended)).toContain('process.exit(3) was called in the task exit')
  pool.abort(neighbour.runId, 'revoked')
  expect(await neighbour.result).toMatchObject({ kind: 'aborted' })
})

for (const [name, message] of [
  ['strayThrow', 'thrown in a timer'],
  ['strayRejection', 'nobody caught this'],
] as const)
  test(`${name}: the task it came from has thrown, neighbours finish, the thread is replaced`, async () => {
    await using pool = await threadsPool({ slots: 2 })
    const neighbour = start(pool, request('heeding'))
    await neighbour.begun
    const run = start(pool, request(name))
    const behind = start(pool, request('echo', 1))
    expect(await run.result).toMatchObject({ kind: 'threw', error: { type: 'RangeError', message } })
    expect(await valueOf(behind.result)).toBe(1)
    pool.abort(neighbour.runId, 'revoked')
    expect(await neighbour.result).toMatchObject({ kind: 'aborted', reason: 'revoked' })
    expect(pool.faults).toEqual([])
  })

test('fault 30: whatever is thrown past a task, it fails alone, in few words and without the password', async () => {
  await using pool = await threadsPool({ slots: 2 })
  const neighbour = start(pool, request('heeding'))
  await neighbour.begun
  expect(await start(pool, request('strayHostile')).result).toMatchObject({ kind: 'threw' })
  const long = await start(pool, request('strayLong')).result
  expect(long).toMatchObject({ kind: 'threw', error: { message: expect.stringContaining('amqp://me:***@host') } })
  expect(JSON.stringify(long).length).toBeLessThan(80_000)
  expect(JSON.stringify(long)).not.toContain('hunter2')
  pool.abort(neighbour.runId, 'revoked')
  expect(await neighbour.result).toMatchObject({ kind: 'aborted', reason: 'revoked' })
})

test('while a thread finishes its runs, its successor gets no more than the free slots', async () => {
  await using pool = await threadsPool({ slots: 2 })
  const neighbour = start(pool, request('heeding'))
  await neighbour.begun
  await start(pool, request('strayThrow')).result
  const most = await Promise.all([1, 2, 3].map(() => valueOf(start(pool, request('gauged', 5)).result)))
  expect(most).toEqual([1, 1, 1])
  pool.abort(neighbour.runId, 'revoked')
  await neighbour.result
})

test('a slot that a fault frees in a thread about to be replaced is used again', async () => {
  await using pool = await threadsPool({ slots: 2 })
  const second = start(pool, request('strayOnAbort'))
  await second.begun
  await start(pool, request('strayThrow')).result
  const holder = start(pool, request('heeding'))
  await holder.begun
  const behind = start(pool, request('echo', 1))
  pool.abort(second.runId, 'revoked')
  expect(await second.result).toMatchObject({ kind: 'threw', error: { message: 'on abort' } })
  expect(await valueOf(behind.result)).toBe(1)
})

test('what a task throws after it has ended is reported with its name', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  await using pool = await threadsPool({ onFault: resolve })
  const run = start(pool, request('lateThrow'))
  expect((await run.result).kind).toBe('returned')
  expect(await promise).toMatch(/thrown by lateThrow \(id-\d+\), which had ended: RangeError: thrown after the end/)
  expect(await valueOf(start(pool, request('echo', 1)).result)).toBe(1)
})

test('a task that fills the heap loses its thread, and every run in it is suspect', async () => {
  await using pool = await threadsPool({ slots: 2, resourceLimits: { maxOldGenerationSizeMb: 24 } })
  const neighbour = start(pool, request('heedless'))
  await neighbour.begun
  const run = start(pool, request('hoard'))
  await run.begun
  const behind = start(pool, request('echo', 1))
  const lost = {
    kind: 'lost',
    alone: false,
    suspect: true,
    error: { message: expect.stringContaining('ran out of memory') as string },
  }
  expect(await run.result).toMatchObject(lost)
  expect(await neighbour.result).toMatchObject(lost)
  expect(await valueOf(behind.result)).toBe(1)
  expect(pool.faults).toEqual([expect.stringContaining('ran out of memory')])
})

test('a thread that is gone without a word is told of by its exit code', async () => {
  await using pool = await threadsPool({ slots: 1 })
  const ended = await start(pool, request('reallyExit')).result
  expect(ended).toMatchObject({
    kind: 'lost',
    suspect: true,
    error: { message: expect.stringContaining('exited with code 5') as string },
  })
  expect(await valueOf(start(pool, request('echo', 1)).result)).toBe(1)
})

test('an isolated run has a process to itself', async () => {
  await using pool = await threadsPool()
  const pids = await Promise.all(
    [1, 2].map(() => valueOf(start(pool, request('pid', null, { isolated: true })).result)),
  )
  expect(new Set([...pids, process.pid]).size).toBe(3)
})

test('an isolated run that kills its process is lost, alone, with the signal named', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('killProcess', null, { isolated: true }))
  expect(await run.result).toMatchObject({
    kind: 'lost',
    alone: true,
    suspect: true,
    error: { type: 'WorkerLostError' },
  })
  expect(JSON.stringify(await run.result)).toMatch(/killProcess .* was ended by SIGKILL/)
  expect(await valueOf(start(pool, request('echo', 1)).result)).toBe(1)
})

test('limits, aborts and stray throws end an isolated run too', async () => {
  await using pool = await threadsPool()
  const isolated = true
  const limited = start(pool, request('spin', null, { isolated, hardLimitMs: 50 }))
  expect(await limited.result).toMatchObject(timeLimit)
  const stray = start(pool, request('strayThrow', null, { isolated }))
  expect(await stray.result).toMatchObject({ kind: 'threw', error: { message: 'thrown in a timer' } })
  const soft = start(pool, request('heeding', null, { isolated, softLimitMs: 10 }))
  expect(await soft.result).toMatchObject({ kind: 'aborted', reason: 'soft-time-limit' })
  const forced = start(pool, request('spin', null, { isolated }))
  await forced.begun
  pool.abort(forced.runId, 'terminated', 10)
  expect(await forced.result).toMatchObject({ kind: 'killed', reason: 'terminated' })
})

test('an isolated run that has not begun is aborted at once', async () => {
  await using pool = await threadsPool({ slots: 1 })
  const first = start(pool, request('heeding', null, { isolated: true }))
  const second = start(pool, request('heeding', null, { isolated: true }))
  pool.abort(second.runId, 'revoked')
  expect(await second.result).toMatchObject({ kind: 'aborted', reason: 'revoked' })
  await first.begun
  expect(pool.stats().running).toBe(1)
})

test('an isolated run is asked about when its process is ready, one after the other, and not begun without leave', async () => {
  await using pool = await threadsPool({ slots: 1 })
  const asked: string[] = []
  const leave = Promise.withResolvers<boolean>()
  const first = pool.run(
    request('pid', null, { isolated: true }),
    () => undefined,
    () => (asked.push('first'), leave.promise),
  )
  const second = pool.run(
    request('pid', null, { isolated: true }),
    () => undefined,
    () => (asked.push('second'), Promise.resolve(true)),
  )
  await until('the question', () => asked.length > 0)
  leave.resolve(false)
  expect(await first).toMatchObject({ kind: 'aborted', reason: 'shutdown', began: false })
  expect(await valueOf(second)).not.toBe(process.pid)
  expect(asked).toEqual(['first', 'second'])
})

test('an isolated run that never yields does not outlive the process that started it', async () => {
  const program = new URL('../fixtures/pools/spin-alone.ts', import.meta.url)
  const parent = spawn(process.execPath, [fileURLToPath(program)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(parent.stdout.setEncoding('utf8'), 'data')) as [string]
  const pid = Number(line)
  expect(isAlive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await until('the end of the isolated process', () => !isAlive(pid))
}, 30_000)

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('stop ends isolated runs and leaves no process', async () => {
  await using pool = await threadsPool()
  const run = start(pool, request('spin', null, { isolated: true }))
  await run.begun
  await pool.stop()
  expect(await run.result).toMatchObject({
    kind: 'lost',
    alone: false,
    suspect: false,
    error: { type: 'ShutdownError' },
  })
})

test('a program ends by itself once its pool is stopped', async () => {
  const program = new URL('../fixtures/pools/start-and-stop.ts', import.meta.url)
  const { stdout } = await promisify(execFile)(process.execPath, [program.pathname])
  expect(stdout).toBe('ran: 1\n')
})

test('starts and stops in any order end stopped, with no run unanswered', async () => {
  await using pool = await threadsPool()
  const runs = [start(pool, request('heeding')), start(pool, request('echo'))]
  await Promise.allSettled([pool.stop(), pool.start(), pool.stop(), pool.start(), pool.start(), pool.stop()])
  await pool.start()
  runs.push(start(pool, request('echo')))
  await pool.stop()
  await pool.stop()
  expect((await Promise.all(runs.map(run => run.result))).map(result => result.kind)).toHaveLength(3)
  expect(pool.stats().running).toBe(0)
})

test('among tasks that end their threads in every way, each run ends, and none begins twice', async () => {
  await using pool = await threadsPool({ slots: 6, threads: 2 })
  const bad = (i: number): Started =>
    [
      () => start(pool, request('spin', null, { hardLimitMs: 15 })),
      () => start(pool, request('strayThrow')),
      () => start(pool, request('reallyExit')),
    ][i % 3]!()
  const culprits: Started[] = []
  const good = Array.from({ length: 600 }, (_, i) => {
    if (i % 40 === 20) culprits.push(bad(i / 20))
    return start(pool, request('announce'))
  })
  const ends = await Promise.all(good.map(run => run.result))
  const begun = good.map(run => run.reports.length)
  expect(Math.max(...begun)).toBe(1)
  expect(begun.filter((count, i) => count === 0 && ends[i]?.kind === 'returned')).toEqual([])
  // one that was lost had begun; its report may be lost with it
  const others = ends.filter(end => end.kind !== 'returned')
  expect(others.filter(end => end.kind !== 'lost' || end.alone)).toEqual([])
  expect(ends.filter(end => end.kind === 'returned').length).toBeGreaterThan(500)
  for (const culprit of culprits) expect((await culprit.result).kind).not.toBe('returned')
}, 20_000)
