import { spawnSync } from 'node:child_process'
import { hostname } from 'node:os'
import { expect, it } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { presencePrefix } from '../../../src/core/keys.ts'
import type { Coordination } from '../../../src/coordination.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { internals } from '../../../src/app/internals.ts'
import { startTestWorker } from '../../../src/testing/index.ts'
import { Lovage } from '../../../src/index.ts'
import { livingWorkers, Presence, type WorkerCard } from '../../../src/worker/presence.ts'

async function openCoordination(): Promise<Coordination> {
  const { coordination } = openMemory(new URL('memory:'))
  await coordination.open()
  return coordination
}

function card(change: Partial<WorkerCard> = {}): WorkerCard {
  const node = `lovage@${hostname()}`
  const rest = { queues: ['celery'], tasks: ['add'], concurrency: 1, pool: 'inline', startedAt: 0, version: '1' }
  return { node, pid: process.pid, host: hostname(), ...rest, ...change }
}

/** Of a process that has ended. */
function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid
}

const fail = (error: unknown): void => {
  throw error
}

it('takes another name beside a living worker of the same one', async () => {
  const coordination = await openCoordination()
  const [first, second] = [new Presence(coordination, systemClock), new Presence(coordination, systemClock)]
  expect(await first.start(card(), fail)).toBe(`lovage@${hostname()}`)
  expect(await second.start(card(), fail)).toBe(`lovage-2@${hostname()}`)
  await first.stop()
  expect((await livingWorkers(coordination)).map(({ node }) => node)).toEqual([`lovage-2@${hostname()}`])
  await second.stop()
  await coordination.close()
})

it('takes over the name of a worker of this host that is dead, and does not count it as living', async () => {
  const coordination = await openCoordination()
  const dead = card({ pid: deadPid() })
  await coordination.put(presencePrefix + dead.node, JSON.stringify(dead), 10_000)
  await coordination.put(
    `${presencePrefix}other`,
    JSON.stringify(card({ node: 'a@elsewhere', host: 'elsewhere', pid: dead.pid })),
    10_000,
  )
  await coordination.put(`${presencePrefix}strange`, 'no card', 10_000)
  expect((await livingWorkers(coordination)).map(({ node }) => node)).toEqual(['a@elsewhere'])
  const presence = new Presence(coordination, systemClock)
  expect(await presence.start(card(), fail)).toBe(dead.node)
  await presence.stop()
  await coordination.close()
})

it('tells the tasks that the worker can run, not those that others implement', async () => {
  const app = new Lovage('test')
  app.declareTask('python.resize')
  app.task('core.tasks.add', () => null)
  await using _worker = await startTestWorker(app)
  const { coordination } = await internals(app).backend()
  expect((await livingWorkers(coordination)).map(({ tasks }) => tasks)).toEqual([['core.tasks.add']])
})
