import { describe, expect, it } from 'vitest'
import type { Breakage } from './cluster.ts'
import { simulate, type History } from './simulator.ts'

const seeds = (count: number): number[] => Array.from({ length: count }, (_, seed) => seed)

function violations(histories: readonly History[]): string[] {
  return histories.flatMap(({ seed, violation }) =>
    violation === undefined ? [] : `seed ${seed}: ${violation.invariant}: ${violation.detail}`,
  )
}

describe('the simulator', () => {
  it('finds no violation in 5,000 histories', { timeout: 60_000 }, async () => {
    const histories = await simulate(seeds(5000))
    expect(violations(histories)).toEqual([])
    const rare = ['crashes', 'pauses', 'outages', 'stops', 'lostAnswers', 'lostWakeUps', 'duplicates', 'stale'].filter(
      fault => histories.reduce((sum, { counts }) => sum + (counts[fault] ?? 0), 0) < 900,
    )
    expect(rare).toEqual([])
  })

  it('plays the same history for the same seed, whatever plays beside it', async () => {
    const [alone] = await simulate([7], { tells: true })
    const beside = await simulate(seeds(50), { tells: true })
    expect(alone?.story.length).toBeGreaterThan(50)
    expect(beside.find(({ seed }) => seed === 7)).toEqual(alone)
    expect(beside.find(({ seed }) => seed === 8)?.story).not.toEqual(alone?.story)
  })
})

describe('a build that is broken on purpose', () => {
  const controls: readonly [Breakage, string][] = [
    ['ack-before-store', '7 no late ack before the result is durable'],
    ['no-fencing', '5 a stale token decides nothing'],
    ['lost-wakeup', 'liveness: all drains after the faults'],
  ]
  it.each(controls)('%s is caught within 200 histories by "%s"', async (breakage, invariant) => {
    const histories = await simulate(seeds(200), { breakage })
    expect(histories.map(({ violation }) => violation?.invariant)).toContain(invariant)
  })
})
