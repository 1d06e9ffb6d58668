import fc from 'fast-check'
import vm from 'node:vm'
import { describe, expect, it } from 'vitest'
import { DecodeError, EncodeError, InvalidArgumentError } from '../../../src/core/errors.ts'
import { decodeJson, defaultLimits, encodeJson } from '../../../src/protocol/json.ts'
import { Decimal, PlainDate, PlainTime, Uuid } from '../../../src/protocol/typed-values.ts'

class Money {
  readonly cents = 5
}

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

function circle(): unknown {
  const value: Record<string, unknown> = {}
  value['self'] = { around: [value] }
  return value
}

describe('encodeJson', () => {
  it.each<[string, unknown, string]>([
    ['plain values', [1, 'a', true, null, { b: [] }], '[1,"a",true,null,{"b":[]}]'],
    ['undefined as a whole', undefined, 'null'],
    ['undefined properties, left out', { a: undefined, b: 1 }, '{"b":1}'],
    ['the same beside something special', { a: undefined, b: 1n }, '{"b":1}'],
    ['BigInt, digit by digit', [12345678901234567890n, -5n], '[12345678901234567890,-5]'],
    ['numbers beyond 2^53 as what they are', [2 ** 53, 1e21], '[9007199254740992.0,1e+21]'],
    ['toJSON', { at: { toJSON: () => 'then' } }, '{"at":"then"}'],
    ['toJSON that gives nothing', [{ toJSON: () => undefined }], '[null]'],
    ['a URL', [new URL('http://a/b')], '["http://a/b"]'],
    ['objects without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['objects of another realm', vm.runInNewContext('({a: [1n]})'), '{"a":[1]}'],
    ['a key that only begins like a type', { __typename: 'A', __type__: 1 }, '{"__typename":"A","__type__":1}'],
    ['a constructor that is data', { constructor: 'Brunel' }, '{"constructor":"Brunel"}'],
    ['lone surrogates, as escapes', '\ud800', '"\\ud800"'],
  ])('writes %s', (_what, value, text) => {
    expect(encodeJson(value)).toBe(text)
  })

  it.each<[unknown, string, unknown]>([
    [new Date(Date.UTC(2024, 0, 2, 3, 4, 5, 6)), 'datetime', '2024-01-02T03:04:05.006000+00:00'],
    [new Date(0), 'datetime', '1970-01-01T00:00:00+00:00'],
    [Buffer.from('grüße'), 'bytes', 'grüße'],
    [Uint8Array.of(255, 0), 'base64', '/wA='],
    [new Decimal('1.50'), 'decimal', '1.50'],
    [new PlainDate('2024-02-29'), 'date', '2024-02-29'],
    [new PlainTime('01:02:03'), 'time', '01:02:03'],
    [new Uuid('12345678123456781234567812345678'), 'uuid', { hex: '12345678123456781234567812345678' }],
  ])('writes %s as the type %s of kombu', (value, type, text) => {
    expect(JSON.parse(encodeJson({ value }))).toEqual({ value: { __type__: type, __value__: text } })
  })

  it.each<[unknown, RegExp]>([
    [{ orders: [0, 1, 2, { total: Number.NaN }] }, /^\$\.orders\[3\]\.total: NaN .*null or a string/],
    [[Infinity], /^\$\[0\]: Infinity/],
    [{ 'odd key': new Map() }, /^\$\["odd key"\]: a Map .*fromEntries/],
    [[new Set()], /a Set .*\[\.\.\.set\]/],
    [[() => 1], /^\$\[0\]: function /],
    [{ a: () => 1 }, /^\$\.a: function /],
    [Symbol('s'), /^\$: a symbol/],
    [[1, undefined], /^\$\[1\]: undefined in an array .*null/],
    // oxlint-disable-next-line no-sparse-arrays -- that is the case
    [[1, , 2], /^\$\[1\]: undefined in an array/],
    [Promise.resolve(), /a Promise .*Await/],
    [new TypeError('x'), /an error \(TypeError\) .*error\.message/],
    [new Money(), /an instance of Money .*toJSON/],
    [Object.create({ a: 1 }), /an instance of Object/],
    [Object.create(Object.create(Object.create(null))), /an object with a prototype/],
    [new Float32Array(1), /an instance of Float32Array .*Uint8Array/],
    [new ArrayBuffer(1), /an instance of ArrayBuffer .*Uint8Array/],
    [new Date(Number.NaN), /a Date outside the years 1 to 9999/],
    [new Date(Date.UTC(12_000, 0)), /a Date outside/],
    [circle(), /^\$\.self\.around\[0\]: a reference to an object around it/],
    [nested(191), /nested deeper than 190 levels/],
    [{ __type__: 'x', __value__: 1 }, /__type__ and __value__ .*Rename/],
    [JSON.parse('{"__proto__": 1}'), /the key __proto__/],
    [{ constructor: { prototype: {} } }, /the key constructor/],
    [10n ** 4300n, /more than 4300 digits/],
    [Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`k${index}`, 1])), /more than 10000 keys/],
    [
      {
        toJSON() {
          throw new Error('no')
        },
      },
      /whose toJSON throws/,
    ],
  ])('refuses what would come back as something else: %#', (value, message) => {
    expect(() => encodeJson(value)).toThrow(EncodeError)
    expect(() => encodeJson(value)).toThrow(message)
  })

  it('names the path from the root it is given', () => {
    expect(() => encodeJson([{ total: Number.NaN }], 'args')).toThrow(/^args\[0\]\.total: /)
  })
})

