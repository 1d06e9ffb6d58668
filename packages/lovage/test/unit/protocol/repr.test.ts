import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { argsRepr, kwargsRepr, valueRepr } from '../../../src/protocol/repr.ts'
import { Decimal, PlainDate, PlainTime, Uuid } from '../../../src/protocol/typed-values.ts'

class Money {
  readonly cents = 5
}

describe('previews', () => {
  it.each<[unknown[], string]>([
    [[], '()'],
    [[1], '(1,)'],
    [[1, -2.5, 1e21, 5n], '(1, -2.5, 1e+21, 5)'],
    [[null, undefined, true, false], '(None, None, True, False)'],
    [[Number.NaN, Infinity, -Infinity], '(nan, inf, -inf)'],
    [["it's", 'a\\b', 'line\nend\r\t\u0000\u202e'], "('it\\'s', 'a\\\\b', 'line\\nend\\r\\t\\x00\\u202e')"],
    [[[1, [2, [3]]], {}], '([1, [2, [...]]], {})'],
    [[{ a: { b: { c: 1 } } }], "({'a': {'b': {...}}},)"],
    [[new Date('2024-01-02T03:04:05Z')], '(datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),)'],
    [[new Date(Number.NaN)], '(<Invalid Date>,)'],
    [[Buffer.from('abc')], "(b'abc',)"],
    [[new Decimal('1.50'), new PlainDate('2024-02-29')], "(Decimal('1.50'), datetime.date(2024, 2, 29))"],
    [[new PlainTime('01:02:03.5')], '(datetime.time(1, 2, 3),)'],
    [[new Uuid('12345678123456781234567812345678')], "(UUID('12345678-1234-5678-1234-567812345678'),)"],
    [[() => 1, Symbol('s'), new Money()], "(<function>, <symbol>, {'cents': 5})"],
    [[10n ** 200n], '(<int>,)'],
  ])('show arguments as Python does: %#', (args, text) => expect(argsRepr(args)).toBe(text))

  it('show keyword arguments as a dict, without their secrets', () => {
    expect(kwargsRepr({})).toBe('{}')
    expect(kwargsRepr({ user: 'ann', password: 'x', nested: { apiKey: 'y', note: 'amqp://a:b@c' } })).toBe(
      "{'user': 'ann', 'password': '***', 'nested': {'apiKey': '***', 'note': 'amqp://a:***@c'}}",
    )
    expect(valueRepr('x')).toBe("'x'")
  })

  it('look no further than they show', () => {
    let looks = 0
    const many = new Proxy(
      Array.from({ length: 1_000_000 }, () => 1),
      {
        get: (target, key, receiver) => {
          looks++
          return Reflect.get(target, key, receiver) as unknown
        },
      },
    )
    const text = argsRepr(many)
    expect(text.length).toBeLessThanOrEqual(1024)
    expect(text).toMatch(/^\(1, 1, .*\.\.\.\)$/)
    expect(looks).toBeLessThan(2000)
  })

  it.each<[unknown, RegExp]>([
    ['x'.repeat(1e7), /^\('x+\.\.\.',\)$/],
    [[['x'.repeat(1e7)]], /^\(\[\['x+\.\.\.'\]\],\)$/],
    [
      Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`key${index}`, index])),
      /^\(\{'key0': 0, .*\.\.\.'?\},\)$/,
    ],
    [{ ['k'.repeat(5000)]: 1 }, /^\(\{'k+\.\.\.'\},\)$/],
    ['\u0000'.repeat(1000), /^\('(?:\\x00)+.*\.\.\.',\)$/],
    [Buffer.alloc(5000, 0x61), /^\(b'a+\.\.\.',\)$/],
  ])('cut what is long, and close what is open: %#', (value, pattern) => {
    const text = argsRepr([value])
    expect(text.length).toBeLessThanOrEqual(1024)
    expect(text).toMatch(pattern)
  })

  it('hide a secret that the cut goes through', () => {
    const token = `eyJ${'a'.repeat(300)}.${'b'.repeat(300)}.${'c'.repeat(300)}`
    expect(argsRepr(['x'.repeat(900), token])).not.toContain('eyJ')
  })

  it('never exceed 1024 characters, for any value', () => {
    fc.assert(
      fc.property(fc.array(fc.anything({ withBigInt: true, withDate: true, withTypedArray: true })), args => {
        const text = argsRepr(args)
        expect(text.length).toBeLessThanOrEqual(1024)
        expect(text.isWellFormed()).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})
