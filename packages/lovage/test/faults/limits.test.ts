/** What a task, and whoever sends it, may ask for: limits, retries, times, order, and what becomes of tasks that kill. */
import { describe, expect, test } from 'vitest'
import type { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import { until } from './support/until.ts'

describe('a time limit', () => {
  test('that is soft aborts the signal', async () => {
    const project = new Project()
    await project.worker()
    const own = await project.app.sendTask('limited')
    const given = await project.app.sendTask('nap', [60_000], {}, { softTimeLimitMs: 100 })
    for (const { id } of [own, given]) {
      const failed = await project.reaches(id, 'FAILURE')
      expect(JSON.parse(failed.value ?? '')).toMatchObject({ type: 'SoftTimeLimitExceeded' })
    }
  }, 30_000)

  test('fault 25: that is hard ends a loop without end, and its neighbours run again in a new thread', async () => {
    const project = new Project()
    const worker = await project.worker()
    const neighbour = await project.app.sendTask('patient')
    await project.effect('patient')
    const endless = await project.app.sendTask('forever', [], {}, { timeLimitMs: 300 })
    expect(JSON.parse((await project.reaches(endless.id, 'FAILURE')).value ?? '')).toMatchObject({
      type: 'TimeLimitExceeded',
    })
    // it was in the same thread, did no harm, and is not blamed
    expect(await project.reaches(neighbour.id, 'SUCCESS')).toMatchObject({ delivery: 2, value: 'true' })
    const { id } = await project.app.sendTask('tiny', [1])
    await project.reaches(id, 'SUCCESS')
    expect(worker.isAlive).toBe(true)
    expect(new Set(project.effects().map(({ pid }) => pid))).toEqual(new Set([worker.pid]))
  }, 30_000)

  test('of the worker holds for tasks that have none', async () => {
    const project = new Project()
    await project.worker({ args: ['--time-limit', '300ms'] })
    const { id } = await project.app.sendTask('forever')
    expect(JSON.parse((await project.reaches(id, 'FAILURE')).value ?? '')).toMatchObject({ type: 'TimeLimitExceeded' })
  }, 30_000)
})

describe('a retry', () => {
  test('by policy comes after its back-off, and the last attempt counts', async () => {
    const project = new Project()
    await project.worker()
    const { id } = await project.app.sendTask('flaky')
    expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: '2', retries: 2 })
    const [first, second, third] = project.effects('flaky').map(({ at }) => at)
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(95)
    expect((third ?? 0) - (second ?? 0)).toBeGreaterThanOrEqual(195)
  }, 30_000)

  test('that is used up ends in FAILURE with the error and the count', async () => {
    const project = new Project()
    await project.worker()
    const { id } = await project.app.sendTask('hopeless')
    const failed = await project.reaches(id, 'FAILURE')
    expect(JSON.parse(failed.value ?? '')).toMatchObject({
      type: 'TypeError',
      message: 'never',
      note: '1 of 1 retries used',
    })
  }, 30_000)

  test('asked for by the task waits for its countdown, and outlives the worker', async () => {
    const project = new Project()
    const worker = await project.worker()
    const { id } = await project.app.sendTask('again')
    await project.reaches(id, 'RETRY')
    worker.kill('SIGKILL')
    await worker.ended
    await project.worker()
    expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: '"second"', retries: 1 })
    const [first, second] = project.effects('again').map(({ at }) => at)
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(195)
    expect(project.effects('again')).toHaveLength(2)
  }, 30_000)
})

describe('a time', () => {
  test.each([400, 1500])(
    'of %i ms from now is waited for, by countdown and by eta',
    async ms => {
      const project = new Project()
      await project.worker()
      const sentAt = Date.now()
      await project.app.sendTask('ordered', ['countdown'], {}, { countdownMs: ms })
      await project.app.sendTask('ordered', ['eta'], {}, { eta: new Date(sentAt + ms) })
      for (const word of ['countdown', 'eta']) {
        const { at } = await project.effect(word)
        expect(at - sentAt).toBeGreaterThanOrEqual(ms)
        expect(at - sentAt).toBeLessThan(ms + 1500)
      }
    },
    30_000,
  )

  test('after which it is not wanted any more ends it in REVOKED, expired', async () => {
    const project = new Project()
    const { id } = await project.app.sendTask('ordered', ['late'], {}, { expiresInMs: 1 })
    await project.worker()
    expect(JSON.parse((await project.reaches(id, 'REVOKED')).value ?? '')).toMatchObject({ reason: 'expired' })
    expect(project.effects()).toEqual([])
  }, 30_000)
})

