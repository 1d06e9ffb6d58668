/** Faults 10 and 22: clocks that jump, that differ, that count from elsewhere, and times beyond a lease. */
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import type { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import { fakeTime } from './support/tools.ts'
import { until } from './support/until.ts'

const library = fakeTime()
const hourMs = 3_600_000

/** Lets processes see a clock that is so much ahead, and goes on from there when it is told otherwise. */
class WallClock {
  readonly env: NodeJS.ProcessEnv
  readonly #set: (text: string) => void

  constructor(project: Project, name: string, aheadSeconds = 0) {
    const file = join(project.root, name)
    this.#set = text => void project.write(name, text)
    this.jumpTo(aheadSeconds)
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    }
  }

  jumpTo(aheadSeconds: number): void {
    this.#set(`${aheadSeconds < 0 ? '' : '+'}${aheadSeconds}`)
  }
}

const lease = { LOVAGE_LEASE_MS: '3s' }

describe.skipIf(library === undefined)('fault 10: a wall clock', () => {
  test('that jumps an hour forth and back ends no lease, and a time is kept by the clock there is', async () => {
    const project = new Project({ env: lease })
    const clock = new WallClock(project, 'clock')
    const workers = [await project.worker({ env: clock.env }), await project.worker({ env: clock.env })]
    const running = await Promise.all([1, 2, 3, 4].map(() => project.app.sendTask('nap', [5000])))
    await until('all four', () => project.effects('nap').length === 4)
    const inHalfAnHour = new Date(Date.now() + hourMs / 2)
    const early = await project.app.sendTask('ordered', ['half-an-hour'], {}, { eta: inHalfAnHour })
    clock.jumpTo(3600)
    const fired = await project.effect('half-an-hour')
    expect(fired.at).toBeGreaterThanOrEqual(inHalfAnHour.getTime())
    await project.reaches(early.id, 'SUCCESS')

    clock.jumpTo(-3600)
    const soon = new Date(Date.now() + 500)
    const late = await project.app.sendTask('ordered', ['soon'], {}, { eta: soon })
    // longer than their lease
    for (const { id } of running) expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ delivery: 1 })
    expect(project.effects('nap')).toHaveLength(4)
    expect(project.effects('soon')).toEqual([])
    clock.jumpTo(0)
    const kept = await project.effect('soon')
    expect(kept.at).toBeGreaterThanOrEqual(soon.getTime())
    await project.reaches(late.id, 'SUCCESS')
    expect(project.effects('soon')).toHaveLength(1)
    expect(workers.map(({ isAlive }) => isAlive)).toEqual([true, true])
  }, 60_000)

  test('ten minutes ahead beside one ten minutes behind: each task runs once, none before its time there', async () => {
    const project = new Project({ env: lease })
    const workers: Child[] = []
    for (const ahead of [600, -600])
      workers.push(await project.worker({ env: new WallClock(project, `clock${ahead}`, ahead).env }))
    const sent = await Promise.all(Array.from({ length: 40 }, (_, n) => project.app.sendTask('nap', [20 + 5 * n])))
    const eta = new Date(Date.now() + 1500)
    const timed = await project.app.sendTask('ordered', ['timed'], {}, { eta })
    for (const { id } of sent) expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ delivery: 1 })
    const { at } = await project.effect('timed')
    expect(at).toBeGreaterThanOrEqual(eta.getTime())
    await project.reaches(timed.id, 'SUCCESS')
    expect(project.effects('timed')).toHaveLength(1)
    const naps = project.effects('nap')
    expect(naps).toHaveLength(40)
    expect(new Set(naps.map(({ pid }) => pid))).toEqual(new Set(workers.map(({ pid }) => pid)))
  }, 60_000)
})

const unshare = ['unshare', '-T', '--monotonic', '86400', '--boottime', '86400']
const hasTimeSpaces =
  process.platform === 'linux' && spawnSync(unshare[0] ?? '', [...unshare.slice(1), 'true']).status === 0
if (!hasTimeSpaces) console.warn('SKIPPED: tests that need time namespaces. They need root on Linux.')

test.skipIf(!hasTimeSpaces).each([
  ['seen from outside', unshare, []],
  ['that sees one outside', [], unshare],
])(
  "fault 10: a monotonic clock a day ahead, of a container, ends nobody's lease: %s",
  async (_, ofHolder, ofOther) => {
    const project = new Project({ env: lease })
    const worker = (launcher: readonly string[]): Child =>
      project.start(['-A', 'tasks.ts', 'worker', '-l', 'info', '-c', '4'], {}, launcher)
    const holder = worker(ofHolder)
    await holder.line(/ ready\./)
    const sent = await Promise.all([1, 2, 3, 4].map(() => project.app.sendTask('nap', [6000])))
    await until('four naps', () => project.effects('nap').length === 4)
    // has room for whatever it believes to be nobody's
    await worker(ofOther).line(/ ready\./)
    for (const { id } of sent) expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ delivery: 1 })
    expect(project.effects('nap').map(({ pid }) => pid)).toEqual([holder.pid, holder.pid, holder.pid, holder.pid])
  },
  60_000,
)

test('fault 22: a time beyond the lease comes once, with three workers waiting for it', async () => {
  const project = new Project({ env: { LOVAGE_LEASE_MS: '1s' } })
  await Promise.all([1, 2, 3].map(() => project.worker()))
  const eta = new Date(Date.now() + 4000)
  const timed = await Promise.all([1, 2, 3].map(n => project.app.sendTask('ordered', [`timed${n}`], {}, { eta })))
  for (const { id } of timed) await project.reaches(id, 'SUCCESS')
  const { id } = await project.app.sendTask('tiny', [1], {}, { countdownMs: 1000 })
  await project.reaches(id, 'SUCCESS')
  const effects = project.effects()
  expect(effects.map(({ word }) => word).toSorted()).toEqual(['timed1', 'timed2', 'timed3'])
  for (const { at } of effects) expect(at).toBeGreaterThanOrEqual(eta.getTime())
}, 60_000)
