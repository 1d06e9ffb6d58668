import fc from 'fast-check'
import { spawnSync } from 'node:child_process'
import { expect } from 'vitest'
import { LovageError } from '../../src/core/errors.ts'
import type { StoredState } from '../../src/core/record.ts'
import { errorDocument, exceptionRepr, fromCeleryException, toCeleryException } from '../../src/protocol/exceptions.ts'
import { formatIsoTime, parseIsoTime } from '../../src/protocol/iso-time.ts'
import { decodeJson, encodeJson } from '../../src/protocol/json.ts'
import { argsRepr, valueRepr } from '../../src/protocol/repr.ts'
import { fromResultDocument, toResultDocument } from '../../src/protocol/result-document.ts'
import {
  decodeTaskBody,
  decodeTaskHeaders,
  emptyEmbed,
  encodeTask,
  retryMessage,
} from '../../src/protocol/task-message.ts'
import type { WireMessage } from '../../src/core/wire.ts'
import { fuzz, property } from './support/fuzz.ts'
import { anyKey, anyMessage, anyText, jsonLike, jsonText, mutatedGolden, sendable } from './support/wire-values.ts'

/** What it gives, or the coded error it throws; any other error is the test's. */
function orCoded<T>(read: () => T): { readonly value: T } | { readonly code: string } {
  try {
    return { value: read() }
  } catch (error) {
    if (error instanceof LovageError && error.message.length > 0) return { code: error.code }
    throw error
  }
}

const readErrors = ['E_DECODE', 'E_CONTENT_DISALLOWED']

function readsOrRefuses(wire: WireMessage): void {
  const headers = orCoded(() => decodeTaskHeaders(wire))
  const body = orCoded(() => decodeTaskBody(wire))
  for (const each of [headers, body]) if ('code' in each) expect(readErrors).toContain(each.code)
  if ('value' in headers) {
    const { id, task, retries, etaAt, expiresAt } = headers.value
    expect(id !== '' && task !== '' && Number.isSafeInteger(retries) && retries >= 0).toBe(true)
    for (const at of [etaAt, expiresAt]) if (at !== undefined) expect(parseIsoTime(formatIsoTime(at))).toBe(at)
  }
  if ('value' in headers && 'value' in body) retriesAsItCame(wire)
  expect(Object.getPrototypeOf({})).toBe(Object.prototype)
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
}

/** What the next attempt is sent says the same. */
function retriesAsItCame(wire: WireMessage): void {
  const next = retryMessage(wire, { retries: 7, etaAt: 1_790_000_000_000 })
  const [before, after] = [decodeTaskHeaders(wire), decodeTaskHeaders(next)]
  expect(after).toMatchObject({ id: before.id, task: before.task, retries: 7, etaAt: 1_790_000_000_000 })
  expect(after.expiresAt).toBe(before.expiresAt)
  const { args, kwargs } = decodeTaskBody(wire)
  expect(decodeTaskBody(next).args).toEqual(args)
  expect({ ...decodeTaskBody(next).kwargs }).toEqual({ ...kwargs })
}

fuzz('messages', {
  'are read or refused with a code: as Celery sent them, then changed': property({
    of: mutatedGolden,
    holds: readsOrRefuses,
  }),
  'are read or refused with a code: of nobody': property({ of: anyMessage, holds: readsOrRefuses }),
  'come back as they were sent': property({
    of: fc.record({
      id: anyText.filter(text => text !== ''),
      task: anyText.filter(text => text !== ''),
      retries: fc.maxSafeInteger().map(Math.abs),
      etaAt: fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
      timeLimitMs: fc.integer({ min: 1, max: 2 ** 40 }),
      args: fc.array(sendable, { maxLength: 4 }),
      kwargs: fc.dictionary(
        anyKey.filter(key => !['__proto__', 'constructor', '__type__'].includes(key)),
        sendable,
        { maxKeys: 4 },
      ),
    }),
    holds({ args, kwargs, ...message }) {
      const sent = encodeTask({ ...message, rootId: message.id, headers: {} }, { args, kwargs, embed: emptyEmbed })
      // through text, as a broker carries it
      const wire = { ...sent, headers: JSON.parse(JSON.stringify(sent.headers)) as WireMessage['headers'] }
      expect(decodeTaskHeaders(wire)).toMatchObject({ ...message, rootId: message.id })
      const body = decodeTaskBody(wire)
      expect(body.args).toStrictEqual(args)
      expect({ ...body.kwargs }).toStrictEqual({ ...kwargs })
    },
  }),
})

