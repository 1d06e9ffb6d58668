/** A short run of the whole: nothing is found in what ships. Seeded bugs, a minute each, are for `npm run prove`. */
import { expect, onTestFinished, test } from 'vitest'
import { run, type Finished } from '../src/run.ts'
import { parseSettings } from '../src/settings.ts'

async function chaos(...args: readonly string[]): Promise<Finished> {
  const settings = parseSettings(args)
  if (settings === 'help') throw new TypeError('no run was asked for')
  const finished = await run(settings, () => undefined)
  onTestFinished(finished.discard)
  return finished
}

test('real workers, killed and frozen for a quarter of a minute: nothing is lost, nothing goes back', async () => {
  const { report } = await chaos('--minutes', '0.25', '--seed', '1', '--freezes-per-minute', '12')
  expect(report.violations).toEqual([])
  expect(report.figures).toMatchObject({ lost: 0, unexpected: 0, regressed: 0 })
  expect(report.figures['acknowledged']).toBeGreaterThan(100)
  expect(report.figures['kills']).toBeGreaterThan(2)
  expect(report.figures['observations']).toBeGreaterThan(100)
}, 120_000)
