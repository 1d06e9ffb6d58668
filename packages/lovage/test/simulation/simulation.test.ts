import { describe, expect, it } from 'vitest'
import { breakages, type Breakage } from './breakages.ts'
import type { InvariantName } from './invariants.ts'
import { partsOf } from './plan.ts'
import { shrink } from './shrink.ts'
import type { History } from './simulator.ts'
import { tally } from './tally.ts'

const isLong = process.env['LONG_TESTS'] === '1'
const count = isLong ? 20_000 : 600
const seeds = (length: number, first = 0): number[] => Array.from({ length }, (_, index) => first + index)

async function storyOf(length: number, seed: number): Promise<readonly string[] | undefined> {
  let story: readonly string[] | undefined
  await tally(seeds(length, length === 1 ? seed : 0), { tells: true }, history => {
    if (history.plan.seed === seed) ({ story } = history)
  })
  return story
}

describe('the simulator', () => {
  it(
    `finds no violation in ${count} histories, with every fault and every state in them`,
    { timeout: 900_000 },
    async () => {
      const result = await tally(seeds(count))
      expect(result.violations()).toEqual([])
      expect(isLong ? result.coverage.short(count) : result.coverage.unmet()).toEqual([])
    },
  )

  it('plays the same history for the same seed, whatever plays beside it', { timeout: 300_000 }, async () => {
    const alone = await storyOf(1, 7)
    expect(alone?.length).toBeGreaterThan(50)
    expect(await storyOf(50, 7)).toEqual(alone)
    expect(await storyOf(50, 8)).not.toEqual(alone)
  })
})

const caughtBy: Readonly<Record<Breakage, InvariantName>> = {
  'ack-before-store': '7 no late ack before the result is durable',
  'ack-on-receive': '7 no late ack before the result is durable',
  'bare-parking': '15 what is parked can be replayed',
  'double-settle': '2 nothing appears',
  'early-ack-runs-again': '6 every attempt has a cause',
  'eta-ignored': 'neither before its eta nor after it expired',
  'expire-ignored': 'neither before its eta nor after it expired',
  'final-is-replaced': '4 versions only rise at every observer',
  'forget-crash-count': 'every crash is counted',
  'forget-lease-renewal': '6 every attempt has a cause',
  'forget-revoke': '11 what was revoked does not start',
  'leaked-timer': '13 nothing stays behind',
  'lose-successor': '10 what is linked follows, in order',
  'lost-wakeup': '14 all drains after the faults',
  'no-fencing': '5 a stale token decides nothing',
  'non-atomic-claim': '1 nothing vanishes',
  'publish-resolves-before-commit': '1 nothing vanishes',
  'requeue-without-crash': 'every crash is counted',
  'skip-final-check-on-redelivery': '6 every attempt has a cause',
  'two-keys': 'one key, one task',
  'unlimited-pool': '12 no more run than there are slots',
  'unversioned-put': '4 versions only rise at every observer',
  'wall-clock-lease': '6 every attempt has a cause',
}

/** The first history that a build broken on purpose fails by this invariant, of 200 at most. */
async function firstCaught(breakage: Breakage): Promise<History | undefined> {
  for (let from = 0; from < 200; from += 25) {
    const { failed } = await tally(seeds(25, from), { breakage })
    const found = failed.find(({ violation }) => violation?.invariant === caughtBy[breakage])
    if (found !== undefined) return found
  }
  return undefined
}

describe('a build that is broken on purpose', { timeout: 300_000 }, () => {
  it.each(Object.entries(caughtBy))('%s is caught within 200 histories by "%s"', async breakage => {
    expect(await firstCaught(breakage as Breakage)).toBeDefined()
  })

  it('has a test for each', () => {
    expect(Object.keys(caughtBy)).toEqual(Object.keys(breakages))
  })

  it('is shown by a small history, which fails the same way each time', async () => {
    const breakage = 'no-fencing'
    const failed = await firstCaught(breakage)
    if (failed === undefined) throw new Error(`${breakage} is not caught`)
    const { plan, violation } = await shrink(failed, { breakage })
    expect(partsOf(plan).length).toBeLessThan(partsOf(failed.plan).length / 2)
    const again = await tally([plan.seed], { breakage, only: new Set(partsOf(plan)), luck: plan.luck })
    expect(again.failed[0]?.violation).toEqual(violation)
  })
})
