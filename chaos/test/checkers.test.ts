/** The checkers, on histories written by hand: good ones pass, each bad one is named. */
import { describe, expect, test } from 'vitest'
import type { FinalState, Histories } from '../src/checkers/histories.ts'
import { ofWorkers } from '../src/checkers/impairments.ts'
import { checkMonotonicRegister } from '../src/checkers/monotonic-register.ts'
import { checkOnceRules } from '../src/checkers/once-rules.ts'
import { checkTotalQueue } from '../src/checkers/total-queue.ts'
import { absent } from '../src/programs/history.ts'
import type { EffectLine, FaultLine, Kind, ProducerLine, SeenLine } from '../src/programs/history.ts'
import { measureRecovery } from '../src/recovery.ts'

const nothing: Histories = { producers: [], effects: [], seen: [], faults: [], finals: new Map(), isAtomic: true }

function sent(id: string, kind: Kind = 'quick'): ProducerLine[] {
  return [
    { k: 'try', id, kind, at: 0 },
    { k: 'ok', id, at: 1 },
  ]
}

function effect(k: EffectLine['k'], id: string, more: Partial<EffectLine> = {}): EffectLine {
  return { k, id, kind: 'quick', retries: 0, pid: 1, parent: 0, at: 10, ...more }
}

function success(readyAt = 20): FinalState {
  return { state: 'SUCCESS', ready: true, value: 'x', readyAt }
}

function finals(states: Readonly<Record<string, FinalState>>): Histories['finals'] {
  return new Map(Object.entries(states))
}

function fault(k: FaultLine['k'], pid: number, at: number): FaultLine {
  return { k, pid, at, role: 'worker' }
}

describe('the total queue', () => {
  const done = { producers: sent('a'), effects: [effect('start', 'a'), effect('end', 'a')] }

  test('what was acknowledged, done and stored is all there is', () => {
    const found = checkTotalQueue({ ...nothing, ...done, finals: finals({ a: success() }) })
    expect(found).toMatchObject({ attempted: 1, acknowledged: 1, lost: 0, unexpected: 0, duplicated: 0, recovered: 0 })
    expect(found.violations).toEqual([])
  })

  test.each([
    ['nothing is known of it', {}],
    ['it is PENDING', { a: { state: 'PENDING', ready: false, value: '' } }],
  ])('lost: acknowledged, and %s', (why, states) => {
    const found = checkTotalQueue({ ...nothing, producers: sent('a'), finals: finals(states) })
    expect(found.lost).toBe(1)
    expect(found.violations[0]?.what).toContain(why)
  })

  test('lost: its SUCCESS is of work that nobody did', () => {
    const found = checkTotalQueue({ ...nothing, producers: sent('a'), finals: finals({ a: success() }) })
    expect(found.lost).toBe(1)
  })

  test.each<[what: string, faults: FaultLine[], rules: string[]]>([
    ['nothing befell its worker', [{ k: 'kill', role: 'worker', pid: 2, at: 15 }], ['blamed without a death']],
    ['its worker was killed afterwards', [{ k: 'kill', role: 'worker', pid: 1, at: 30 }], ['blamed without a death']],
    ['its worker was killed', [{ k: 'kill', role: 'worker', pid: 1, at: 15 }], []],
    ['its worker was frozen', [{ k: 'freeze', role: 'worker', pid: 1, at: 15 }], []],
  ])('WorkerLostError, and %s', (_, faults, rules) => {
    const lost: FinalState = { state: 'FAILURE', ready: true, value: 'x', readyAt: 20, error: 'WorkerLostError' }
    const given = { ...nothing, producers: sent('a', 'early'), effects: [effect('start', 'a')], faults }
    expect(checkTotalQueue({ ...given, finals: finals({ a: lost }) }).violations.map(({ rule }) => rule)).toEqual(rules)
  })

  test('not lost: its publish was never acknowledged', () => {
    const found = checkTotalQueue({ ...nothing, producers: sent('a').slice(0, 1) })
    expect(found).toMatchObject({ attempted: 1, acknowledged: 0, lost: 0, recovered: 0 })
  })

  test('recovered: not acknowledged, and done all the same', () => {
    const producers = sent('a').slice(0, 1)
    const found = checkTotalQueue({ ...nothing, ...done, producers, finals: finals({ a: success() }) })
    expect(found).toMatchObject({ recovered: 1, unexpected: 0 })
  })

  test('unexpected: nobody attempted it', () => {
    const found = checkTotalQueue({ ...nothing, effects: done.effects, finals: finals({ a: success() }) })
    expect(found.unexpected).toBe(1)
  })

  test('unexpected: its publish said that it is not queued', () => {
    const producers: ProducerLine[] = [...sent('a').slice(0, 1), { k: 'no', id: 'a', at: 1, accepted: 'no' }]
    const found = checkTotalQueue({ ...nothing, ...done, producers, finals: finals({ a: success() }) })
    expect(found.unexpected).toBe(1)
  })

  test('duplicated: done twice in one attempt; a retry is none', () => {
    const producers = [...sent('a'), ...sent('b')]
    const effects = [
      ...[1, 2].flatMap(pid => [effect('start', 'a', { pid }), effect('end', 'a', { pid })]),
      ...[0, 1].flatMap(retries => [effect('start', 'b', { retries }), effect('end', 'b', { retries })]),
    ]
    const found = checkTotalQueue({ ...nothing, producers, effects, finals: finals({ a: success(), b: success() }) })
    expect(found).toMatchObject({ duplicated: 1, violations: [] })
  })

  test('a wrong end: a good task that failed, or was revoked by nobody', () => {
    const failure = (error: string): FinalState => ({ state: 'FAILURE', ready: true, value: 'x', error })
    const states = { a: failure('TypeError'), b: { ...success(), state: 'REVOKED' }, c: failure('WorkerLostError') }
    const found = checkTotalQueue({
      ...nothing,
      producers: ['a', 'b', 'c'].flatMap(id => sent(id)),
      finals: finals(states),
    })
    expect(found.violations.map(({ rule, id }) => `${rule} ${id}`)).toEqual(['wrong end a', 'wrong end b'])
    expect(found.parked).toBe(1)
  })
})

