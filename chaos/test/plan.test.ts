/** What is done when: the same for the same seed, and as often as it was asked for. */
import { expect, test } from 'vitest'
import { nextFault, type Planned, type Rates } from '../src/plan.ts'
import { seededRandom } from '../src/programs/random.ts'
import { parseSettings } from '../src/settings.ts'

const rates: Rates = {
  killsPerMinute: 40,
  freezesPerMinute: 8,
  producerKillsPerMinute: 3,
  fillsPerMinute: 1,
  workers: 4,
  leaseMs: 2000,
  canFill: true,
  hasServer: false,
}

function plan(seed: number, count: number, given = rates): Planned[] {
  const random = seededRandom(seed)
  return Array.from({ length: count }, () => nextFault(random, given))
}

test('a seed plans the same faults again, another seed others', () => {
  expect(plan(7, 100)).toEqual(plan(7, 100))
  expect(plan(7, 100)).not.toEqual(plan(8, 100))
})

test('there are as many kills and freezes in a minute as were asked for', () => {
  const faults = plan(1, 20_000)
  const minutes = faults.reduce((sum, { afterMs }) => sum + afterMs, 0) / 60_000
  const count = (kind: string): number => faults.filter(({ fault }) => fault.kind === kind).length
  const kills = (count('kill worker') + 4 * count('kill all workers')) / minutes
  expect(kills).toBeGreaterThan(36)
  expect(kills).toBeLessThan(44)
  expect(count('freeze worker') / minutes).toBeGreaterThan(7)
  expect(count('server')).toBe(0)
})

test('where nothing is to be done, nothing is', () => {
  const none = { killsPerMinute: 0, freezesPerMinute: 0, producerKillsPerMinute: 0, fillsPerMinute: 0 }
  const kinds = plan(1, 10, { ...rates, ...none }).map(({ fault }) => fault.kind)
  expect(new Set(kinds)).toEqual(new Set(['none']))
})

test('a freeze outlives the lease', () => {
  const freezes = plan(1, 1000).flatMap(({ fault }) => (fault.kind === 'freeze worker' ? [fault.forMs] : []))
  expect(Math.min(...freezes)).toBeGreaterThan(rates.leaseMs)
})

test('the command line: what is unknown is refused with what is known', () => {
  expect(parseSettings(['--minutes', '30', '--seed', '9'])).toMatchObject({ minutes: 30, seed: 9, driver: 'sqlite' })
  expect(parseSettings(['--break', 'ack-before-store'])).toMatchObject({ break: 'ack-before-store', minutes: 0.5 })
  expect(() => parseSettings(['--break', 'no-such'])).toThrow('ack-before-store')
  expect(() => parseSettings(['--driver', 'pigeons'])).toThrow('sqlite')
  expect(() => parseSettings(['--workers', '0'])).toThrow('whole number above 0')
  expect(() => parseSettings(['--minutes', '0'])).toThrow('--minutes is "0"; give a number above 0')
  expect(() => parseSettings(['--readers', '0.5'])).toThrow('whole number above 0')
})
