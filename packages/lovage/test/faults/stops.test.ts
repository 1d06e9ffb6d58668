/** Signals to a worker and revokes of its tasks: what stops, how soon, and what the store says then. */
import { describe, expect, test } from 'vitest'
import type { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import { isLong, until } from './support/until.ts'

/** What was promised for stops and revokes. */
const soonMs = 2000
/** What a loaded machine may add. */
const slackMs = 1000

interface Running {
  readonly project: Project
  readonly worker: Child
  /** Ids by task name. */
  readonly ids: Readonly<Record<string, string>>
}

/** A worker in the middle of each of these tasks. */
async function running(names: readonly string[], args: readonly string[] = []): Promise<Running> {
  const project = new Project()
  const worker = await project.worker({ args })
  const ids: Record<string, string> = {}
  for (const name of names) {
    const { id } = await project.app.sendTask(name)
    ids[name] = id
    await project.effect(name)
  }
  return { project, worker, ids }
}

/** It ended well, and how long after now that was. */
async function endsWithin(worker: Child, ms: number): Promise<void> {
  const askedAt = performance.now()
  expect({ ...(await worker.ended), output: worker.output }).toMatchObject({ code: 0, signal: null })
  expect((worker.endedAt ?? Infinity) - askedAt).toBeLessThan(ms)
}

/** What was given back is in the queue, unclaimed; the next worker ends it, each with its second delivery. */
async function isFinishedByTheNext({ project, ids }: Running): Promise<void> {
  const all = Object.values(ids)
  expect(await project.app.queue('celery').stats()).toMatchObject({ ready: all.length, unsettled: 0 })
  const next = await project.worker()
  for (const id of all) expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: 'true', delivery: 2 })
  next.kill('SIGTERM')
  await endsWithin(next, soonMs + slackMs)
}

describe('a stop', () => {
  test.each([['SIGINT'], ['SIGTERM']] as const)(
    '%s twice aborts, gives back and ends the process',
    async signal => {
      const now = await running(['patient', 'deaf'])
      now.worker.kill(signal)
      await now.worker.line(/warm shutdown, waiting for 2 running/)
      const late = await now.project.app.sendTask('tiny', [1])
      now.worker.kill(signal)
      await endsWithin(now.worker, soonMs + slackMs)
      expect(now.worker.output).toMatch(/cold shutdown/)
      expect((await now.project.stored(late.id))?.state).toBe('PENDING')
      await now.project.app.queue('celery').purge()
      expect(await now.project.app.queue('celery').stats()).toMatchObject({ ready: 0 })
    },
    30_000,
  )

  test('a cold stop loses nothing: the next worker ends what was given back', async () => {
    const now = await running(['patient', 'deaf'])
    now.worker.kill('SIGQUIT')
    await endsWithin(now.worker, soonMs + slackMs)
    await isFinishedByTheNext(now)
    expect(now.project.effects('deaf')).toHaveLength(2)
  }, 30_000)

  test('a loop without end holds up a warm stop, but not a cold one', async () => {
    const { project, worker } = await running(['forever'])
    worker.kill('SIGTERM')
    await worker.line(/warm shutdown, waiting for 1 running/)
    worker.kill('SIGTERM')
    await endsWithin(worker, soonMs + slackMs)
    expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 1, unsettled: 0 })
  }, 30_000)

  test('fault 20: SIGTERM fetches no more, gives back what waits, lets run what runs until the time is over', async () => {
    const now = await running(['patient'], ['--shutdown-timeout', '2s'])
    const { project, worker } = now
    const { id: quick } = await project.app.sendTask('nap', [700])
    await project.effect('nap')
    const { id: soon } = await project.app.sendTask('tiny', [1], {}, { countdownMs: 900 })
    worker.kill('SIGTERM')
    const warm = await worker.line(/warm shutdown/)
    const { id: late } = await project.app.sendTask('tiny', [2])
    // only what runs is still held
    await until('what waits is given back', async () => {
      const { unsettled = NaN } = await project.app.queue('celery').stats()
      return unsettled <= 2
    })
    expect(await project.reaches(quick, 'SUCCESS')).toMatchObject({ delivery: 1 })
    expect(worker.isAlive).toBe(true)
    await worker.ended
    expect((worker.endedAt ?? Infinity) - warm.at).toBeGreaterThan(1900)
    expect((worker.endedAt ?? Infinity) - warm.at).toBeLessThan(2000 + soonMs + slackMs)
    expect((await project.stored(late))?.state).toBe('PENDING')
    expect((await project.stored(soon))?.state).toBe('PENDING')
    const next = await project.worker()
    expect(await project.reaches(now.ids['patient'] ?? '', 'SUCCESS')).toMatchObject({ value: 'true', delivery: 2 })
    await project.reaches(late, 'SUCCESS')
    await project.reaches(soon, 'SUCCESS')
    next.kill('SIGTERM')
    await endsWithin(next, soonMs + slackMs)
  }, 40_000)

  test('an idle worker stops at once', async () => {
    const { worker } = await running([])
    worker.kill('SIGTERM')
    await endsWithin(worker, soonMs)
    expect(worker.output).toMatch(/warm shutdown, waiting for 0 running/)
  }, 30_000)
})