describe('an end in REVOKED has a cause', () => {
  const check = (
    kind: Kind,
    more: { readonly expiresFrom?: number } = {},
    ...lines: ProducerLine[]
  ): readonly string[] => {
    const producers = [...sent('a', kind).map(line => (line.k === 'try' ? { ...line, ...more } : line)), ...lines]
    const states = { a: { ...success(20), state: 'REVOKED', error: 'TaskRevokedError' } }
    return checkTotalQueue({ ...nothing, producers, finals: finals(states) }).violations.map(({ rule }) => rule)
  }

  test('it was revoked before, confirmed or not', () => {
    expect(check('doomed', {}, { k: 'revoking', id: 'a', at: 20 })).toEqual([])
    expect(check('doomed', {}, { k: 'revoking', id: 'a', at: 21 })).toEqual(['wrong end'])
    expect(check('doomed', {}, { k: 'revoking', id: 'b', at: 5 })).toEqual(['wrong end'])
    expect(check('doomed')).toEqual(['wrong end'])
  })

  test('it had expired', () => {
    expect(check('expiring', { expiresFrom: 20 })).toEqual([])
    expect(check('expiring', { expiresFrom: 21 })).toEqual(['wrong end'])
    expect(check('expiring')).toEqual(['wrong end'])
  })
})

