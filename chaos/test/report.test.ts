/** What a run comes to, when hardly anything happened in it, and when it was to find a bug. */
import { expect, test } from 'vitest'
import type { Histories } from '../src/checkers/histories.ts'
import { absent, type FaultLine } from '../src/programs/history.ts'
import { formatReport, judge, type Report } from '../src/report.ts'
import { parseSettings } from '../src/settings.ts'

const whole: Histories = {
  producers: [
    { k: 'try', id: 'a', kind: 'quick', at: 0 },
    { k: 'ok', id: 'a', at: 1 },
  ],
  effects: [
    { k: 'start', id: 'a', kind: 'quick', retries: 0, pid: 1, parent: 0, at: 2 },
    { k: 'end', id: 'a', kind: 'quick', retries: 0, pid: 1, parent: 0, at: 3 },
  ],
  seen: [{ observer: 'r', id: 'a', state: 'SUCCESS', version: [0], ready: true, at: 5 }],
  faults: [
    { k: 'kill', role: 'worker', pid: 8, at: 4 },
    { k: 'freeze', role: 'worker', pid: 9, at: 4 },
    { k: 'drain', at: 10 },
  ],
  finals: new Map([['a', { state: 'SUCCESS', ready: true, value: 'x', readyAt: 4 }]]),
  isAtomic: true,
}

function report(histories: Histories, ...args: readonly string[]): Report {
  const settings = parseSettings(args)
  if (settings === 'help') throw new TypeError('no run was asked for')
  return judge({ histories, troubles: [], settings, driver: { recoveryGoalMs: 500 } })
}

function fault(k: FaultLine['k'], at: number, note = ''): FaultLine {
  return { k, role: 'worker', pid: 1, at, note }
}

test('a run in which all of it happened, and all of it held', () => {
  expect(report(whole).violations).toEqual([])
})

test.each<[what: string, without: Partial<Histories>]>([
  ['no task was acknowledged', { producers: [{ k: 'try', id: 'a', kind: 'quick', at: 0 }] }],
  ['no task was acknowledged', { producers: whole.producers.map(line => ({ ...line, at: 11 })) }],
  ['no reader saw a task', { seen: [] }],
  ['no reader saw a task', { seen: [absent('r', 'a', 0)] }],
  ['no worker was killed', { faults: whole.faults.filter(({ k }) => k !== 'kill') }],
  ['no worker was frozen', { faults: whole.faults.filter(({ k }) => k !== 'freeze') }],
])('%s: that proves nothing, whatever else holds', (what, without) => {
  expect(report({ ...whole, ...without }).violations).toEqual([{ rule: 'proves nothing', what }])
})

test('what was not asked for, or hardly, is not missed', () => {
  const calm = { ...whole, faults: [] }
  expect(report(calm, '--kills-per-minute', '0', '--freezes-per-minute', '0').violations).toEqual([])
  expect(report(calm, '--minutes', '0.1').violations).toEqual([])
})

test.each<[how: string, faults: FaultLine[], rules: string[]]>([
  ['with 0', [fault('ready', 2), fault('stop', 5), fault('exit', 6, '0')], []],
  ['with an error', [fault('ready', 2), fault('stop', 5), fault('exit', 6, '70')], ['stopped badly']],
  ['of the signal', [fault('ready', 2), fault('stop', 5), fault('exit', 6, 'SIGTERM')], ['stopped badly']],
  ['of the signal, before it listened', [fault('stop', 5), fault('exit', 6, 'SIGTERM')], []],
  ['with an error, on a full disk', [fault('stop', 5), { k: 'full', at: 6 }, fault('exit', 7, '75')], []],
  [
    'with an error, long after it',
    [{ k: 'free', at: 2 }, fault('stop', 9000), fault('exit', 9001, '75')],
    ['stopped badly'],
  ],
])('a process that was told to stop ends %s', (_, faults, rules) => {
  const given = { ...whole, faults: [...whole.faults, fault('start', 1), ...faults] }
  expect(report(given).violations.map(({ rule }) => rule)).toEqual(rules)
})

test('a recovery over its goal is marked, and fails no run', () => {
  const late = report({
    ...whole,
    effects: [
      { k: 'start', id: 'a', kind: 'quick', retries: 0, pid: 8, parent: 0, at: 2 },
      { k: 'start', id: 'a', kind: 'quick', retries: 0, pid: 1, parent: 0, at: 5000 },
      { k: 'end', id: 'a', kind: 'quick', retries: 0, pid: 1, parent: 0, at: 5001 },
    ],
    seen: [{ observer: 'r', id: 'a', state: 'SUCCESS', version: [0], ready: true, at: 5003 }],
    faults: [fault('freeze', 0), fault('thaw', 1), { k: 'kill', role: 'worker', pid: 8, at: 2000 }],
    finals: new Map([['a', { state: 'SUCCESS', ready: true, value: 'x', readyAt: 5002 }]]),
  })
  expect(late.violations).toEqual([])
  expect(late.afterKill).toMatchObject({ count: 1, p99: 3000, goalMs: 500 })
  expect(formatReport(late)).toContain('OVER the goal of 500 ms')
})

test('a seeded bug is found by a rule of its own, and by no other', () => {
  const lost = formatReport(report({ ...whole, finals: new Map() }, '--break', 'ack-before-store'))
  expect(lost.split('\n').at(-1)).toBe('Found as lost.')
  const empty = formatReport(report({ ...whole, seen: [] }, '--break', 'ack-before-store'))
  expect(empty.split('\n').at(-1)).toBe('NOT found as lost.')
})
