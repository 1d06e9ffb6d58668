/** Workers that die, and workers that freeze: nothing is lost, and nothing counts twice. */
import { expect, test } from 'vitest'
import type { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import { isLong, spread, until } from './support/until.ts'

const kills = 20
const tasksPerKill = 100

test('2,000 tasks end in SUCCESS while one of two workers is killed 20 times', async () => {
  const project = new Project({ env: { LOVAGE_LEASE_MS: '60s' } })
  const workers: Child[] = [await project.worker(), await project.worker()]
  const sent: string[] = []
  const recoveries: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    sent.push(...(await sendSome(project, kill)))
    const witness = await project.app.sendTask('nap', [400], {}, { priority: 9 })
    sent.push(witness.id)
    recoveries.push(await killUnder(project, workers, witness.id))
    workers.push(await project.worker())
    // it may be killed once, not at every turn
    await project.reaches(witness.id, 'SUCCESS')
  }
  for (const id of sent) await project.reaches(id, 'SUCCESS', { timeoutMs: 60_000 })
  const { median, max } = spread(recoveries)
  console.log(`${sent.length} tasks; a killed worker's task began again after ${median} ms, at most ${max} ms`)
  expect(sent).toHaveLength(kills * tasksPerKill)
  expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 0, delayed: 0, unsettled: 0 })
  expect(median).toBeLessThan(500)
  // far below the lease, so it was the death that was seen
  expect(max).toBeLessThan(isLong ? 500 : 3000)
  expect(await until('the integrity', () => project.integrity())).toBe('ok')
}, 180_000)

/** A mix: tiny ones, some that take 5 to 50 ms, a few with progress. */
async function sendSome(project: Project, seed: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 0; n < tasksPerKill - 1; n++) {
    const [name, args] =
      n % 20 === 0 ? ['steps', [4, 10]] : n % 4 === 0 ? ['nap', [5 + ((seed * 7 + n) % 46)]] : ['tiny', [n]]
    const { id } = await project.app.sendTask(name as string, args as unknown[])
    ids.push(id)
  }
  return ids
}

/** Kills the worker that runs a task; how long until another one has begun it. */
async function killUnder(project: Project, workers: Child[], id: string): Promise<number> {
  const begun = await project.effect('nap', effect => effect.id === id)
  const victim = workers.find(worker => worker.pid === begun.pid)
  const killedAt = Date.now()
  victim?.kill('SIGKILL')
  await victim?.ended
  workers.splice(0, workers.length, ...workers.filter(worker => worker !== victim))
  const again = await project.effect('nap', effect => effect.id === id && effect.pid !== begun.pid)
  return again.at - killedAt
}

test("fault 11: a frozen worker's task begins again within the lease and a second, and its late result is dropped", async () => {
  const project = new Project({ env: { LOVAGE_LEASE_MS: '2s' } })
  const workers = [await project.worker(), await project.worker()]
  const { id } = await project.app.sendTask('nap', [1200])
  const begun = await project.effect('nap')
  const frozen = workers.find(worker => worker.pid === begun.pid)
  const frozenAt = Date.now()
  frozen?.kill('SIGSTOP')
  const again = await project.effect('nap', effect => effect.pid !== begun.pid)
  console.log(`a frozen worker's task began again after ${again.at - frozenAt} ms`)
  expect(again.at - frozenAt).toBeLessThan(3000)
  const stored = await project.reaches(id, 'SUCCESS')

  frozen?.kill('SIGCONT')
  await project.effect('napped', effect => effect.pid === begun.pid)
  await frozen?.line(/its delivery belongs to another worker now; what this one made of it was dropped/)
  expect(await project.stored(id)).toEqual(stored)
  expect(stored.delivery).toBe(2)

  const more = await Promise.all([1, 2, 3, 4].map(n => project.app.sendTask('nap', [50 * n])))
  for (const each of more) await project.reaches(each.id, 'SUCCESS')
  expect(frozen?.isAlive).toBe(true)
  expect(project.integrity()).toBe('ok')
}, 60_000)
