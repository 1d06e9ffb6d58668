import { describe, expect, it } from 'vitest'
import { referenceOf } from '../../../src/core/reference.ts'
import type { Snapshot } from '../../../src/app/types.ts'
import { tutorialStatus } from '../../../src/web/index.ts'
import { Pace } from '../../../src/web/pace.ts'
import { StreamRates } from '../../../src/web/rates.ts'
import { defaultLimits } from '../../../src/web/web-limits.ts'

const second = 1000

describe('the remaining time', () => {
  const pace = (marks: readonly (readonly [seconds: number, current: number])[], total = 100): Pace => {
    const made = new Pace(0)
    for (const [seconds, current] of marks) made.observe({ at: seconds * second, current, total })
    return made
  }

  it('is not said before 3 s and 5 %', () => {
    expect(pace([[1, 50]]).remainingMs(second)).toBeUndefined()
    expect(pace([[60, 4]]).remainingMs(60 * second)).toBeUndefined()
    expect(pace([[3, 5]]).remainingMs(3 * second)).toBe(57_000)
  })

  it('of a steady run is right, and falls between reports', () => {
    const steady = pace(Array.from({ length: 20 }, (_, index) => [index + 1, (index + 1) * 2] as const))
    expect(steady.remainingMs(20 * second)).toBeCloseTo(30_000, -2)
    expect(steady.remainingMs(25 * second)).toBeCloseTo(25_000, -2)
    expect(steady.remainingMs(99 * second)).toBe(0)
  })

  it('follows a run that becomes faster at once, and one that becomes slower after 3 s', () => {
    const marks = Array.from({ length: 10 }, (_, index) => [index + 1, index + 1] as const)
    const faster = pace([...marks, [11, 30], [12, 50]])
    expect(faster.remainingMs(12 * second)).toBeLessThan(20_000)
    const slower = pace([...marks, [20, 11]])
    expect(slower.remainingMs(20 * second)).toBeCloseTo(80_000, -2)
    slower.observe({ at: 24 * second, current: 11.4, total: 100 })
    expect(slower.remainingMs(24 * second)).toBeGreaterThan(150_000)
  })

  it('is not made of a total that is unknown, zero or passed, nor of progress that stands still', () => {
    const of = (current: number, total: number | undefined): number | undefined => {
      const made = new Pace(0)
      made.observe({ at: 10 * second, current, total })
      return made.remainingMs(10 * second)
    }
    expect([of(5, undefined), of(0, 0), of(11, 10), of(0, 10)]).toEqual([undefined, undefined, undefined, undefined])
  })

  it('begins anew with another phase', () => {
    const made = new Pace(0)
    made.observe({ at: 10 * second, current: 90, total: 100, phase: 'copy' })
    made.observe({ at: 20 * second, current: 10, total: 100, phase: 'check' })
    expect(made.remainingMs(20 * second)).toBeUndefined()
  })
})

describe('new streams', () => {
  it('are 20 a second from one address', () => {
    const rates = new StreamRates(defaultLimits)
    const taken = (address: string, now: number): number => {
      let count = 0
      while (rates.takeNew(address, now)) count++
      return count
    }
    expect([taken('a', 0), taken('b', 0), taken('a', 100), taken('a', 10_000)]).toEqual([20, 20, 2, 20])
  })

  it('of made-up addresses do not fill the memory', () => {
    const rates = new StreamRates(defaultLimits)
    for (let index = 0; index < 50_000; index++) expect(rates.takeNew(`10.${index}`, 0)).toBe(true)
  })
})

describe('the tutorial', () => {
  const base = { id: 't', attempt: 1, seq: 0, ready: false as const }
  const error = { type: 'TypeError', message: 'secret', retryable: true }
  const progress = (current: number, total: number, percent?: number): object => ({
    progress: { current, total, percent },
  })
  it.each([
    [{ ...base, state: 'PENDING' }, 'None', 'None'],
    [{ ...base, state: 'STARTED' }, 'None', 'None'],
    [{ ...base, state: 'PROGRESS', ...progress(1, 4, 25) }, 25, 'None'],
    [{ ...base, state: 'PROGRESS', ...progress(0, 0) }, 'None', 'None'],
    [{ ...base, state: 'UPLOADING', meta: { bytes: 1 } }, 'None', 'None'],
    [{ ...base, state: 'RETRY', error, retryAt: new Date() }, 'None', 'None'],
    [{ ...base, state: 'SUCCESS', ready: true, result: 1 }, 100, 'None'],
    [{ ...base, state: 'REVOKED', ready: true, error, reason: 'revoked' }, 'None', 'None'],
    [{ ...base, state: 'FAILURE', ready: true, error }, 'None', `Something went wrong. Reference ${referenceOf('t')}`],
    [
      { ...base, state: 'FAILURE', ready: true, error: { ...error, message: 'argument 1', isPublic: true } },
      'None',
      'argument 1',
    ],
  ])('sees $state as it polls it', (snapshot, progression, info) => {
    expect(tutorialStatus(snapshot as Snapshot)).toEqual({ task_id: 't', state: snapshot.state, progression, info })
  })
})

describe('a reference', () => {
  it('is the same for an id everywhere, and short', () => {
    expect(referenceOf('01a203ff-5b0f-7ef0-b554-cb5c69ef2dbd')).toBe(
      referenceOf('01a203ff-5b0f-7ef0-b554-cb5c69ef2dbd'),
    )
    for (const id of ['', 'a', 'ü', '01a203ff']) expect(referenceOf(id)).toMatch(/^[0-9A-F]{4}-[0-9A-F]{4}$/)
    expect(new Set(Array.from({ length: 1000 }, (_, index) => referenceOf(`task-${index}`))).size).toBe(1000)
  })
})