describe('a queue', () => {
  test('gives the ten priorities in their order, and of one the oldest first', async () => {
    const project = new Project()
    const sent = [3, 0, 9, 5, 1, 8, 2, 7, 4, 6]
    for (const round of ['a', 'b'])
      for (const priority of sent) await project.app.sendTask('ordered', [`${9 - priority}${round}`], {}, { priority })
    await project.worker({ args: ['-c', '1'] })
    const seen = await until('all 20', () => (project.effects().length === 20 ? project.effects() : undefined))
    expect(seen.map(({ word }) => word)).toEqual(seen.map(({ word }) => word).toSorted())
  }, 30_000)

  test('that is paused is left alone until it is resumed, whoever starts meanwhile', async () => {
    const project = new Project()
    const queue = project.app.queue('celery')
    await queue.pause()
    const waiting = await project.app.sendTask('tiny', [0])
    const worker = await project.worker({ args: ['-Q', 'celery,other'] })
    const other = await project.app.sendTask('tiny', [1], {}, { queue: 'other' })
    await project.reaches(other.id, 'SUCCESS')
    worker.kill('SIGTERM')
    await worker.ended
    expect((await project.stored(waiting.id))?.state).toBe('PENDING')
    await project.worker()
    await queue.resume()
    await project.reaches(waiting.id, 'SUCCESS')
  }, 30_000)

  test('that is paused under a worker is left alone as soon as the worker has heard of it', async () => {
    const project = new Project()
    await project.worker({ args: ['-Q', 'celery,other'] })
    const queue = project.app.queue('celery')
    await queue.pause()
    const left = await until('one that is not taken, while a later one in another queue is', async () => {
      const { id } = await project.app.sendTask('tiny', [0])
      const other = await project.app.sendTask('tiny', [1], {}, { queue: 'other' })
      await project.reaches(other.id, 'SUCCESS')
      return (await project.stored(id))?.state === 'PENDING' ? id : undefined
    })
    await queue.resume()
    expect(await project.reaches(left, 'SUCCESS')).toMatchObject({ value: '0' })
  }, 30_000)

  test('that is purged is empty, and says how much was in it', async () => {
    const project = new Project()
    for (let n = 0; n < 5; n++) await project.app.sendTask('ordered', ['purged'])
    await project.app.sendTask('ordered', ['purged'], {}, { countdownMs: 60_000 })
    expect((await project.lovage('-A', 'tasks.ts', 'purge', '--dry-run')).out).toMatch(/celery {2}6 waiting/)
    expect(await project.lovage('-A', 'tasks.ts', 'purge')).toMatchObject({ code: 64 })
    expect((await project.lovage('-A', 'tasks.ts', 'purge', '--force')).out).toMatch(/Removed 6/)
    await project.worker()
    const { id } = await project.app.sendTask('tiny', [1])
    await project.reaches(id, 'SUCCESS')
    expect(project.effects()).toEqual([])
  }, 30_000)
})

test('one idempotency key sends once, and gives the first result', async () => {
  const project = new Project()
  const send = (): ReturnType<typeof project.app.sendTask> =>
    project.app.sendTask('ordered', ['once'], {}, { idempotencyKey: 'order-7' })
  const both = await Promise.all([send(), send()])
  await project.worker()
  const third = await send()
  expect(new Set([...both, third].map(({ id }) => id)).size).toBe(1)
  expect(third.deduplicated).toBe(true)
  await project.reaches(third.id, 'SUCCESS')
  expect(project.effects('once')).toHaveLength(1)
}, 30_000)

test('ignore ends a task, reject parks it, and a requeue gives it back', async () => {
  const project = new Project()
  await project.worker()
  const [ignored, rejected, returned] = await Promise.all(
    ['ignored', 'rejected', 'returned'].map(name => project.app.sendTask(name)),
  )
  await project.reaches(ignored?.id ?? '', 'SUCCESS')
  await project.reaches(rejected?.id ?? '', 'FAILURE')
  expect(await project.reaches(returned?.id ?? '', 'SUCCESS')).toMatchObject({
    value: '"the second time"',
    delivery: 2,
  })
  expect((await project.lovage('-A', 'tasks.ts', 'dead', 'list')).out).toMatch(/rejected by the task/)
  expect(project.effects('rejected')).toHaveLength(1)
}, 30_000)

test('what is acknowledged early does not run twice, and says what became of it', async () => {
  const project = new Project()
  const worker = await project.worker()
  const { id } = await project.app.sendTask('once', [60_000])
  await project.effect('once')
  worker.kill('SIGKILL')
  await worker.ended
  await project.worker()
  expect((await project.reaches(id, 'FAILURE')).value).toMatch(
    /WorkerLostError.*acksLate is false, so it is not run again/,
  )
  expect(project.effects('once')).toHaveLength(1)
}, 30_000)

test('fault 16: a task that kills its process is quarantined after three deaths, and its 50 neighbours end well', async () => {
  const project = new Project()
  const poison = await project.app.sendTask('explode')
  const good: string[] = []
  for (let n = 0; n < 50; n++) good.push((await project.app.sendTask('nap', [20])).id)
  const workers: Child[] = []
  const quarantined = until('the quarantine', async () => (await project.stored(poison.id))?.state === 'FAILURE', {
    timeoutMs: 60_000,
  })
  let isOver = false
  void quarantined.finally(() => (isOver = true))
  while (!isOver && workers.length < 8) {
    const worker = project.start(['-A', 'tasks.ts', 'worker', '-l', 'info', '-c', '4'])
    workers.push(worker)
    await Promise.race([worker.ended, quarantined])
  }
  await quarantined
  for (const id of good) await project.reaches(id, 'SUCCESS', { timeoutMs: 60_000 })
  expect((await project.stored(poison.id))?.value).toMatch(/WorkerLostError/)
  expect(project.effects('explode')).toHaveLength(3)
  // the third time it was alone: the worker that let it run lives
  expect({ starts: workers.length, said: workers.map(({ output }) => output) }).toMatchObject({ starts: 3 })
  expect((await project.lovage('-A', 'tasks.ts', 'dead', 'list')).out).toMatch(/explode .*quarantined/)
}, 120_000)

test('fault 16: a suspect that runs alone goes with its worker, and is not blamed for that', async () => {
  const project = new Project()
  const { id } = await project.app.sendTask('convalescent')
  for (const _death of [1, 2]) {
    const worker = project.start(['-A', 'tasks.ts', 'worker', '-l', 'info'])
    expect(await worker.ended).toEqual({ code: null, signal: 'SIGKILL' })
  }
  const worker = await project.worker()
  const { pid } = await until('the third attempt', () => project.effects('convalescent')[2])
  expect(pid).not.toBe(worker.pid)
  worker.kill('SIGKILL')
  await worker.ended
  await until('the end of its process', () => !isAlive(pid))
  await project.worker()
  expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: '4', delivery: 4 })
}, 60_000)

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