fuzz('json', {
  'text is a value or a DecodeError': property({
    of: jsonText,
    holds(text) {
      const read = orCoded(() => decodeJson(text))
      if ('code' in read) expect(read.code).toBe('E_DECODE')
    },
    runs: 2000,
  }),
  'is what Node reads, where Node reads it': property({
    of: jsonText.filter(text => !/__type__|__proto__|constructor|\\u00/.test(text)),
    holds(text) {
      const ours = orCoded(() => decodeJson(text))
      const theirs = nodes(text)
      if ('code' in ours) {
        // a limit, or no JSON at all
        if (theirs !== undefined) expect(text.length).toBeGreaterThan(200)
      } else if (theirs === undefined) expect(text).toMatch(/NaN|Infinity/)
      else expect(withoutBigInts(ours.value)).toStrictEqual(theirs.value)
    },
    runs: 2000,
  }),
  'is what Python reads, where Python reads it': property({
    of: fc.array(
      jsonText.filter(text => text.length < 190 && !/__type__|__proto__|constructor|prototype|\\u00/.test(text)),
      { minLength: 100, maxLength: 300 },
    ),
    holds(texts) {
      const theirs = asPythonReads(texts)
      // a machine without Python is no failure here: the interop tests say what is missing
      if (theirs === undefined) return
      expect(texts.map(text => ours(text))).toEqual(theirs)
    },
    runs: 3,
  }),
  'of a value comes back as that value': property({
    of: sendable,
    holds: value => expect(decodeJson(encodeJson(value))).toStrictEqual(value),
    runs: 1000,
  }),
  'of any value is text, or an EncodeError that names the path': property({
    of: fc.oneof(jsonLike, fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true })),
    holds(value) {
      const text = orCoded(() => encodeJson(value, 'args'))
      if ('code' in text) expect(text.code).toBe('E_ENCODE')
      else expect(encodeJson(decodeJson(text.value))).toBe(encodeJson(decodeJson(text.value)))
    },
  }),
  'is shown in a preview that is short and never throws': property({
    of: fc.oneof(jsonLike, fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true })),
    holds(value) {
      for (const text of [valueRepr(value), argsRepr([value, value])]) {
        expect(text.length).toBeLessThanOrEqual(1024)
        expect(text.isWellFormed()).toBe(true)
      }
    },
  }),
})

const python = `
import json, struct, sys
def plain(value):
    if isinstance(value, bool) or value is None or isinstance(value, str): return value
    if isinstance(value, int) and abs(value) > 2**53 - 1: return {'int': str(value)}
    if isinstance(value, (int, float)):
        value = float(value)
        return {'nan': 1} if value != value else {'bits': struct.pack('>d', value + 0.0 if value else 0.0).hex()}
    if isinstance(value, list): return [plain(item) for item in value]
    return {'map': [[key, plain(item)] for key, item in sorted(value.items(), key=lambda pair: pair[0].encode('utf-16-be', 'surrogatepass'))]}
def read(text):
    try: return {'value': plain(json.loads(text))}
    except (ValueError, RecursionError): return None
print(json.dumps([read(text) for text in json.load(sys.stdin)]))
`

/** Undefined: there is no Python. */
function asPythonReads(texts: readonly string[]): unknown {
  const { status, stdout } = spawnSync('python3', ['-c', python], { input: JSON.stringify(texts), encoding: 'utf8' })
  return status === 0 ? (JSON.parse(stdout) as unknown) : undefined
}

function ours(text: string): unknown {
  const read = orCoded(() => decodeJson(text))
  return 'code' in read ? null : { value: plain(read.value) }
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return { int: String(value) }
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(value === 0 ? 0 : value)
    return Number.isNaN(value) ? { nan: 1 } : { bits: bytes.toString('hex') }
  }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { map: entries.map(([key, item]) => [key, plain(item)]) }
}

function nodes(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}