describe('decodeJson', () => {
  it.each<[string, unknown]>([
    ['[1, 2.5, "a", null, true]', [1, 2.5, 'a', null, true]],
    [
      '[9007199254740991, 9007199254740992, -9007199254740993]',
      [9007199254740991, 9007199254740992n, -9007199254740993n],
    ],
    [
      '[1234567890123456.5, 12345678901234567890e2, 0.12345678901234567]',
      [1234567890123456.5, Number('12345678901234567890e2'), Number('0.12345678901234567')],
    ],
    ['[NaN, Infinity, -Infinity, 1]', [Number.NaN, Infinity, -Infinity, 1]],
    ['{"a": "NaN \\" Infinity", "b\\\\": NaN}', { a: 'NaN " Infinity', 'b\\': Number.NaN }],
    ['{"a": 1, "__proto__": {"admin": true}}', { a: 1 }],
    ['{"a": 1, "\\u005f_proto__": 7}', { a: 1 }],
    ['[{"constructor": {"prototype": {"admin": true}, "x": 1}}]', [{}]],
    ['{"constructor": {"name": "Brunel"}}', { constructor: { name: 'Brunel' } }],
    ['"__proto__ and __type__"', '__proto__ and __type__'],
    ['{"__type__": "x", "__value__": 1, "more": 2}', { __type__: 'x', __value__: 1, more: 2 }],
    ['{"__type__": "bytes", "__value__": "ü"}', new TextEncoder().encode('ü')],
    ['{"__type__": "date", "__value__": "2024-02-29T00:00:00"}', new PlainDate('2024-02-29')],
    [
      '{"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}',
      '12345678-1234-5678-1234-567812345678',
    ],
    ['"\\ud800\\u0000"', '\ud800\0'],
    [`"${'x'.repeat(300)}\\\\"`, `${'x'.repeat(300)}\\`],
  ])('reads %s', (text, value) => {
    expect(decodeJson(text)).toEqual(value)
    expect(Object.getPrototypeOf(decodeJson(text) ?? {})).not.toHaveProperty('admin')
  })

  it.each<[string, RegExp]>([
    ['', /no JSON/],
    ['{"a"', /no JSON/],
    ['1NaN', /no JSON/],
    ['-NaN', /no JSON/],
    ['1Infinity', /no JSON/],
    ['nan', /no JSON/],
    ['"NaN', /no JSON/],
    ['{"__type__": "os.system", "__value__": "rm"}', /"os\.system" is not known/],
    ['{"__type__": 7, "__value__": "rm"}', /7 is not known/],
    ['{"__type__": "datetime", "__value__": "yesterday"}', /"yesterday" is no value of the type "datetime"/],
    ['{"__type__": "datetime", "__value__": 1}', /1 is no value/],
    ['{"__type__": "date", "__value__": "2024-02-30"}', /no value/],
    ['{"__type__": "time", "__value__": "25:00"}', /no value/],
    ['{"__type__": "decimal", "__value__": "1,5"}', /no value/],
    ['{"__type__": "uuid", "__value__": "1"}', /no value/],
    ['{"__type__": "uuid", "__value__": {"hex": 1}}', /no value/],
    [`[${'9'.repeat(4301)}]`, /integer of 4301 digits/],
  ])('refuses %s', (text, message) => {
    expect(() => decodeJson(text)).toThrow(DecodeError)
    expect(() => decodeJson(text)).toThrow(message)
  })

  it('takes 200 levels and refuses 201, and 100,000 without running out of stack', () => {
    expect(decodeJson('['.repeat(200) + ']'.repeat(200))).toBeInstanceOf(Array)
    for (const depth of [201, 10_000, 100_000]) {
      expect(() => decodeJson('['.repeat(depth) + ']'.repeat(depth))).toThrow(/nested deeper than 200 levels/)
      expect(() => decodeJson('{"a":'.repeat(depth))).toThrow(/nested deeper than 200 levels/)
    }
  })

  it('counts neither brackets nor colons in strings', () => {
    const text = JSON.stringify({ a: '[{:"'.repeat(20_000), b: ']}\\' })
    expect(decodeJson(text)).toEqual(JSON.parse(text))
  })

  it('takes 10,000 keys of one object and refuses one more', () => {
    const object = (keys: number): string =>
      `[{${Array.from({ length: keys }, (_, index) => `"k${index}":{}`).join()}}]`
    expect(decodeJson(object(10_000))).toHaveLength(1)
    expect(() => decodeJson(object(10_001))).toThrow(/more than 10000 keys/)
  })

  it('refuses a text over the limit', () => {
    expect(() => decodeJson('[1, 2]', { ...defaultLimits, maxBodyBytes: 5 })).toThrow(/6 characters; the limit is 5/)
  })

  it('throws nothing but DecodeError, whatever it is given', () => {
    const pieces = [
      '[',
      ']',
      '{',
      '}',
      '"',
      ':',
      ',',
      '\\',
      'NaN',
      '-',
      'Infinity',
      '1',
      '"__type__"',
      '"__value__"',
      '"a"',
    ]
    const texts = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map(parts => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(texts, fc.string(), fc.json()), text => {
        expect(thrownBy(() => decodeJson(text)) ?? new DecodeError('none')).toBeInstanceOf(DecodeError)
      }),
      { numRuns: 2000 },
    )
  })

  it('reads NaN and Infinity wherever a value may stand, and never alters a string', () => {
    const value = fc.letrec(tie => ({
      value: fc.oneof(
        fc.constantFrom(Number.NaN, Infinity, -Infinity),
        fc.string({ unit: fc.constantFrom('N', 'a', 'I', '"', '\\', 'NaN', ' ') }),
        fc.array(tie('value'), { maxLength: 4 }),
      ),
    })).value
    fc.assert(
      fc.property(value, sample => {
        expect(decodeJson(pythonJson(sample))).toEqual(sample)
      }),
    )
  })
})

