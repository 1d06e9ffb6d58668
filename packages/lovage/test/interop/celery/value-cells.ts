/** Every kind of value, as an argument and as a result: what the other side gets, and what comes back. */
import { describe } from './describe.ts'
import { Decimal, PlainDate, PlainTime, Uuid } from '../../../src/index.ts'
import { fromPython, fromTypeScript, type Cell, type Older } from './stage.ts'

const noTypes = 'no typed JSON before 5.3: Python sends text, and its tasks get a map'

/** `[what it is here, what comes back]`, as `inspect` and `repr` write them. */
function python(
  what: string,
  value: string,
  ...[here, back, older]: [here: string, back: string, older?: Older]
): Cell {
  const code = `seen(lambda: [get(send('ts.describe', ${value})), repr(get(send('ts.echo', ${value})))])`
  return fromPython(what, code, [here, back], older)
}

/** `[what it is in Python, what comes back]`. */
function typescript(
  what: string,
  value: unknown,
  ...[there, back = value, older]: [there: string, back?: unknown, older?: Older]
): Cell {
  const run: Cell['run'] = async ({ app }) => {
    const [described, echoed] = await Promise.all([
      app.sendTask('py.describe', [value]),
      app.sendTask('py.echo', [value]),
    ])
    return [await described.get({ timeoutMs: 20_000 }), describe(await echoed.get({ timeoutMs: 20_000 }))]
  }
  return { what, direction: 'TypeScript → Python', run, sees: [there, describe(back)], older }
}

const at = new Date(Date.UTC(2024, 0, 2, 3, 4, 5, 678))
const longInteger = 10n ** 60n + 7n
const nested = { list: [1, [2, [3, { deep: true }]]], map: { a: { b: null } } }

const plain: readonly Cell[] = [
  python('null', 'None', 'null', 'None'),
  python('booleans', '[True, False]', '[ true, false ]', '[True, False]'),
  python('integers', '[0, -1, 9007199254740991]', '[ 0, -1, 9007199254740991 ]', '[0, -1, 9007199254740991]'),
  python('an integer beyond 2^53', '9007199254740993', '9007199254740993n', '9007199254740993'),
  python('an integer of 61 digits', '10**60 + 7', `${longInteger}n`, String(longInteger)),
  python('floats', '[0.1, -1.5e300, 1e-7]', '[ 0.1, -1.5e+300, 1e-7 ]', '[0.1, -1.5e+300, 1e-07]'),
  python('a float that is whole', '2.0', '2', '2'),
  fromPython('an infinite float', "get(send('ts.describe', float('inf')))", 'Infinity'),
  python('text', "'grüße 😀 \\u0000 ñ'", "'grüße 😀 \\x00 ñ'", "'grüße 😀 \\x00 ñ'"),
  python('an empty text', "''", "''", "''"),
  python(
    'lists and maps',
    "{'list': [1, [2, [3, {'deep': True}]]], 'map': {'a': {'b': None}}}",
    describe(nested),
    "{'list': [1, [2, [3, {'deep': True}]]], 'map': {'a': {'b': None}}}",
  ),
  python('a tuple', '(1, (2, 3))', '[ 1, [ 2, 3 ] ]', '[1, [2, 3]]'),
  fromPython('no arguments', "get(send('ts.echo'))", []),
  fromPython('several arguments', "get(send('ts.echo', 1, 'two', [3]))", [1, 'two', [3]]),
  fromPython('keyword arguments', "get(send('ts.named', kwargs={'user_id': 7, 'größe': 'x'}))", {
    user_id: 7,
    größe: 'x',
  }),
  typescript('null', null, 'None'),
  typescript('booleans', [true, false], '[True, False]'),
  typescript('integers', [0, -1, Number.MAX_SAFE_INTEGER], '[0, -1, 9007199254740991]'),
  typescript('an integer beyond 2^53', 9007199254740993n, '9007199254740993'),
  typescript('an integer of 61 digits', longInteger, String(longInteger)),
  typescript('floats', [0.1, -1.5e300, 1e-7], '[0.1, -1.5e+300, 1e-07]'),
  typescript('a float beyond 2^53', 2 ** 60, '1.152921504606847e+18'),
  typescript('text', 'grüße 😀 \u0000 ñ', "'grüße 😀 \\x00 ñ'"),
  typescript('an empty text', '', "''"),
  typescript('lists and maps', nested, "{'list': [1, [2, [3, {'deep': True}]]], 'map': {'a': {'b': None}}}"),
  fromTypeScript('no arguments', async app => (await app.sendTask('py.echo')).get({ timeoutMs: 20_000 }), []),
  fromTypeScript(
    'several arguments',
    async app => (await app.sendTask('py.echo', [1, 'two', [3]])).get({ timeoutMs: 20_000 }),
    [1, 'two', [3]],
  ),
  fromTypeScript(
    'keyword arguments',
    async app => (await app.sendTask('py.echo', [], { user_id: 7, größe: 'x' })).get({ timeoutMs: 20_000 }),
    { user_id: 7, größe: 'x' },
  ),
]