function withoutBigInts(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(withoutBigInts)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutBigInts(item)]))
}

const thrown = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
  fc
    .record({ name: jsonLike, message: jsonLike, stack: jsonLike })
    .map(fields => Object.assign(new Error('x'), fields)),
)

fuzz('exceptions', {
  'of anything thrown are a document that travels': property({
    of: thrown,
    holds(value) {
      const document = errorDocument(value)
      const { exc_type, exc_message, exc_module } = toCeleryException(document)
      expect([typeof exc_type, typeof exc_module, Array.isArray(exc_message)]).toEqual(['string', 'string', true])
      expect(decodeJson(encodeJson(document))).toEqual(document)
      expect(Buffer.byteLength(document.message)).toBeLessThanOrEqual(8192)
      exceptionRepr(document)
    },
  }),
  'of any shape are read': property({
    of: fc.oneof(
      fc.record({ exc_type: jsonLike, exc_message: jsonLike, exc_module: jsonLike }),
      fc.record({ exc_type: anyText, exc_message: fc.array(jsonLike), exc_module: anyText }),
      jsonLike,
    ),
    holds(value) {
      const document = fromCeleryException(value, 'Traceback')
      expect(document.message.isWellFormed()).toBe(true)
      expect(fromCeleryException(toCeleryException(document)).message).toBe(document.message)
    },
  }),
})

const states = fc.oneof(fc.constantFrom('PENDING', 'SUCCESS', 'FAILURE', 'RETRY', 'REVOKED', 'PROGRESS'), anyText)

const storedState = fc
  .record({
    id: anyText,
    state: states,
    retries: fc.nat(),
    delivery: fc.nat(),
    seq: fc.double({ noNaN: true, noDefaultInfinity: true }),
    at: fc.integer({ min: 0, max: 253_402_300_799_999 }),
    value: sendable,
    facts: fc.record({ name: anyText, queue: anyText, owner: anyText, tags: fc.array(anyText, { maxLength: 3 }) }),
  })
  .map(({ value, ...state }): StoredState => {
    const isError = ['FAILURE', 'RETRY', 'REVOKED'].includes(state.state)
    const kept = isError ? errorDocument(new Error('boom')) : value
    return { ...state, seq: state.seq + 0, value: encodeJson(kept) }
  })

fuzz('result documents', {
  'come back as they were kept': property({
    of: storedState,
    holds(state) {
      const { readyAt: _readyAt, ...read } = fromResultDocument(toResultDocument(state))
      expect({ ...read, value: decodeJson(read.value ?? 'null') }).toEqual({
        ...state,
        value: decodeJson(state.value ?? 'null'),
      })
    },
  }),
  'of any text are read or refused with a code': property({
    of: fc.oneof(
      jsonText,
      fc
        .record({
          status: fc.oneof(states, jsonLike),
          task_id: fc.oneof(anyText, jsonLike),
          result: jsonLike,
          traceback: jsonLike,
          date_done: fc.oneof(anyText, fc.constant('9999-12-31T23:59:59-10:00')),
          lovage: jsonLike,
        })
        .map(document => JSON.stringify(document)),
      fc.nat(210).map(depth => `{"status":"SUCCESS","task_id":"t","result":${'['.repeat(depth)}${']'.repeat(depth)}}`),
    ),
    holds(text) {
      const read = orCoded(() => fromResultDocument(text))
      if ('code' in read) expect(read.code).toBe('E_DECODE')
      else orCoded(() => toResultDocument(read.value))
    },
  }),
})

const timeText = fc
  .tuple(
    fc.date({ min: new Date('0000-01-01'), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
    fc.constantFrom('Z', '', '+00:00', '+14:00', '-23:59', '-2359', '+05:30:15', '+25:00'),
    fc.constantFrom('', '.5', '.123456', ',999', '.1234567890'),
  )
  .map(([date, zone, fraction]) => date.toISOString().slice(0, 19) + fraction + zone)

fuzz('times', {
  'are an instant that can be written again, or none': property({
    of: fc.oneof(timeText, anyText),
    holds(text) {
      const at = parseIsoTime(text)
      if (at !== undefined) expect(parseIsoTime(formatIsoTime(at))).toBe(at)
    },
    runs: 2000,
  }),
})
