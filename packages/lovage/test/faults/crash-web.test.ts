/**
 * The crash point of the web process, on every driver: it dies, freezes or throws while it writes a stream. The
 * page goes on at another process, and nobody is told a state that is older than one they know.
 */
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import type { CrashAction } from '../../src/core/crash-point.ts'
import { crashDrivers, type CrashDriver } from './support/crash-drivers.ts'
import { crashed, CrashScene, type Process } from './support/crash-scene.ts'
import { crashActions, webPoints, whyNot } from './support/crash-table.ts'
import { until } from './support/until.ts'
import { getText, Page } from './support/web-client.ts'

const program = fileURLToPath(new URL('./support/web-server.ts', import.meta.url))
const steps = 20
const patience = { timeoutMs: 110_000 }
const isLinux = process.platform === 'linux'

/** Its own database is none of the scene's, the environment's is; rpc:// results are apart by the app's name. */
async function startWeb(
  scene: CrashScene,
  crashAt?: string,
): Promise<{ readonly child: Process; readonly port: number }> {
  const child = scene.start([program, 'elsewhere.db', '{}', scene.app.name], crashAt)
  await child.shows('listening ')
  return { child, port: Number(/listening (\d+)/.exec(child.stdout)?.[1]) }
}

/** A page that comes back may be told again what it knows. */
function expectForward({ told }: Page): void {
  const versions = told.map(({ version }) => version)
  expect(versions).toEqual(versions.toSorted(compare))
  expect(told.at(-1)).toMatchObject({ state: 'SUCCESS', result: steps })
}

function compare(a: readonly number[], b: readonly number[]): number {
  const differences = a.map((part, place) => part - (b[place] ?? 0))
  return differences.find(difference => difference !== 0) ?? 0
}

async function play(driver: CrashDriver, action: CrashAction, signal: AbortSignal): Promise<void> {
  await using scene = await CrashScene.open(driver, signal)
  const { id } = await scene.app.sendTask('crash.slow', [steps])
  const armed = await startWeb(scene, `S1:5:${action}`)
  await using _armed = armed.child
  const handle = await getText(armed, `/handle/${id}`)
  const [leaves, stays] = [new Page(), new Page()]
  await leaves.connect(armed, handle)
  await stays.connect(armed, handle)
  await using worker = scene.worker(1)
  await crashed(armed.child, 'S1', action)
  const other = await startWeb(scene)
  await using _other = other.child
  const toldThen = leaves.told.length
  leaves.leave()
  await leaves.connect(other, handle)
  await until('the other goes on', () => leaves.told.length > toldThen, patience)
  // a frozen one goes on with whoever waited for it
  if (action === 'stop') armed.child.signal('SIGCONT')
  else await stays.ended
  for (const page of action === 'stop' ? [leaves, stays] : [leaves]) {
    await until('the page sees the end', () => page.last?.state === 'SUCCESS', patience)
    expectForward(page)
  }
  worker.signal('SIGTERM')
  expect(await worker.finished()).toMatchObject({ code: 0 })
}

describe.skipIf(!isLinux)('a web process at its crash point', { timeout: 120_000 }, () => {
  describe.each(crashDrivers)('$name', driver => {
    beforeAll(async () => void (await driver.prepare?.()), 120_000)

    describe.each(crashActions)('%s', action => {
      // eslint-disable-next-line vitest/expect-expect -- `play` expects
      test.for(webPoints)('$name, $where', async (point, { signal, skip }) => {
        const reason = whyNot({ driver, point, action })
        skip(reason !== undefined, reason)
        await play(driver, action, signal)
      })
    })
  })
})