describe('the monotonic register', () => {
  const seen = (version: readonly number[], state: string, more: Partial<SeenLine> = {}): SeenLine => {
    return { observer: 'store-1', id: 'a', state, version, ready: false, at: 0, ...more }
  }
  const end = { ready: true, value: 'x' }
  const check = (...lines: SeenLine[]): readonly string[] =>
    checkMonotonicRegister({ seen: lines, finals: finals({ a: success() }) }).violations.map(({ rule }) => rule)

  test('versions that rise to the final state that the store has', () => {
    expect(
      check(
        seen([0, 0, 0, 1], 'PENDING'),
        seen([0, 1, 3, 5], 'PROGRESS'),
        seen([0, 1, 3, 5], 'PROGRESS'),
        seen([0, 2, 2, 1], 'STARTED'),
        // a final state of an older delivery is above all the same
        seen([0, 1, 5, 9], 'SUCCESS', end),
        seen([0, 1, 5, 9], 'SUCCESS', end),
      ),
    ).toEqual([])
  })

  test('a step back, whoever else saw what', () => {
    const lines = [seen([0, 2, 2, 1], 'STARTED'), seen([0, 1, 3, 5], 'PROGRESS', { observer: 'poll-2' })]
    expect(check(...lines)).toEqual([])
    expect(check(...lines, seen([0, 1, 3, 9], 'PROGRESS'))).toEqual(['regressed'])
  })

  test('one version of two states', () => {
    expect(check(seen([0, 1, 3, 5], 'PROGRESS'), seen([0, 1, 3, 5], 'UPLOADING'))).toEqual(['regressed'])
  })

  test('an observer that is shown attempts only', () => {
    expect(check(seen([0], 'STARTED'), seen([0], 'PROGRESS'), seen([1], 'STARTED'))).toEqual([])
    expect(check(seen([1], 'STARTED'), seen([0], 'PROGRESS'))).toEqual(['regressed'])
  })

  test('a ready state that changes, and bytes that do', () => {
    const ready = seen([0, 1, 5, 9], 'SUCCESS', end)
    expect(check(ready, seen([0, 2, 2, 1], 'STARTED'))).toEqual(['regressed'])
    expect(check(ready, { ...ready, value: 'y' })).toEqual(['regressed', 'disagreement'])
  })

  test('absent after anybody has seen it, unless it is old enough to be forgotten', () => {
    const pending = seen([0, 0, 0, 1], 'PENDING', { at: 10 })
    const ready = seen([0, 1, 5, 9], 'SUCCESS', { ...end, at: 20 })
    expect(check(absent('store-1', 'a', 5), pending)).toEqual([])
    // asked for before, answered after: it may have been true
    expect(check(pending, absent('store-1', 'a', 10))).toEqual([])
    expect(check(pending, absent('store-1', 'a', 11))).toEqual(['regressed'])
    expect(check(pending, absent('poll-2', 'a', 11), ready)).toEqual(['regressed'])
    expect(check(pending, absent('poll-2', 'b', 11))).toEqual([])
    const day = 86_400_000
    expect(check(pending, ready, absent('poll-2', 'a', 19 + day))).toEqual(['regressed'])
    expect(check(pending, ready, absent('poll-2', 'a', 20 + day))).toEqual([])
    expect(check(pending, absent('poll-2', 'a', 20 + day))).toEqual(['regressed'])
  })

  test('an end that the store does not have', () => {
    expect(check(seen([0, 1, 5, 9], 'FAILURE', end))).toEqual(['disagreement'])
  })
})

