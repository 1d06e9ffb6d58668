import { describe, expect, it } from 'vitest'
import { blamed, guard, mustAsk } from '../../../src/worker/decide.ts'
import { at, delivery, guardFacts, policy, request, stored } from './support.ts'

/** Somebody had it before. */
const again = { redelivered: true }

describe('guard', () => {
  it('runs a known task that is due', () => {
    expect(guard(delivery(), request(), guardFacts())).toEqual({ kind: 'run', isolated: false, markStarted: false })
  })

  it('waits for an eta, and runs at the very instant', () => {
    expect(guard(delivery(), request({ etaAt: at + 1 }), guardFacts())).toEqual({ kind: 'wait', dueAt: at + 1 })
    expect(guard(delivery(), request({ etaAt: at }), guardFacts()).kind).toBe('run')
  })

  it('revokes what is revoked or expired, revoked first', () => {
    const expired = request({ expiresAt: at })
    expect(guard(delivery(), expired, guardFacts())).toMatchObject({ outcome: { kind: 'revoked', reason: 'expired' } })
    expect(guard(delivery(), expired, guardFacts({ revoked: { terminate: false } }))).toMatchObject({
      outcome: { kind: 'revoked', reason: 'revoked' },
    })
    expect(guard(delivery(), request({ expiresAt: at + 1 }), guardFacts()).kind).toBe('run')
  })

  it.each([
    [undefined, 1000],
    [1, 10_000],
    [2, 30_000],
  ])(
    'gives an unknown name that was given back %s times back for %i ms, and counts that alone',
    (unknownCount, delayMs) => {
      const worn = delivery({ deliveryCount: 40, redelivered: true })
      const verdict = guard(worn, request({ unknownCount }), guardFacts({ policy: undefined }))
      const headers = { lovage_unknown: (unknownCount ?? 0) + 1 }
      expect(verdict).toEqual({ kind: 'settle', outcome: { kind: 'returned', delayMs, crashed: false, headers } })
    },
  )

  it('parks an unknown name in the end, naming it', () => {
    const verdict = guard(
      delivery(),
      request({ task: 'imgs.resize', unknownCount: 3 }),
      guardFacts({ policy: undefined }),
    )
    expect(verdict).toMatchObject({
      outcome: { kind: 'parked', error: { type: 'NotRegistered', message: 'imgs.resize' } },
    })
  })

  it.each([
    [0, { kind: 'run', isolated: false, markStarted: false }],
    [1, { kind: 'run', isolated: false, markStarted: true }],
    [2, { kind: 'run', isolated: true, markStarted: true }],
    [4, { kind: 'run', isolated: true, markStarted: true }],
  ])('after %i crashes says %o', (crashCount, verdict) => {
    expect(guard(delivery({ crashCount, redelivered: true }), request(), guardFacts())).toEqual(verdict)
  })

  it('quarantines what five workers did not survive', () => {
    expect(guard(delivery({ crashCount: 5 }), request(), guardFacts())).toMatchObject({
      outcome: { kind: 'parked', error: { type: 'WorkerLostError' } },
    })
  })

  it.each([
    { why: 'what was never handed over is nobody’s', change: {}, known: undefined, crashes: 0 },
    { why: 'one that had it may have begun', change: again, known: undefined, crashes: 1 },
    {
      why: 'one that had it wrote nothing',
      change: again,
      known: stored({ state: 'PENDING', delivery: 0 }),
      crashes: 1,
    },
    { why: 'one wrote that it began', change: again, known: stored({ state: 'STARTED', delivery: 1 }), crashes: 1 },
    { why: 'two wrote that they began', change: again, known: stored({ state: 'PROGRESS', delivery: 2 }), crashes: 2 },
    {
      why: 'never as many as would end it',
      change: again,
      known: stored({ state: 'STARTED', delivery: 9 }),
      crashes: 4,
    },
    { why: 'what the broker was told counts', change: { ...again, crashCount: 5 }, known: undefined, crashes: 5 },
  ])('counts, where the broker only flags hand-overs: $why', ({ change, known, crashes }) => {
    const seen = delivery(change)
    expect(blamed(seen, request(), { stored: known, handOvers: 'flagged' }).crashCount).toBe(crashes)
    expect(blamed(seen, request(), { stored: known, handOvers: 'counted' })).toBe(seen)
  })

  it('leaves a task alone whose end, or next attempt, is recorded', () => {
    const redelivery = delivery({ redelivered: true })
    for (const state of ['SUCCESS', 'FAILURE', 'REVOKED'])
      expect(guard(redelivery, request(), guardFacts({ stored: stored({ state }) }))).toMatchObject({
        outcome: { kind: 'superseded' },
      })
    expect(
      guard(redelivery, request(), guardFacts({ stored: stored({ state: 'PENDING', retries: 1 }) })),
    ).toMatchObject({
      outcome: { kind: 'superseded' },
    })
    expect(guard(redelivery, request(), guardFacts({ stored: stored() })).kind).toBe('run')
  })

  it('sees to what follows from a closed attempt only when it comes again: of two copies one is enough', () => {
    for (const state of ['SUCCESS', 'RETRY']) {
      const closed = stored({ state })
      const facts = guardFacts({ stored: closed })
      expect(guard(delivery({ redelivered: true }), request(), facts)).toMatchObject({
        outcome: { kind: 'superseded', by: closed },
      })
      expect(guard(delivery(), request(), facts)).toMatchObject({ outcome: { kind: 'superseded', by: undefined } })
    }
  })

  it('leaves a second copy alone whose first has begun, and runs one whose first was given back', () => {
    const begun = guardFacts({ stored: stored({ retries: 2 }) })
    expect(guard(delivery(), request({ retries: 2 }), begun)).toMatchObject({ outcome: { kind: 'superseded' } })
    expect(guard(delivery(), request({ retries: 3 }), begun).kind).toBe('run')
    const givenBack = guardFacts({ stored: stored({ state: 'PENDING', retries: 2, delivery: 2 }) })
    expect(guard(delivery(), request({ retries: 2 }), givenBack).kind).toBe('run')
  })

  it.each([
    ['a first delivery', delivery(), request(), 'never'],
    ['a redelivery', delivery({ redelivered: true }), request(), 'always'],
    ['a retry', delivery(), request({ retries: 1 }), 'in two steps'],
    ['what another task sent', delivery(), request({ parentId: 'p' }), 'in two steps'],
  ])('asks the store about $0: $3', (...[, one, of, when]) => {
    expect(mustAsk(one, of, true)).toBe(when === 'always')
    expect(mustAsk(one, of, false)).toBe(when !== 'never')
  })

  it('does not run an early-acknowledged task again that had started', () => {
    const early = policy({ acksLate: false })
    const redelivery = delivery({ redelivered: true })
    const started = guardFacts({ policy: early, stored: stored() })
    expect(guard(redelivery, request(), started)).toMatchObject({
      outcome: { kind: 'failed', error: { type: 'WorkerLostError' } },
    })
    expect(guard(redelivery, request(), guardFacts({ policy: early, stored: stored({ state: 'PENDING' }) }))).toEqual({
      kind: 'run',
      isolated: false,
      markStarted: true,
    })
  })
})
