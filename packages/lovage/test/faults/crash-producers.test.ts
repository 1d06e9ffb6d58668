/**
 * The crash points of whoever sends, on every driver: it dies, freezes or throws at a named point. What is in
 * the queue then is what it was told, nothing accepted is lost, nothing refused runs, and sending the same again is safe.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { crashDrivers } from './support/crash-drivers.ts'
import { crashed, CrashScene, expectNoStepBack, thaw } from './support/crash-scene.ts'
import {
  bulkCount,
  crashActions,
  producerPoints,
  whyNot,
  type Cell,
  type ProducerPoint,
} from './support/crash-table.ts'

const isLinux = process.platform === 'linux'
/** A lease as it is by default. */
const patientMs = 30_000

const program = `
import { app, tiny } from './tasks.ts'
const id = '0c9e5a3e-1f5b-4d0e-9d51-000000000001'
const ways = {
  id: () => tiny.applyAsync([0], { taskId: id }),
  key: () => tiny.applyAsync([0], { idempotencyKey: 'the key' }),
  bulk: () => tiny.applyMany(Array.from({ length: ${bulkCount} }, (_, n) => [n])),
}
const told = await ways[process.argv[2]]().then(
  sent => ({ ids: [sent].flat().map(({ id }) => id), deduplicated: sent.deduplicated === true }),
  ({ name, accepted, acceptedIds, rejectedIds }) => ({ name, accepted, acceptedIds, rejectedIds }),
)
console.log(JSON.stringify(told))
await app.close()
`

/** What the producer was told: the tasks' ids, or its error. */
interface Told {
  readonly ids?: readonly string[]
  readonly deduplicated?: boolean
  readonly name?: string
  /** Of a PublishError. */
  readonly accepted?: 'no' | 'unknown'
  readonly acceptedIds?: readonly string[]
  readonly rejectedIds?: readonly string[]
}

/** Runs the producer into its point; undefined: it died there. */
async function produce(scene: CrashScene, { point, action }: Cell<ProducerPoint>): Promise<Told | undefined> {
  const passage = `${point.passage}${point.goesOn === true && action === 'throw' ? '+' : ''}`
  // one that is to come to its point, on a busy machine too, with the connection it has; a frozen one is to lose it
  const leaseMs = action === 'stop' ? undefined : patientMs
  await using armed = scene.start(['produce.ts', point.sends], `${point.name}:${passage}:${action}`, leaseMs)
  await crashed(armed, point.name, action)
  if (action === 'kill') return undefined
  if (action === 'stop') await thaw(armed, new Promise(() => undefined))
  return toTold((await armed.finished()).stdout)
}

async function produceAgain(scene: CrashScene, point: ProducerPoint): Promise<Told> {
  await using again = scene.start(['produce.ts', point.sends], undefined, patientMs)
  return toTold((await again.finished()).stdout)
}

function toTold(line: string): Told {
  return JSON.parse(line) as Told
}

/** What is in the queue is what the caller may believe. */
async function expectQueued(scene: CrashScene, cell: Cell<ProducerPoint>, told: Told | undefined): Promise<void> {
  const { driver, point } = cell
  const queued = await scene.left()
  if (told?.ids !== undefined) expect(queued).toBe(told.ids.length)
  else if (told?.accepted === undefined) {
    // it died, or what was thrown is not about acceptance
    const { least, most } = point.queued(driver.facts)
    expect(queued).toBeGreaterThanOrEqual(least)
    expect(queued).toBeLessThanOrEqual(most)
  } else {
    const { accepted, acceptedIds = [], rejectedIds = [] } = told
    expect(queued).toBeGreaterThanOrEqual(acceptedIds.length)
    expect(queued).toBeLessThanOrEqual(acceptedIds.length + (accepted === 'no' ? 0 : rejectedIds.length))
  }
}

/** Runs all there is; the numbers that ran, and how often. */
async function runAll(scene: CrashScene): Promise<ReadonlyMap<string, number>> {
  await using healthy = scene.worker(4)
  await scene.drained()
  await healthy.shows(' ready.')
  healthy.signal('SIGTERM')
  expect(await healthy.finished()).toMatchObject({ code: 0 })
  return scene.effects()
}

async function playOne(cell: Cell<ProducerPoint>, signal: AbortSignal): Promise<void> {
  const { driver, point, action } = cell
  await using scene = await CrashScene.open(driver, signal)
  scene.write('produce.ts', program)
  const told = await produce(scene, cell)
  expect(told?.name === undefined).toBe(action !== 'throw')
  await expectQueued(scene, cell, told)
  const queuedThen = await scene.left()
  const { ids: [id = ''] = [], deduplicated } = await produceAgain(scene, point)
  // the same id, whoever asks: its message is there once or twice
  expect(id).toBe(told?.ids?.[0] ?? id)
  expect(deduplicated).toBe(point.sends === 'key')
  const sentTwice = queuedThen === 1 && deduplicated !== true
  expect(await scene.left()).toBe(sentTwice ? 2 : 1)
  const readyCount = await scene.watch([id])
  const effects = await runAll(scene)
  await readyCount(1)
  expectNoStepBack(scene.histories.values())
  expect([...effects.keys()]).toEqual(['0:0'])
  expect(effects.get('0:0')).toBeLessThanOrEqual(sentTwice ? 2 : 1)
}

async function playBulk(cell: Cell<ProducerPoint>, signal: AbortSignal): Promise<void> {
  await using scene = await CrashScene.open(cell.driver, signal)
  scene.write('produce.ts', program)
  const told = await produce(scene, cell)
  await expectQueued(scene, cell, told)
  const queuedThen = await scene.left()
  const effects = await runAll(scene)
  // the first so many of them, each once; a broker may have read more after its sender's death
  expect(effects.size).toBeGreaterThanOrEqual(queuedThen)
  const ran = [...effects.keys()]
  const first = Array.from(ran, (_, n) => `${n}:0`)
  // a frozen one may lose its connection, what was under way on it is unknown, and the next one takes the rest
  expect(ran.toSorted()).toEqual((cell.action === 'stop' ? ran : first).toSorted())
  expect(Math.max(...effects.values())).toBe(1)
  // what throws in the middle is told as what it is
  expect(cell.action === 'throw' && told?.accepted === undefined).toBe(false)
  if (told?.accepted === undefined) return
  const { acceptedIds = [], rejectedIds = [] } = told
  expect(acceptedIds.length + rejectedIds.length).toBe(bulkCount)
  expect(acceptedIds.length).toBeGreaterThan(0)
  expect(rejectedIds.length).toBeGreaterThan(0)
  expect(await scene.ready(acceptedIds)).toHaveLength(acceptedIds.length)
  const rejectedThatRan = await scene.ready(rejectedIds)
  expect(told.accepted === 'no' ? rejectedThatRan : []).toEqual([])
}

describe.skipIf(!isLinux).concurrent('whoever sends, at its crash point', { timeout: 240_000 }, () => {
  describe.each(crashDrivers)('$name', driver => {
    beforeAll(async () => void (await driver.prepare?.()), 120_000)

    describe.each(crashActions)('%s', action => {
      // eslint-disable-next-line vitest/expect-expect -- `play…` expects
      test.for(producerPoints)('$name, $where', async (point, { signal, skip }) => {
        const cell = { driver, point, action }
        skip(whyNot(cell) !== undefined, whyNot(cell))
        await (point.sends === 'bulk' ? playBulk : playOne)(cell, signal)
      })
    })
  })
})