describe('once', () => {
  const check = (histories: Partial<Histories>): readonly string[] =>
    checkOnceRules({ ...nothing, ...histories }).violations.map(({ rule }) => rule)
  const twice = [effect('start', 'a', { at: 10 }), effect('start', 'a', { pid: 2, at: 30 })]

  test('a second run takes a cause: the first one’s worker died, was frozen, or nobody could write', () => {
    expect(check({ effects: twice })).toEqual(['ran twice without a cause'])
    expect(check({ effects: twice, faults: [fault('kill', 1, 20)] })).toEqual([])
    expect(check({ effects: twice, faults: [fault('freeze', 1, 20)] })).toEqual([])
    expect(check({ effects: twice, faults: [fault('full', 0, 20)] })).toEqual([])
    expect(check({ effects: twice, faults: [fault('kill', 1, 40)] })).toEqual(['ran twice without a cause'])
    expect(check({ effects: twice, faults: [fault('kill', 3, 20)] })).toEqual(['ran twice without a cause'])
  })

  test('pids come again: neither is a new worker gone, nor does it stand for the process a suspect ran in', () => {
    const reused = [fault('kill', 1, 1), fault('start', 1, 5)]
    expect(check({ effects: twice, faults: reused })).toEqual(['ran twice without a cause'])
    const alone = [effect('start', 'a', { pid: 7, parent: 1, at: 10 }), effect('start', 'a', { pid: 2, at: 30 })]
    const faults = [fault('start', 1, 0), fault('kill', 1, 20), fault('start', 7, 50)]
    expect(check({ effects: ofWorkers(alone, faults), faults })).toEqual([])
  })

  test('each attempt of a retried task runs once', () => {
    expect(check({ effects: [0, 1].map(retries => effect('start', 'a', { retries, at: 10 + retries })) })).toEqual([])
  })

  test('an attempt comes twice where the one before and its next are no single step, and its worker died', () => {
    const runs = [effect('start', 'a', { pid: 3, at: 1 }), ...twice.map(run => ({ ...run, retries: 1 }))]
    const killed = [fault('kill', 3, 5)]
    expect(check({ effects: runs, faults: killed, isAtomic: false })).toEqual([])
    expect(check({ effects: runs, faults: killed })).toEqual(['ran twice without a cause'])
    expect(check({ effects: runs, faults: [fault('kill', 3, 20)], isAtomic: false })).toHaveLength(1)
    expect(check({ effects: twice, faults: killed, isAtomic: false })).toHaveLength(1)
  })

  test('an end on its way through a relay is not stored before its frozen worker goes on', () => {
    const effects = [effect('start', 'a'), effect('end', 'a', { at: 3000 }), effect('start', 'a', { pid: 2, at: 6000 })]
    const faults = [fault('freeze', 1, 20), fault('thaw', 1, 2900), fault('freeze', 1, 3300), fault('thaw', 1, 7000)]
    const histories = { effects, faults, finals: finals({ a: success(3000) }) }
    expect(check({ ...histories, isAtomic: false })).toEqual([])
    expect(check(histories)).toEqual(['ran after its end'])
    expect(check({ ...histories, faults: faults.slice(0, 2), isAtomic: false })).toEqual(['ran after its end'])
  })

  test('what has ended does not run again', () => {
    const faults = [fault('kill', 1, 20)]
    expect(check({ effects: twice, faults, finals: finals({ a: success(29) }) })).toEqual(['ran after its end'])
    expect(check({ effects: twice, faults, finals: finals({ a: success(31) }) })).toEqual([])
  })

  test('one that was frozen may begin what has ended, in its first moments', () => {
    const faults = [fault('freeze', 2, 12), fault('thaw', 2, 4000)]
    const late = [effect('start', 'a'), effect('start', 'a', { pid: 2, at: 4100 })]
    expect(check({ effects: late, faults, finals: finals({ a: success(1000) }) })).toEqual([])
    const tooLate = [effect('start', 'a'), effect('start', 'a', { pid: 2, at: 9000 })]
    expect(check({ effects: tooLate, faults, finals: finals({ a: success(1000) }) })).toContain('ran after its end')
  })

  test('what acknowledges early runs once, whatever happens', () => {
    const effects = twice.map(run => ({ ...run, kind: 'early' as const }))
    expect(check({ effects, faults: [fault('kill', 1, 20)] })).toEqual(['early twice'])
  })

  test('an end that its worker was frozen with is written, and known, when that goes on', () => {
    const effects = [
      effect('start', 'a', { at: 10 }),
      effect('end', 'a', { at: 1000 }),
      effect('start', 'a', { pid: 2, at: 5000 }),
    ]
    const ended = finals({ a: success(1001) })
    const frozen = (at: number): FaultLine[] => [fault('freeze', 1, at), fault('thaw', 1, 4900)]
    expect(check({ effects, finals: ended, faults: frozen(1002) })).toEqual([])
    // long after it was written, and before it had ended
    expect(check({ effects, finals: ended, faults: frozen(2000) })).toEqual(['ran after its end'])
    const before = [fault('freeze', 1, 20), fault('thaw', 1, 900)]
    const early = [...effects.slice(0, 2), effect('start', 'a', { pid: 2, at: 2500 })]
    expect(check({ effects: early, finals: ended, faults: before })).toEqual(['ran after its end'])
  })

  test('what was revoked does not begin', () => {
    const producers: ProducerLine[] = [...sent('a', 'doomed'), { k: 'revoked', id: 'a', at: 100 }]
    expect(check({ producers, effects: [effect('start', 'a', { at: 90 })] })).toEqual([])
    const effects = [effect('start', 'a', { at: 1000 })]
    expect(check({ producers, effects })).toEqual(['started after its revoke'])
    expect(check({ producers, effects, faults: [fault('freeze', 1, 90), fault('thaw', 1, 990)] })).toEqual([])
  })

  test('what has expired does not begin', () => {
    const producers: ProducerLine[] = [
      { k: 'try', id: 'a', kind: 'expiring', at: 0 },
      { k: 'ok', id: 'a', at: 1, expiresAt: 50 },
    ]
    expect(check({ producers, effects: [effect('start', 'a', { at: 49 })] })).toEqual([])
    expect(check({ producers, effects: [effect('start', 'a', { at: 500 })] })).toEqual(['started after it expired'])
  })

  test('what is not due does not begin', () => {
    const producers: ProducerLine[] = [{ k: 'try', id: 'a', kind: 'delayed', at: 0, notBefore: 100 }]
    expect(check({ producers, effects: [effect('start', 'a', { at: 100 })] })).toEqual([])
    expect(check({ producers, effects: [effect('start', 'a', { at: 99 })] })).toEqual(['started before it was due'])
  })
})

