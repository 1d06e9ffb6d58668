import { describe, expect, it } from 'vitest'
import { reconnectDelayMs } from '../../../src/web/client/backoff.ts'
import { createFormats, roundEstimateS } from '../../../src/web/client/formats.ts'
import { authorization, isList, subjectOf } from '../../../src/web/client/handles.ts'
import { english, fill } from '../../../src/web/client/messages.ts'
import { acceptedSnapshot, reduce } from '../../../src/web/client/reducer.ts'
import { type Situation, toWords, type Words } from '../../../src/web/client/words.ts'
import type { PublicSnapshot } from '../../../src/web/contract.ts'

const now = Date.UTC(2026, 10, 22, 14, 2, 11)

function words(parts: object, more: Partial<Situation> = {}, language = 'en'): Words {
  const state = (parts as { state?: string }).state ?? 'PENDING'
  const ready = /SUCCESS|FAILURE|REVOKED/.test(state)
  const base = { ...acceptedSnapshot('a'), ready, version: [ready ? 1 : 0, 0, 1, ready ? 5 : 3, 1] }
  const shown = reduce(undefined, { ...base, ...parts } as unknown as PublicSnapshot, now)
  const situation = {
    shown,
    link: 'live',
    gone: undefined,
    heardAt: now,
    cancelling: undefined,
    label: '',
    now,
  } as const
  return toWords({ ...situation, ...more }, english, createFormats(language))
}

describe('what is read of a task', () => {
  it.each([
    ['no worker', { queue: { workers: 0 } }, 'Waiting for a worker. None is running right now.'],
    ['next', { queue: { workers: 1, position: 1 } }, 'Next in the queue.'],
    ['far back', { queue: { position: 1234 } }, 'Number 1,234 in the queue.'],
    ['a count', { state: 'PROGRESS', progress: { current: 1500, total: 3000 } }, '1,500 of 3,000'],
    [
      'a unit',
      { state: 'PROGRESS', progress: { current: 1, total: 3, unit: 'files', message: 'Packing' } },
      'Packing, 1 of 3 files',
    ],
    ['no total', { state: 'PROGRESS', progress: { current: 7, unit: 'files' } }, '7 files so far'],
    [
      'a retry',
      { state: 'RETRY', attempt: 2, error: { message: 'Busy.' }, retryAt: new Date(now + 12_000).toISOString() },
      'Attempt 2 failed: Busy. Next try in 12 seconds.',
    ],
    [
      'a retry due',
      { state: 'RETRY', error: { message: '' }, retryAt: new Date(now).toISOString() },
      'Attempt 1 failed: Something went wrong. Trying again now.',
    ],
  ])('tells of %s', (_name, parts, detail) => {
    expect(words(parts).detail).toBe(detail)
  })

  it('tells the figures of the bar as one text, for those who do not see it', () => {
    const parts = { state: 'PROGRESS', progress: { current: 42, total: 100, percent: 42, unit: 'files' } }
    expect(words({ ...parts, remaining: { ms: 118_000, confidence: 'measured' } }).valueText).toBe(
      '42%, 42 of 100 files, about 2 minutes left',
    )
  })

  it('says how sure it is of the time left, and nothing while nobody knows', () => {
    const remaining = { ms: 28_000, confidence: 'usual' }
    expect(words({ state: 'STARTED', remaining }).remaining).toBe('usually about 30 seconds more')
    expect(words({ state: 'STARTED', remaining }, { link: 'reconnecting' }).remaining).toBe('')
  })

  it('says that the link was lost, and since when', () => {
    const { note } = words({ state: 'PROGRESS' }, { link: 'reconnecting' })
    expect(note).toMatch(/^Reconnecting… last update \d+:02:11/)
  })

  it.each([
    ['asked', 'STARTED', 'Cancelling…', ''],
    ['slow', 'STARTED', 'Cancelling…', 'It cannot be interrupted right now. It stops as soon as it can.'],
    ['asked', 'SUCCESS', 'Done', 'Finished before it could be cancelled.'],
    ['asked', 'REVOKED', 'Cancelled', ''],
    ['failed', 'STARTED', 'Running', 'It could not be cancelled. Try again.'],
  ] as const)('tells what became of cancelling (%s, %s)', (cancelling, state, ...expected) => {
    const { state: word, note } = words({ state }, { cancelling })
    expect([word, note]).toEqual(expected)
  })

  it.each([
    ['UPLOADING', 'Running'],
    ['failed', 'Running'],
    ['__proto__', 'Running'],
    ['STARTED', 'Running'],
    ['FAILURE', 'Failed'],
  ])('has a word for the state %s', (state, word) => {
    expect(words({ state, error: { message: '', reference: '' } }).state).toBe(word)
  })

  it('writes numbers as the language of the page does', () => {
    expect(words({ queue: { position: 1234 } }, {}, 'de').detail).toBe('Number 1.234 in the queue.')
    expect(words({ queue: { position: 1234 } }, {}, 'no such language').detail).toBe('Number 1,234 in the queue.')
  })

  it('has no message that names a value nobody fills in', () => {
    expect(fill('{a} {b}', { a: '<b>$&' })).toBe('<b>$& ')
  })
})

describe('an estimate', () => {
  it.each([
    [900, 5],
    [7_000, 10],
    [59_000, 60],
    [61_000, 90],
    [290_000, 300],
    [301_000, 360],
    [1_900_000, 2_100],
  ])('of %d ms is said as %d s', (ms, seconds) => {
    expect(roundEstimateS(ms)).toBe(seconds)
  })

  it('is said with its units', () => {
    const formats = createFormats('en')
    expect([1_000, 60_000, 85_000, 5_000_000].map(ms => formats.estimate(ms))).toEqual([
      '5 seconds',
      '1 minute',
      '1 minute, 30 seconds',
      '1 hour, 25 minutes',
    ])
  })
})

describe('the wait before the next try', () => {
  it('grows from half a second to half a minute, and begins anywhere below that', () => {
    expect([0, 1, 2, 5, 10, 11, 1e6].map(failures => Math.round(reconnectDelayMs(failures, 1)))).toEqual([
      500, 750, 1125, 3797, 28833, 30000, 30000,
    ])
    expect(reconnectDelayMs(5, 0)).toBe(0)
  })
})

describe('a handle', () => {
  const payload = Buffer.from(JSON.stringify({ sub: 'owner:änn' })).toString('base64url')

  it('tells whom it is for, when it can be read', () => {
    expect(subjectOf(`v1.k.${payload}.mac`)).toBe('owner:änn')
    expect(subjectOf('0198-bare-id')).toBe('0198-bare-id')
    expect(subjectOf('v1.k.%%%.mac')).toBe('v1.k.%%%.mac')
    expect(subjectOf('v1.')).toBe('v1.')
    expect(isList('owner:ann')).toBe(true)
    expect(isList('owners')).toBe(false)
  })

  it('travels in a header, and a bare id does not', () => {
    expect(authorization('v1.a.b.c')).toEqual({ authorization: 'Bearer v1.a.b.c' })
    expect(authorization('id')).toEqual({})
  })
})
