import { describe, expect, test } from 'vitest'
import { exitCodeOf } from '../../../src/cli/exit-codes.ts'
import { parseCallArguments } from '../../../src/cli/json-argument.ts'
import { durationMs, expiry, instant, names, priority } from '../../../src/cli/option-values.ts'
import * as errors from '../../../src/core/errors.ts'
import { printable, printableLine } from '../../../src/core/printable.ts'

describe('arguments of a call', () => {
  test.each([
    [{ positional: '[30]' }, { args: [30], kwargs: {} }],
    [{ positional: '{"month": "2026-10"}' }, { args: [], kwargs: { month: '2026-10' } }],
    [
      { positional: '[1]', kwargs: '{"a": 2}' },
      { args: [1], kwargs: { a: 2 } },
    ],
    [
      { args: '[1]', kwargs: '{"a": 2}' },
      { args: [1], kwargs: { a: 2 } },
    ],
    [{}, { args: [], kwargs: {} }],
  ])('%j', (given, expected) => {
    const { args, kwargs } = parseCallArguments(given)
    expect({ args, kwargs: { ...kwargs } }).toEqual(expected)
  })

  test.each([
    [{ positional: '[30' }, 'ARGS is "[30", which is no JSON'],
    [{ positional: '30' }, 'ARGS is "30": expected an array'],
    [{ args: '{}' }, '--args is "{}": expected an array'],
    [{ kwargs: '[]' }, '--kwargs is "[]": expected an object'],
    [{ positional: '[1]', args: '[2]' }, 'ARGS and --args both give the arguments'],
  ])('%j is refused', (given, message) => {
    expect(() => parseCallArguments(given)).toThrow(message)
  })
})

describe('values of options', () => {
  test('a bare number is seconds, as Celery has it', () => {
    expect([durationMs('30'), durationMs('30s'), durationMs('1.5m'), durationMs('250ms')]).toEqual([
      30_000, 30_000, 90_000, 250,
    ])
    expect(() => durationMs('soon')).toThrow('30s')
  })

  test('an expiry is an instant or a distance', () => {
    expect(expiry('60')).toEqual({ expiresInMs: 60_000 })
    expect(expiry('2026-11-22T15:00:00Z')).toEqual({ expiresAt: new Date('2026-11-22T15:00:00Z') })
    expect(() => instant('tomorrow')).toThrow('2026-11-22T15:00:00Z')
  })

  test('priorities are 0 to 9, names are split at commas and add up', () => {
    expect([priority('0'), priority('9')]).toEqual([0, 9])
    expect(() => priority('10')).toThrow('0 to 9')
    expect(names('c, d', ['a'])).toEqual(['a', 'c', 'd'])
    expect(() => names(' , ')).toThrow('a name')
  })
})

test.each([
  [new errors.InvalidArgumentError('x'), 64],
  [new errors.ConfigurationError('x'), 78],
  [new errors.AppLoadError('x'), 78],
  [new errors.BrokerConnectionError('x'), 69],
  [new errors.StorageError('x', { reason: 'full' }), 75],
  [new errors.StorageError('x', { reason: 'network' }), 78],
  [new errors.StorageError('x', { reason: 'corrupt' }), 69],
  [new errors.PublishError('x', { accepted: 'no' }), 75],
  [new TypeError('x'), 70],
])('%s ends the process with %i', (error, code) => {
  expect(exitCodeOf(error)).toBe(code)
})

test('what would steer a terminal is shown instead', () => {
  expect(printable('\x1b]0;title\x07 \x9b2J \u202eabc\tok\nnext')).toBe(
    String.raw`\u001b]0;title\u0007 \u009b2J \u202eabc` + '\tok\nnext',
  )
  expect(printableLine('a\nb\tc')).toBe(String.raw`a\nb c`)
  expect(printableLine('abcdef', 4)).toBe('abc…')
})
