import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { acceptedSnapshot, compareVersions, reduce, type Shown } from '../../../src/web/client/reducer.ts'
import type { Progress, PublicSnapshot, Version } from '../../../src/web/contract.ts'

const ranks: Readonly<Record<string, number>> = { PENDING: 0, RECEIVED: 1, STARTED: 2, RETRY: 4 }

interface Parts {
  readonly retries?: number
  readonly delivery?: number
  readonly seq?: number
  readonly progress?: Partial<Progress>
  readonly remainingMs?: number
}

function snapshotOf(
  state: string,
  { retries = 0, delivery = 1, seq = 0, progress, remainingMs }: Parts = {},
): PublicSnapshot {
  const ready = /SUCCESS|FAILURE|REVOKED/.test(state)
  const rank = ready ? 5 : (ranks[state] ?? 3)
  const remaining = remainingMs === undefined ? {} : { remaining: { ms: remainingMs, confidence: 'measured' } }
  const version: Version = [ready ? 1 : 0, retries, delivery, rank, seq]
  return {
    id: 'a',
    state,
    ready,
    version,
    seq,
    attempt: retries + 1,
    can: [],
    ...remaining,
    ...(progress && { progress }),
  } as PublicSnapshot
}

function at(percent: number, more: Partial<Progress> = {}): { readonly progress: Partial<Progress> } {
  return { progress: { current: percent, total: 100, percent, ...more } }
}

function show(...snapshots: readonly PublicSnapshot[]): Shown {
  let shown: Shown | undefined
  for (const [index, snapshot] of snapshots.entries()) shown = reduce(shown, snapshot, index * 1000)
  return shown as Shown
}

describe('what is shown of a task', () => {
  it.each([
    ['an older snapshot', snapshotOf('PROGRESS', { seq: 5 }), snapshotOf('PROGRESS', { seq: 4 })],
    ['a lower rank', snapshotOf('PROGRESS', { seq: 1 }), snapshotOf('STARTED', { seq: 9 })],
    ['an earlier delivery', snapshotOf('STARTED', { delivery: 2 }), snapshotOf('PROGRESS', { delivery: 1, seq: 9 })],
    ['an earlier attempt', snapshotOf('PENDING', { retries: 1 }), snapshotOf('RETRY', { retries: 0, delivery: 9 })],
    ['anything after the end', snapshotOf('SUCCESS'), snapshotOf('PROGRESS', { retries: 5 })],
    ['the same again', snapshotOf('PROGRESS', at(5)), snapshotOf('PROGRESS', at(5))],
    ['another end', snapshotOf('SUCCESS'), snapshotOf('FAILURE', { retries: 5 })],
  ])('does not change by %s', (_name, first, second) => {
    expect(show(first, second).snapshot).toBe(first)
  })

  it('changes by the end of an earlier attempt, because an end beats everything', () => {
    expect(show(snapshotOf('PROGRESS', { retries: 2 }), snapshotOf('REVOKED')).snapshot.state).toBe('REVOKED')
  })

  it('changes where the version is the same and the place in the queue is not', () => {
    const next = { ...snapshotOf('PENDING'), queue: { position: 1 } }
    expect(show(snapshotOf('PENDING'), next).snapshot).toBe(next)
  })

  it('begins with what was accepted, which everything real replaces', () => {
    const real = snapshotOf('PENDING', { delivery: 0 })
    expect(show(acceptedSnapshot('a')).snapshot.state).toBe('PENDING')
    expect(show(acceptedSnapshot('a'), real).snapshot).toBe(real)
  })
})