describe('a revoke', () => {
  async function isRevokedSoon(project: Project, id: string, from: number): Promise<void> {
    const state = await project.reaches(id, 'REVOKED')
    expect(performance.now() - from).toBeLessThan(soonMs + slackMs)
    const looked = await project.lovage('-A', 'tasks.ts', 'result', id, '--json')
    expect(JSON.parse(looked.out)).toMatchObject({ state: 'REVOKED', ready: true })
    expect(await project.stored(id)).toEqual(state)
  }

  test.each([
    ['patient', []],
    ['patient', ['--terminate']],
    ['deaf', ['--terminate']],
    ['forever', ['--terminate']],
  ])(
    'of a running task ends it: %s %j',
    async (name, flags) => {
      const { project, worker, ids } = await running([name])
      const neighbour = await project.app.sendTask('tiny', [7])
      const said = await project.lovage('-A', 'tasks.ts', 'revoke', ids[name] ?? '', ...flags)
      const askedAt = performance.now()
      expect(said).toMatchObject({ code: 0 })
      await isRevokedSoon(project, ids[name] ?? '', askedAt)
      expect(await project.reaches(neighbour.id, 'SUCCESS')).toMatchObject({ value: '7' })
      expect(worker.isAlive).toBe(true)
    },
    30_000,
  )

  test('fault 47: of a waiting task, while no worker lives, is honoured by the one that comes', async () => {
    const project = new Project()
    const { id } = await project.app.sendTask('nap', [10])
    const later = await project.app.sendTask('nap', [10], {}, { countdownMs: 800 })
    await project.lovage('-A', 'tasks.ts', 'revoke', id, later.id)
    expect((await project.stored(id))?.state).toBe('PENDING')
    await project.worker()
    await isRevokedSoon(project, id, performance.now())
    await project.reaches(later.id, 'REVOKED')
    expect(project.effects()).toEqual([])
  }, 30_000)

  test('fault 47: of a task whose worker is down is honoured by the next one: it does not run again', async () => {
    const { project, worker, ids } = await running(['patient'])
    worker.kill('SIGKILL')
    await worker.ended
    await project.lovage('-A', 'tasks.ts', 'revoke', ids['patient'] ?? '')
    await project.worker()
    await isRevokedSoon(project, ids['patient'] ?? '', performance.now())
    expect(project.effects('patient')).toHaveLength(1)
  }, 30_000)

  test('fault 47: is not forgotten by a restart of the worker', async () => {
    const { project, worker } = await running([])
    const later = await project.app.sendTask('nap', [10], {}, { countdownMs: 2500 })
    await project.lovage('-A', 'tasks.ts', 'revoke', later.id)
    worker.kill('SIGTERM')
    await worker.ended
    await project.worker()
    await project.reaches(later.id, 'REVOKED')
    expect(project.effects()).toEqual([])
  }, 30_000)

  test('behind a long task is honoured as soon as there is a slot', async () => {
    const { project, ids } = await running(['patient'], ['-c', '1'])
    const { id } = await project.app.sendTask('nap', [10])
    await project.lovage('-A', 'tasks.ts', 'revoke', id)
    await project.lovage('-A', 'tasks.ts', 'revoke', ids['patient'] ?? '')
    await project.reaches(id, 'REVOKED')
    expect(project.effects('nap')).toEqual([])
  }, 30_000)
})

test('a task that never yields, for longer than its lease, runs once and shows how far it is', async () => {
  const [taskMs, lease] = isLong ? [20_000, '2s'] : [5000, '1s']
  const project = new Project({ env: { LOVAGE_LEASE_MS: lease } })
  const workers = [await project.worker(), await project.worker()]
  const { id } = await project.app.sendTask('spin', [taskMs])
  const early = await project.reaches(id, 'PROGRESS')
  await project.reaches(id, state => state.state === 'PROGRESS' && state.value !== early.value)
  expect(project.effects('spun')).toEqual([])
  expect(await project.reaches(id, 'SUCCESS', { timeoutMs: taskMs + 15_000 })).toMatchObject({ delivery: 1 })
  expect(project.effects('spin')).toHaveLength(1)
  expect(project.effects('spun')).toHaveLength(1)
  expect(workers.every(worker => worker.isAlive)).toBe(true)
}, 60_000)
