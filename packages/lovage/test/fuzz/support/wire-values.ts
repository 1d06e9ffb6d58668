/** Values and texts that travel, and such as must not. */
import fc, { type Arbitrary } from 'fast-check'
import type { WireMessage } from '../../../src/core/wire.ts'
import { readGoldens } from '../../fixtures/celery/golden.ts'

/** Any UTF-16, lone surrogates, controls and marks that turn text around among it. */
export const anyText: Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(code => String.fromCharCode(code)), maxLength: 20 }),
  fc.constantFrom('', ' ', '0', '__proto__', 'constructor', '\ud800', '\u202e', '\0', 'NaN', '1e999', 'a'.repeat(300)),
)

export const anyKey: Arbitrary<string> = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'prototype', '__type__', '__value__', 'toString', 'hasOwnProperty', ''),
  anyText,
)

const numbers: Arbitrary<number> = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 2 ** 53, 1e21, 5e-324, Number.MAX_VALUE, Number.NaN, Infinity, -Infinity),
)

/** What JSON texts of anybody's hold: finite and infinite numbers, any keys, any depth within reason. */
export const jsonLike: Arbitrary<unknown> = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.oneof(fc.constant(null), fc.boolean(), numbers, anyText),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(anyKey, tie('value')), { maxLength: 4 }).map(pairs => Object.fromEntries(pairs)),
  ),
})).value

/** A value that `encodeJson` promises to carry, so that it comes back as it was. */
export const sendable: Arbitrary<unknown> = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(number => number + 0),
      fc.maxSafeInteger(),
      anyText,
      fc.bigInt(2n ** 53n, 2n ** 80n),
      fc.bigInt(-(2n ** 80n), -(2n ** 53n)),
      fc.date({
        min: new Date('0001-01-01T00:00:00Z'),
        max: new Date('9999-12-31T23:59:59.999Z'),
        noInvalidDate: true,
      }),
      fc.uint8Array({ maxLength: 20 }),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(fc.tuple(anyKey.filter(isSendableKey), tie('value')), { maxLength: 4 })
      .map(pairs => Object.fromEntries(pairs)),
  ),
})).value

function isSendableKey(key: string): boolean {
  return !['__proto__', 'constructor', '__type__'].includes(key)
}

const tokens = [
  ...`{ } [ ] : , " \\ null true NaN Infinity - -Infinity 1 0 1e999 0e-271828182845 12345678901234567890`.split(' '),
  ...`0.12345678901234567890 "__proto__" "constructor" "prototype" "__type__":"decimal" "__value__":"1.5"`.split(' '),
  ' ',
  '\n',
  '"\\ud800"',
  '"\\u005f_proto__"',
  '\ufeff',
  '\0',
]

/** Text that is JSON, nearly is, or is not at all. */
export const jsonText: Arbitrary<string> = fc.oneof(
  fc.array(fc.constantFrom(...tokens), { maxLength: 30 }).map(parts => parts.join('')),
  jsonLike.map(value => JSON.stringify(value)),
  fc.tuple(jsonLike, fc.nat(), anyText).map(([value, at, text]) => {
    const whole = JSON.stringify(value)
    const cut = at % (whole.length + 1)
    return whole.slice(0, cut) + text + whole.slice(cut + text.length)
  }),
  fc.tuple(fc.constantFrom('[', '{"a":', '[{"a":', '"'), fc.nat(100_000)).map(([text, count]) => text.repeat(count)),
)

const goldens = readGoldens().flatMap(golden => golden.names.map(name => golden.message(name)))

/** A message as some Celery sent it, with some of its headers, properties and bytes changed. */
export const mutatedGolden: Arbitrary<WireMessage> = fc
  .record({
    golden: fc.constantFrom(...goldens),
    headers: fc.array(
      fc.tuple(fc.oneof(fc.constantFrom(...Object.keys(goldens[0]?.headers ?? {})), anyKey), fc.option(jsonLike)),
      { maxLength: 3 },
    ),
    isWithout: fc.boolean(),
    contentType: fc.oneof({ weight: 6, arbitrary: fc.constant('application/json') }, anyText),
    bytes: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
    compression: fc.option(fc.constantFrom('gzip', 'zstd', 'application/x-gzip', 'bzip2'), { freq: 10 }),
  })
  .map(({ golden, headers, isWithout, contentType, bytes, compression }) => {
    const changed = Object.fromEntries([
      ...Object.entries(golden.headers).filter(([name]) => !isWithout || name !== headers[0]?.[0]),
      ...(isWithout ? headers.slice(1) : headers),
      ...(compression === null ? [] : [['compression', compression]]),
    ])
    return {
      properties: { ...golden.properties, contentType },
      headers: changed,
      body: changedBytes(golden.body, bytes),
    }
  })

function changedBytes(body: WireMessage['body'], changes: readonly (readonly [at: number, to: number])[]): Uint8Array {
  const bytes = Uint8Array.from(typeof body === 'string' ? Buffer.from(body) : body)
  for (const [at, to] of changes) bytes[at % bytes.length] = to
  return bytes
}

/** A message of nobody's: any headers, any body. */
export const anyMessage: Arbitrary<WireMessage> = fc.record({
  properties: fc.record({
    contentType: fc.oneof({ weight: 6, arbitrary: fc.constant('application/json') }, anyText),
    contentEncoding: anyText,
    correlationId: fc.option(anyText, { nil: undefined }),
    replyTo: fc.option(anyText, { nil: undefined }),
    priority: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
  }),
  headers: fc.oneof(
    fc.constant({}),
    fc
      .array(
        fc.tuple(fc.oneof(fc.constantFrom('task', 'id', 'retries', 'eta', 'stamps', 'timelimit'), anyKey), jsonLike),
      )
      .map(pairs => Object.fromEntries(pairs)),
  ),
  body: fc.oneof(fc.uint8Array({ maxLength: 200 }), jsonText, protocol1()),
})

/** A body of protocol 1, whose headers are in it. */
function protocol1(): Arbitrary<string> {
  const fields = fc.record(
    {
      task: anyText,
      id: anyText,
      args: fc.oneof(fc.array(jsonLike, { maxLength: 3 }), jsonLike),
      kwargs: jsonLike,
      retries: jsonLike,
      eta: jsonLike,
      expires: jsonLike,
      taskset: jsonLike,
      chord: jsonLike,
      callbacks: jsonLike,
      big: fc.constant('BIG'),
    },
    { requiredKeys: ['task', 'id'] },
  )
  return fields.map(each => JSON.stringify(each).replace('"BIG"', '[123456789012345678901234567890]'))
}