describe('the bar', () => {
  it('stands still where a task reports less than before', () => {
    const shown = show(snapshotOf('PROGRESS', at(60)), snapshotOf('PROGRESS', { seq: 1, ...at(40) }))
    expect(shown).toMatchObject({ percent: 60, why: undefined })
  })

  it.each([
    ['the total grew', { seq: 1, ...at(30, { total: 200 }) }, 'moreWork'],
    ['the next phase began', { seq: 1, ...at(30, { phase: 'upload' }) }, 'nextPhase'],
    ['another worker began anew', { delivery: 2, ...at(30) }, 'restarted'],
  ])('falls where %s, and says so', (_name, parts, why) => {
    const shown = show(snapshotOf('PROGRESS', at(60)), snapshotOf('PROGRESS', parts))
    expect(shown).toMatchObject({ percent: 30, why })
  })

  it('begins anew with the next attempt', () => {
    const shown = show(
      snapshotOf('PROGRESS', at(60)),
      snapshotOf('RETRY'),
      snapshotOf('PROGRESS', { retries: 1, ...at(5) }),
    )
    expect(shown).toMatchObject({ percent: 5, why: undefined })
  })

  it('remembers where it stood while a state of the task tells no figure', () => {
    const upload = snapshotOf('UPLOADING', { seq: 1 })
    expect(show(snapshotOf('PROGRESS', at(60)), upload).percent).toBeUndefined()
    expect(show(snapshotOf('PROGRESS', at(60)), upload, snapshotOf('PROGRESS', { seq: 2, ...at(10) })).percent).toBe(60)
  })

  it('is full in the end, or stays where it was when that came early', () => {
    const run = snapshotOf('PROGRESS', at(60))
    expect(show(run, snapshotOf('SUCCESS')).percent).toBe(100)
    expect(show(run, snapshotOf('FAILURE')).percent).toBe(60)
    expect(show(snapshotOf('REVOKED')).percent).toBeUndefined()
  })
})

describe('the time that remains', () => {
  const finishes = (...remaining: readonly number[]): number | undefined =>
    show(...remaining.map((remainingMs, seq) => snapshotOf('PROGRESS', { seq, remainingMs }))).finishAt

  it('may fall freely', () => {
    expect(finishes(60_000, 20_000)).toBe(21_000)
  })

  it('rises only when it is a fifth longer for three seconds', () => {
    expect(finishes(60_000, 65_000)).toBe(60_000)
    expect(finishes(60_000, 90_000, 90_000, 90_000)).toBe(60_000)
    expect(finishes(60_000, 90_000, 90_000, 90_000, 90_000)).toBe(94_000)
    expect(finishes(60_000, 90_000, 90_000, 57_000, 90_000, 90_000)).toBe(60_000)
  })

  it('is believed anew once the time is over', () => {
    expect(finishes(500, 30_000)).toBe(31_000)
  })
})

/** A life of a task as its workers write it: runs, each with rising figures, phases and totals; perhaps an end. */
const life: fc.Arbitrary<PublicSnapshot[]> = fc
  .record({
    runs: fc.array(
      fc.record({
        isRetry: fc.boolean(),
        steps: fc.array(
          fc.record({
            percent: fc.nat(100),
            total: fc.constantFrom(100, 200),
            phase: fc.constantFrom('a', 'b', undefined),
          }),
          { maxLength: 8 },
        ),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    end: fc.constantFrom('SUCCESS', 'FAILURE', 'REVOKED', undefined),
  })
  .map(({ runs, end }) => {
    const snapshots = [snapshotOf('PENDING', { delivery: 0 })]
    let retries = 0
    let delivery = 0
    for (const { isRetry, steps } of runs) {
      delivery += 1
      snapshots.push(snapshotOf('STARTED', { retries, delivery }))
      for (const [seq, { percent, ...more }] of steps.entries())
        snapshots.push(
          snapshotOf('PROGRESS', { retries, delivery, seq, progress: { current: 1, percent, ...more } as Progress }),
        )
      if (!isRetry) continue
      snapshots.push(snapshotOf('RETRY', { retries, delivery }))
      retries += 1
    }
    if (end !== undefined) snapshots.push(snapshotOf(end, { retries, delivery }))
    return snapshots
  })

describe('whatever the network makes of the snapshots', () => {
  const order = fc.array(fc.nat(60), { minLength: 1, maxLength: 80 })

  it('no row ever steps back', () => {
    const neverBack = fc.property(life, order, (snapshots, picks) => {
      let before: Shown | undefined
      for (const [now, pick] of picks.entries()) {
        // any order, any repetition, any loss
        const shown = reduce(before, snapshots[pick % snapshots.length] as PublicSnapshot, now)
        if (before !== undefined && !isForward(before, shown)) return false
        before = shown
      }
      return true
    })
    expect(() => fc.assert(neverBack, { numRuns: 2_000 })).not.toThrow()
  })
})

function isForward(before: Shown, shown: Shown): boolean {
  if (before.snapshot.ready) return shown === before
  const [from, to] = [before.snapshot.version, shown.snapshot.version]
  const isSameRun = from[1] === to[1] && from[2] === to[2]
  const isLower = isSameRun && (shown.percent ?? 100) < (before.percent ?? 0)
  return compareVersions(to, from) >= 0 && (!isLower || shown.why === 'moreWork' || shown.why === 'nextPhase')
}
