import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compareVersions,
  isBuiltInState,
  isNewer,
  isReadyState,
  stateRank,
  type StateVersion,
} from '../../../src/core/states.ts'

const ranks: [state: string, rank: number, isReady: boolean][] = [
  ['PENDING', 0, false],
  ['RECEIVED', 1, false],
  ['STARTED', 2, false],
  ['PROGRESS', 3, false],
  ['UPLOADING', 3, false],
  ['RETRY', 4, false],
  ['SUCCESS', 5, true],
  ['FAILURE', 5, true],
  ['REVOKED', 5, true],
]

it.each(ranks)('%s has rank %i', (state, rank, isReady) => {
  expect(stateRank(state)).toBe(rank)
  expect(isReadyState(state)).toBe(isReady)
  expect(isBuiltInState(state)).toBe(state !== 'UPLOADING')
})

type Numbers = readonly [retries?: number, delivery?: number, seq?: number]

const version = (state: string, ...[retries = 0, delivery = 1, seq = 0]: Numbers): StateVersion => ({
  state,
  retries,
  delivery,
  seq,
})

describe('isNewer', () => {
  it.each<[string, StateVersion, StateVersion | undefined, boolean]>([
    ['anything after nothing', version('PENDING', 0, 0), undefined, true],
    ['STARTED after PENDING', version('STARTED'), version('PENDING'), true],
    ['PENDING after STARTED', version('PENDING'), version('STARTED'), false],
    ['a later PROGRESS', version('PROGRESS', 0, 1, 2), version('PROGRESS', 0, 1, 1), true],
    ['the same PROGRESS again', version('PROGRESS', 0, 1, 1), version('PROGRESS', 0, 1, 1), false],
    ['PROGRESS after a custom state, by time', version('PROGRESS', 0, 1, 2), version('UPLOADING', 0, 1, 1), true],
    ['RETRY after PROGRESS, whatever the time', version('RETRY', 0, 1, 0), version('PROGRESS', 0, 1, 9), true],
    ['PROGRESS after RETRY of the same attempt', version('PROGRESS', 0, 1, 9), version('RETRY', 0, 1, 0), false],
    ['STARTED of the next attempt after RETRY', version('STARTED', 1, 1), version('RETRY', 0, 1), true],
    ['PROGRESS of an attempt that is over', version('PROGRESS', 0, 9), version('STARTED', 1, 1), false],
    ['STARTED of the next delivery after PROGRESS', version('STARTED', 0, 2), version('PROGRESS', 0, 1, 9), true],
    ['PROGRESS of a worker that lost the delivery', version('PROGRESS', 0, 1, 99), version('STARTED', 0, 2), false],
    ['SUCCESS of an old delivery over a running one', version('SUCCESS', 0, 1), version('PROGRESS', 1, 2, 9), true],
    ['SUCCESS after SUCCESS', version('SUCCESS', 1, 2, 9), version('SUCCESS'), false],
    ['SUCCESS after FAILURE', version('SUCCESS', 1, 2, 9), version('FAILURE'), false],
    ['RETRY after REVOKED', version('RETRY', 5, 5), version('REVOKED'), false],
  ])('%s', (_what, ...[next, current, expected]) => {
    expect(isNewer(next, current)).toBe(expected)
  })
})

const anyVersion = fc.record({
  state: fc.constantFrom(...ranks.map(([state]) => state)),
  retries: fc.nat(2),
  delivery: fc.nat(2),
  seq: fc.nat(2),
})

describe('the order of versions', () => {
  it('is one: antisymmetric and transitive', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, anyVersion, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0)
        const isOrdered = compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0
        expect(isOrdered && compareVersions(a, c) > 0).toBe(false)
      }),
    )
  })

  it('lets nothing through after a final state, in whatever order writes arrive', () => {
    fc.assert(
      fc.property(fc.array(anyVersion, { minLength: 1 }), versions => {
        let kept: StateVersion | undefined
        let firstFinal: StateVersion | undefined
        for (const next of versions) {
          if (isNewer(next, kept)) kept = next
          if (isReadyState(next.state)) firstFinal ??= next
        }
        expect(kept).toBe(firstFinal ?? kept)
      }),
    )
  })

  it('keeps the same last version of unfinished ones, in whatever order they arrive', () => {
    const unfinished = anyVersion.filter(({ state }) => !isReadyState(state))
    const last = (versions: readonly StateVersion[]): StateVersion | undefined =>
      versions.reduce<StateVersion | undefined>((kept, next) => (isNewer(next, kept) ? next : kept), undefined)
    fc.assert(
      fc.property(fc.array(unfinished, { minLength: 1 }), versions => {
        const [forwards, backwards] = [last(versions), last([...versions].reverse())]
        expect(forwards && backwards && compareVersions(forwards, backwards)).toBe(0)
      }),
    )
  })
})
