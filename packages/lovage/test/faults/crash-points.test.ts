/**
 * The crash points of the worker, on every driver: a worker that dies, freezes or throws at a named point, a
 * healthy one beside it, and what is promised seen from outside: states, effects, and what is left in the queue.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { CrashAction } from '../../src/core/crash-point.ts'
import { crashDrivers } from './support/crash-drivers.ts'
import { crashed, CrashScene, expectNoStepBack, thaw, type Process } from './support/crash-scene.ts'
import { crashActions, whyNot, workerPoints, type Cell, type WorkerPoint } from './support/crash-table.ts'

const taskCount = 20
const isLinux = process.platform === 'linux'

async function play(cell: Cell<WorkerPoint>, signal: AbortSignal): Promise<void> {
  const { driver, point, action } = cell
  await using scene = await CrashScene.open(driver, signal)
  const work = point.work ?? 'effect'
  const ids = await scene.send(work, taskCount)
  const readyCount = await scene.watch(ids)
  await using armed = scene.worker(1, `${point.name}:${point.passage}:${action}`)
  if (point.stopsAt !== undefined) {
    await readyCount(point.stopsAt)
    armed.signal('SIGTERM')
  }
  await crashed(armed, point.name, action)
  const readyThen = await scene.ready(ids)
  await using healthy = scene.worker(4)
  await finish(armed, action, readyCount(ids.length))
  await healthy.shows(' ready.')
  healthy.signal('SIGTERM')
  expect(await healthy.finished()).toMatchObject({ code: 0 })

  await scene.drained()
  expectNoStepBack(scene.histories.values())
  expect(readyThen.length).toBeGreaterThanOrEqual(driver.facts.results.pointRead ? point.ready : 0)
  expectEffects(cell, scene.effects(), readyThen)
}

/** A frozen one goes on with what is no longer its own; one that threw is told to stop, if it lives. */
async function finish(armed: Process, action: CrashAction, allReady: Promise<void>): Promise<void> {
  if (action === 'stop') await thaw(armed, allReady)
  await allReady
  if (action !== 'kill') armed.signal('SIGTERM')
  await armed.finished()
}

type Effects = ReadonlyMap<string, number>

function expectEffects({ driver, point, action }: Cell<WorkerPoint>, effects: Effects, ready: number[]): void {
  const numbers = Array.from({ length: point.work === 'chain' ? 2 * taskCount : taskCount }, (_, index) => index)
  const attempts = point.work === 'flaky' ? [0, 1] : [0]
  const expected = attempts.flatMap(attempt => numbers.map(n => `${n}:${attempt}`))
  expect([...effects.keys()].toSorted()).toEqual(expected.toSorted())
  expect(Math.max(...effects.values())).toBeLessThanOrEqual(2)
  // whose end was stored does not run again, where a worker can ask the store
  const twice = [...effects].filter(([, count]) => count > 1).map(([attempt]) => attempt)
  const isStored = (attempt: string): boolean => ready.includes(Number.parseInt(attempt, 10))
  expect(driver.facts.results.pointRead ? twice.filter(isStored) : []).toEqual([])
  // the one at the point, and the next, if the thread had it already
  const mayRunTwice = action === 'kill' ? (point.hasBegun ? 2 : 0) : expected.length
  expect(twice.length).toBeLessThanOrEqual(mayRunTwice)
}

describe.skipIf(!isLinux).concurrent('a worker at its crash point', { timeout: 120_000 }, () => {
  describe.each(crashDrivers)('$name', driver => {
    beforeAll(async () => void (await driver.prepare?.()), 120_000)

    describe.each(crashActions)('%s', action => {
      // eslint-disable-next-line vitest/expect-expect -- `play` expects
      test.for(workerPoints)('$name, $where', async (point, { signal, skip }) => {
        const cell = { driver, point, action }
        skip(whyNot(cell) !== undefined, whyNot(cell))
        await play(cell, signal)
      })
    })
  })
})
