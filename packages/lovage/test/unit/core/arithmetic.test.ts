import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration, parseDuration } from '../../../src/core/duration.ts'
import { uuidv7 } from '../../../src/core/id.ts'
import { noRetry, resolveRetryPolicy, retryDelayMs } from '../../../src/core/retry.ts'
import { editDistance, nearest } from '../../../src/core/suggest.ts'
import { bodyBytes, bodyText } from '../../../src/core/wire.ts'

describe('retry arithmetic', () => {
  it('fills in what is left open', () => {
    expect(resolveRetryPolicy(undefined)).toEqual(noRetry)
    const whole = { max: 3, backoff: 'fixed', delayMs: 5, maxDelayMs: 9, jitter: false } as const
    expect(resolveRetryPolicy({ ...whole, on: () => true })).toEqual(whole)
    expect(resolveRetryPolicy({ max: 2 })).toEqual({ ...noRetry, max: 2 })
  })

  it.each([
    ['exponential', 0, 1000],
    ['exponential', 3, 8000],
    ['exponential', 12, 600_000],
    ['exponential', 5000, 600_000],
    ['fixed', 7, 1000],
  ] as const)('%s back-off after %i retries waits %i ms', (backoff, retries, delayMs) => {
    const policy = { ...noRetry, backoff, jitter: false }
    expect(retryDelayMs(policy, retries, 0.5)).toBe(delayMs)
    expect(retryDelayMs({ ...policy, jitter: true }, retries, 0.5)).toBe(delayMs / 2)
  })

  it('is never negative, never over the maximum and never a fraction', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(2000), random, (delayMs, retries, share) => {
        const delay = retryDelayMs({ ...noRetry, delayMs }, retries, share)
        expect(Number.isInteger(delay) && delay >= 0 && delay <= noRetry.maxDelayMs).toBe(true)
      }),
    )
  })
})

describe('durations', () => {
  it.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['250ms', 250],
    ['1.5h', 5_400_000],
    ['2d', 172_800_000],
    [' 7 '.trim(), 7],
    ['0', 0],
  ])('%s is %i ms', (text, ms) => expect(parseDuration(text, 'ms')).toBe(ms))

  it('a bare number has the unit that is asked for', () => expect(parseDuration('2', 's')).toBe(2000))

  it.each(['', 's', '-1s', '1w', '1 s', 'constructor', '1e3', '.5s'])('%j is none', text => {
    expect(parseDuration(text, 'ms')).toBeUndefined()
  })

  it.each([
    [0, '0ms'],
    [999.4, '999ms'],
    [1000, '1s'],
    [90_000, '1m 30s'],
    [3_600_000, '1h'],
    [90_061_000, '1d 1h'],
  ])('%i ms are shown as %s', (ms, text) => expect(formatDuration(ms)).toBe(text))
})

describe('uuidv7', () => {
  it('is a UUID of version 7 that tells its time', () => {
    const id = uuidv7(0x0123456789ab)
    expect(id).toMatch(/^01234567-89ab-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  })

  it('sorts by time and does not repeat', () => {
    const ids = Array.from({ length: 5000 }, (_, index) => uuidv7(1_790_000_000_000 + index))
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(Array.from({ length: 5000 }, () => uuidv7(1)))).toHaveProperty('size', 5000)
  })
})

describe('suggestions', () => {
  it.each([
    ['tsks.add', ['tasks.add', 'tasks.mul'], 'tasks.add'],
    ['TASKS.ADD', ['tasks.add'], 'tasks.add'],
    ['a', ['b', 'abcd'], 'b'],
    ['completely different', ['add'], undefined],
    ['x', [], undefined],
  ])('for %j among %j: %j', (text, names, expected) => expect(nearest(text, names)).toBe(expected))

  it('measure by edits', () => {
    expect(editDistance('', '')).toBe(0)
    expect(editDistance('kitten', 'sitting')).toBe(3)
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a))
      }),
    )
  })
})

describe('bodies', () => {
  it('are text and bytes, either way', () => {
    expect(bodyText(bodyBytes('grüße'))).toBe('grüße')
    expect(bodyText('grüße')).toBe('grüße')
    const bytes = Uint8Array.of(0xff)
    expect(bodyBytes(bytes)).toBe(bytes)
    expect(() => bodyText(bytes)).toThrow(TypeError)
  })
})
