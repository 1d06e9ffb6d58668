import { describe, expect, it } from 'vitest'
import { breakages, type Breakage } from './breakages.ts'
import { Coverage } from './coverage.ts'
import type { InvariantName } from './invariants.ts'
import { partsOf } from './plan.ts'
import { shrink } from './shrink.ts'
import { simulate, type History } from './simulator.ts'

const isLong = process.env['LOVAGE_LONG'] === '1'
const count = isLong ? 20_000 : 600
const seeds = (length: number): number[] => Array.from({ length }, (_, seed) => seed)

function violations(histories: readonly History[]): string[] {
  return histories.flatMap(({ plan, violation }) =>
    violation === undefined ? [] : `seed ${plan.seed}: ${violation.invariant}: ${violation.detail}`,
  )
}

describe('the simulator', () => {
  it(`finds no violation in ${count} histories, in which all that can meet has met`, { timeout: 600_000 }, async () => {
    const histories = await simulate(seeds(count))
    expect(violations(histories)).toEqual([])
    const all = new Coverage()
    for (const { coverage } of histories) all.merge(coverage)
    // how often is asked of the long run only
    expect(all.short(isLong ? count : 1)).toEqual([])
  })

  it('plays the same history for the same seed, whatever plays beside it', async () => {
    const [alone] = await simulate([7], { tells: true })
    const beside = await simulate(seeds(50), { tells: true })
    expect(alone?.story.length).toBeGreaterThan(50)
    expect(beside.find(({ plan }) => plan.seed === 7)?.story).toEqual(alone?.story)
    expect(beside.find(({ plan }) => plan.seed === 8)?.story).not.toEqual(alone?.story)
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
  'lose-successor': '1 nothing vanishes',
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
    const histories = await simulate(
      seeds(25).map(seed => from + seed),
      { breakage },
    )
    const found = histories.find(({ violation }) => violation?.invariant === caughtBy[breakage])
    if (found !== undefined) return found
  }
  return undefined
}

describe('a build that is broken on purpose', { timeout: 60_000 }, () => {
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
    const again = await simulate([plan.seed], { breakage, only: new Set(partsOf(plan)), luck: plan.luck })
    expect(again[0]?.violation).toEqual(violation)
  })
})