const asText = (here: string, back: string): Older => ({ sees: [here, back], because: noTypes })

const typed: readonly Cell[] = [
  python(
    'a datetime with a zone',
    'datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=timezone(timedelta(hours=5)))',
    '2024-01-01T22:04:05.678Z',
    'datetime.datetime(2024, 1, 1, 22, 4, 5, 678000, tzinfo=datetime.timezone.utc)',
    asText("'2024-01-02T03:04:05.678000+05:00'", "'2024-01-02T03:04:05.678000+05:00'"),
  ),
  python(
    'a datetime without one',
    'datetime(2024, 1, 2, 3, 4, 5)',
    '2024-01-02T03:04:05.000Z',
    'datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)',
    asText("'2024-01-02T03:04:05'", "'2024-01-02T03:04:05'"),
  ),
  python(
    'a date',
    'date(2024, 2, 29)',
    "PlainDate { text: '2024-02-29' }",
    'datetime.date(2024, 2, 29)',
    asText("'2024-02-29T00:00:00'", "'2024-02-29T00:00:00'"),
  ),
  python(
    'a time',
    'clock(1, 2, 3)',
    "PlainTime { text: '01:02:03' }",
    'datetime.time(1, 2, 3)',
    asText("'01:02:03'", "'01:02:03'"),
  ),
  python('a decimal', "Decimal('1.50')", "Decimal { text: '1.50' }", "Decimal('1.50')", asText("'1.50'", "'1.50'")),
  python(
    'a UUID',
    "uuid.UUID('12345678123456781234567812345678')",
    "'12345678-1234-5678-1234-567812345678'",
    "'12345678-1234-5678-1234-567812345678'",
  ),
  python('bytes', "b'\\xff\\x00'", 'Uint8Array(2) [ 255, 0 ]', "b'\\xff\\x00'", {
    sees: 'EncodeError',
    because: noTypes,
  }),
  python(
    'bytes that are text',
    "'grüße'.encode()",
    'Uint8Array(7) [ 103, 114, 195, 188, 195, 159, 101 ]',
    "b'gr\\xc3\\xbc\\xc3\\x9fe'",
    { sees: 'EncodeError', because: noTypes },
  ),
  typescript(
    'a date and time',
    at,
    'datetime.datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)',
    at,
    rawMap('datetime', '2024-01-02T03:04:05.678000+00:00', at),
  ),
  typescript(
    'a date',
    new PlainDate('2024-02-29'),
    'datetime.date(2024, 2, 29)',
    new PlainDate('2024-02-29'),
    rawMap('date', '2024-02-29', new PlainDate('2024-02-29')),
  ),
  typescript(
    'a time',
    new PlainTime('01:02:03'),
    'datetime.time(1, 2, 3)',
    new PlainTime('01:02:03'),
    rawMap('time', '01:02:03', new PlainTime('01:02:03')),
  ),
  typescript(
    'a decimal',
    new Decimal('1.50'),
    "Decimal('1.50')",
    new Decimal('1.50'),
    rawMap('decimal', '1.50', new Decimal('1.50')),
  ),
  typescript(
    'a UUID',
    new Uuid('12345678123456781234567812345678'),
    "UUID('12345678-1234-5678-1234-567812345678')",
    '12345678-1234-5678-1234-567812345678',
    {
      sees: [
        "{'__type__': 'uuid', '__value__': {'hex': '12345678123456781234567812345678'}}",
        describe('12345678-1234-5678-1234-567812345678'),
      ],
      because: noTypes,
    },
  ),
  typescript(
    'bytes',
    Uint8Array.of(255, 0),
    "b'\\xff\\x00'",
    Uint8Array.of(255, 0),
    rawMap('base64', '/wA=', Uint8Array.of(255, 0)),
  ),
]

/** What travels as a type is a map to a task of 5.2, and comes back as it went. */
function rawMap(type: string, value: string, back: unknown): Older {
  return {
    sees: [`{'__type__': '${type}', '__value__': '${value}'}`, describe(back)],
    because: noTypes,
  }
}

export const valueCells: readonly Cell[] = [...plain, ...typed]