/** As Python's json.dumps writes it. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  return typeof value === 'number' ? String(value) : JSON.stringify(value)
}

describe('there and back', () => {
  it('any value we write comes back as it was', () => {
    const leaf = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.boolean(),
      fc.constant(null),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter(number => !Object.is(number, -0)),
      fc.maxSafeInteger(),
      fc.bigInt().filter(number => number > 2n ** 53n || number < -(2n ** 53n)),
      fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
      fc.uint8Array(),
      fc.integer().map(number => new Decimal(String(number / 100))),
    )
    const key = fc.string().filter(text => text !== '__proto__' && text !== 'constructor')
    const value = fc.letrec(tie => ({
      value: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('value')),
        fc.dictionary(key, tie('value'), { noNullPrototype: true }),
      ),
    })).value
    fc.assert(
      fc.property(value, sample => {
        expect(decodeJson(encodeJson(sample))).toEqual(sample)
      }),
    )
  })

  it('what is encoded at all is within the limits of a reader, with room for a message around it', () => {
    const deepest = encodeJson(nested(190))
    expect(decodeJson(`[[[${deepest}]]]`)).toEqual([[[nested(190)]]])
    expect(encodeJson([nested(188), 1n])).toContain('1')
  })
})

describe('the value classes', () => {
  it('show their text', () => {
    const uuid = new Uuid('12345678123456781234567812345678')
    for (const value of [new Decimal('1.50'), new PlainDate('2024-02-29'), new PlainTime('01:02:03+02:00'), uuid]) {
      expect(String(value)).toBe(value.text)
      expect(JSON.stringify(value)).toBe(`"${value.text}"`)
    }
  })

  it('refuse what they cannot be', () => {
    for (const make of [
      () => new Decimal('1,5'),
      () => new PlainDate('2023-02-29'),
      () => new PlainTime('24:00'),
      () => new Uuid('123'),
    ]) {
      expect(make).toThrow(InvalidArgumentError)
    }
    expect(new Decimal('NaN').text).toBe('NaN')
  })
})

function thrownBy(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}