describe('recovery', () => {
  const kill = (pid: number, at: number) => fault('kill', pid, at)
  const effects = [
    effect('start', 'a', { at: 10 }),
    effect('start', 'b', { at: 11 }),
    effect('end', 'b', { at: 12 }),
    effect('start', 'a', { pid: 2, at: 5100 }),
  ]

  test('from the kill until what was running begins again', () => {
    const found = measureRecovery({ ...nothing, effects, faults: [kill(1, 5000)] }, 'kill')
    expect(found).toMatchObject({ count: 1, p50: 100, p99: 100, setApart: 0 })
  })

  test('set apart: another worker was killed meanwhile', () => {
    const found = measureRecovery({ ...nothing, effects, faults: [kill(1, 5000), kill(3, 5050)] }, 'kill')
    expect(found).toMatchObject({ count: 0, p50: undefined, setApart: 1 })
  })

  test('set apart: another worker was away meanwhile', () => {
    const measure = (...faults: FaultLine[]) => measureRecovery({ ...nothing, effects, faults }, 'kill')
    expect(measure(fault('freeze', 3, 10), kill(1, 5000))).toMatchObject({ count: 0, setApart: 1 })
    expect(measure(fault('freeze', 3, 10), fault('thaw', 3, 4500), kill(1, 5000))).toMatchObject({ setApart: 1 })
    expect(measure(fault('start', 3, 10), kill(1, 5000))).toMatchObject({ setApart: 1 })
    expect(measure({ k: 'full', at: 10 }, kill(1, 5000))).toMatchObject({ setApart: 1 })
    expect(measure({ k: 'full', at: 10 }, { k: 'free', at: 20 }, kill(1, 5000))).toMatchObject({ count: 1 })
    const faults = [fault('freeze', 3, 10), fault('thaw', 3, 20), fault('start', 1, 0), fault('ready', 1, 5)]
    // its own replacement is meant to be away
    expect(measure(...faults, kill(1, 5000), fault('start', 8, 5001), fault('ready', 8, 5600))).toMatchObject({
      count: 1,
      setApart: 0,
    })
  })

  test('set apart: it had met a death before', () => {
    const more = [effect('start', 'a', { pid: 7, at: 5 }), ...effects]
    expect(measureRecovery({ ...nothing, effects: more, faults: [kill(1, 5000)] }, 'kill')).toMatchObject({
      setApart: 1,
    })
  })
})
