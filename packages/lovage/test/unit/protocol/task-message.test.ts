import { describe, expect, it } from 'vitest'
import { deflateSync, gzipSync } from 'node:zlib'
import type { WireMessage } from '../../../src/core/wire.ts'
import { ContentDisallowedError, DecodeError, EncodeError } from '../../../src/core/errors.ts'
import { defaultLimits } from '../../../src/protocol/json.ts'
import {
  decodeTaskBody,
  decodeTaskHeaders,
  emptyEmbed,
  encodeBody,
  encodeTask,
  retryMessage,
  type TaskMessage,
} from '../../../src/protocol/task-message.ts'

const message: TaskMessage = {
  id: 'a1',
  task: 'core.tasks.loop',
  retries: 2,
  etaAt: Date.UTC(2026, 0, 1),
  expiresAt: Date.UTC(2026, 0, 1, 0, 0, 0, 5),
  timeLimitMs: 1500,
  softTimeLimitMs: 1000,
  rootId: 'r1',
  parentId: 'p1',
  group: 'g1',
  groupIndex: 3,
  shadow: 'loop',
  origin: 'gen1@host',
  ignoreResult: true,
  replacedTaskNesting: 1,
  stampedHeaders: ['customer'],
  stamps: { customer: 'acme' },
  argsrepr: '(30,)',
  kwargsrepr: '{}',
  replyTo: 'inbox',
  correlationId: 'c1',
  priority: 9,
  owner: 'u1',
  tags: ['x', 'y'],
  queuedAt: 1_790_000_000_000,
  replayOf: 'a0',
  maxRetries: 7,
  headers: { 'x-custom': [1] },
}

function wireOf(headers: Record<string, unknown>, body: WireMessage['body'] = '[[],{},{}]'): WireMessage {
  return {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    headers: { task: 't', id: 'a1', ...headers },
    body,
  }
}

const body = (text: WireMessage['body'], headers: Record<string, unknown> = {}) => decodeTaskBody(wireOf(headers, text))

describe('encodeTask and decodeTaskHeaders', () => {
  it('carry everything there and back', () => {
    const wire = encodeTask(message, '[[30],{},{}]')
    expect(decodeTaskHeaders(wire)).toEqual(message)
    expect(wire.body).toBe('[[30],{},{}]')
    expect(wire.properties).toEqual({
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: 'c1',
      replyTo: 'inbox',
      priority: 9,
      deliveryMode: 2,
    })
  })

  it('carry no more than there is', () => {
    const least: TaskMessage = { id: 'a1', task: 't', retries: 0, rootId: 'a1', headers: {} }
    const wire = encodeTask(least, { args: ['x'], kwargs: { password: 'p' }, embed: emptyEmbed })
    expect(Object.keys(wire.headers).filter(name => name.startsWith('lovage'))).toEqual([])
    expect(wire.headers).toMatchObject({ argsrepr: "('x',)", kwargsrepr: "{'password': '***'}", ignore_result: null })
    expect(wire.properties).toMatchObject({ correlationId: 'a1', priority: 0 })
    expect(encodeTask(least, '[]').headers).toMatchObject({ argsrepr: null, kwargsrepr: null })
  })

  it('let no custom header replace one with a meaning', () => {
    const wire = encodeTask({ ...message, headers: { id: 'evil', lovage_owner: 'evil', fine: 1 } }, '[]')
    expect(wire.headers).toMatchObject({ id: 'a1', lovage_owner: 'u1', fine: 1 })
  })

  it('cannot give the custom ones another prototype', () => {
    const hostile = JSON.parse('{"__proto__": {"admin": true}, "fine": 1}') as Record<string, unknown>
    const { headers } = decodeTaskHeaders(wireOf(hostile))
    expect(headers).toEqual({ fine: 1 })
    expect(headers['admin']).toBeUndefined()
  })

  it('read a message of a foreign producer that leaves out all it may', () => {
    const read = decodeTaskHeaders(wireOf({ timelimit: [0, null], lovage_tags: ['a', 1], stamps: [], root_id: '' }))
    expect(read).toMatchObject({ id: 'a1', task: 't', retries: 0, rootId: 'a1', tags: ['a'], headers: {} })
    expect(read.timeLimitMs).toBeUndefined()
    expect(read.stamps).toBeUndefined()
  })

  it.each<[Record<string, unknown>, RegExp]>([
    [{ id: undefined }, /"id" is undefined/],
    [{ id: '' }, /"id" is ""/],
    [{ task: 7 }, /"task" is 7/],
    [{ eta: 'tomorrow' }, /"eta" is "tomorrow"; expected an ISO 8601 time/],
    [{ expires: 5 }, /"expires" is 5/],
    [{ retries: -1 }, /"retries" is -1/],
    [{ retries: 'two' }, /"retries" is "two"/],
    [{ timelimit: 30 }, /"timelimit" is 30/],
    [{ timelimit: [null, 'x'] }, /"timelimit" is \[null,"x"\]/],
    [{ big: 'x'.repeat(70_000) }, /headers have 70003 characters; the limit is 65536/],
    [{ big: ['x'.repeat(70_000)] }, /the limit is 65536/],
  ])('name the header that makes no sense: %#', (headers, problem) => {
    expect(() => decodeTaskHeaders(wireOf(headers))).toThrow(DecodeError)
    expect(() => decodeTaskHeaders(wireOf(headers))).toThrow(problem)
  })

  it.each(['[1]', '{"id": "x"}', '7'])('know what is no task at all: %s', text => {
    const wire = { ...wireOf({}, text), headers: {} }
    expect(() => decodeTaskHeaders(wire)).toThrow(/This is no task/)
  })

  it('do not read the body of protocol 2', () => {
    expect(decodeTaskHeaders(wireOf({}, 'no JSON')).id).toBe('a1')
  })
})

describe('encodeBody', () => {
  it('writes arguments, keyword arguments and what comes after', () => {
    expect(encodeBody({ args: [1], kwargs: { a: 2 }, embed: emptyEmbed })).toBe(
      '[[1],{"a":2},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]',
    )
    const embed = { ...emptyEmbed, chain: [{ task: 't' }] }
    expect(body(encodeBody({ args: [], kwargs: {}, embed })).embed).toEqual(embed)
  })

  it('names the argument that cannot travel', () => {
    const encode = (args: unknown[], kwargs: Record<string, unknown>) => () =>
      encodeBody({ args, kwargs, embed: emptyEmbed })
    expect(encode([1, { total: Number.NaN }], {})).toThrow(/^args\[1\]\.total: NaN/)
    expect(encode([], { month: new Map() })).toThrow(EncodeError)
    expect(encode([], { month: new Map() })).toThrow(/^kwargs\.month: a Map/)
  })
})

describe('decodeTaskBody', () => {
  it('takes bytes and text', () => {
    expect(body(new TextEncoder().encode('[["ü"],{}]')).args).toEqual(['ü'])
    expect(body(Buffer.from('[["ü"],{},null]')).args).toEqual(['ü'])
    expect(body('[["ü"],{"a":1},{}]')).toEqual({ args: ['ü'], kwargs: { a: 1 }, embed: emptyEmbed })
  })

  it('takes the body of protocol 1 under the headers of protocol 2', () => {
    expect(body('{"args": [1], "callbacks": [{"task": "t"}]}')).toMatchObject({
      args: [1],
      embed: { callbacks: [{ task: 't' }] },
    })
    expect(body('{"kwargs": {"a": 1}}')).toMatchObject({ args: [], kwargs: { a: 1 } })
  })

  it.each<[WireMessage['body'], RegExp]>([
    ['{}', /neither/],
    ['7', /neither/],
    ['[7, {}]', /arguments are no list: 7/],
    ['[[], [7]]', /keyword arguments are no map: \[7\]/],
    ['[[], {}, {"callbacks": "x"}]', /callbacks of the body are no list/],
    ['[[', /no JSON/],
    [Uint8Array.of(0x22, 0xff, 0x22), /no valid UTF-8/],
  ])('refuses what is no body: %#', (text, problem) => {
    expect(() => body(text)).toThrow(DecodeError)
    expect(() => body(text)).toThrow(problem)
  })

  it('takes JSON under a content type with parameters, and nothing else', () => {
    const typed = (contentType: string): WireMessage => ({
      ...wireOf({}),
      properties: { contentType, contentEncoding: 'utf-8' },
    })
    expect(decodeTaskBody(typed('Application/JSON; charset=utf-8')).args).toEqual([])
    for (const type of ['application/x-python-serialize', 'application/x-msgpack', 'image/png', '']) {
      expect(() => decodeTaskBody(typed(type))).toThrow(ContentDisallowedError)
    }
  })

  it('decompresses zlib and true gzip', () => {
    const plain = Buffer.from('[["x"],{},{}]')
    expect(body(deflateSync(plain), { compression: 'application/x-gzip' }).args).toEqual(['x'])
    expect(body(gzipSync(plain), { compression: 'application/x-gzip' }).args).toEqual(['x'])
  })

  it('stops a bomb before it fills the memory', () => {
    const bomb = deflateSync(Buffer.alloc(30 * 1024 * 1024, 0x20))
    expect(() => body(bomb, { compression: 'application/x-gzip' })).toThrow(
      /more than 1048576 bytes, from \d+ compressed/,
    )
  })

  it('lets what is well compressed but small pass', () => {
    const text = JSON.stringify([['x'.repeat(500_000)], {}, {}])
    expect(body(deflateSync(text), { compression: 'application/x-gzip' }).args[0]).toHaveLength(500_000)
  })

  it.each<[WireMessage['body'], string, RegExp]>([
    [Buffer.from('garbage'), 'application/x-gzip', /cannot be decompressed/],
    [Buffer.from('garbage'), 'application/zstd', /cannot be decompressed/],
    [Buffer.from('garbage'), 'application/x-lzma', /"application\/x-lzma" is not known here/],
    ['text', 'application/x-gzip', /The body is text/],
  ])('refuses what cannot be decompressed: %#', (text, compression, problem) => {
    expect(() => body(text, { compression })).toThrow(DecodeError)
    expect(() => body(text, { compression })).toThrow(problem)
  })

  it.each(['', 'UTF-8', 'us-ascii', 'binary'])('reads a body said to be in %j', contentEncoding => {
    const wire = { properties: { contentType: 'application/json', contentEncoding }, headers: { task: 't', id: 'a' } }
    expect(decodeTaskBody({ ...wire, body: Buffer.from('[["ü"], {}, {}]') }).args).toEqual(['ü'])
  })

  it('refuses a body in another encoding by its name', () => {
    const properties = { contentType: 'application/json', contentEncoding: 'utf-16' }
    const wire = { properties, headers: { task: 't', id: 'a' }, body: Buffer.from('[[], {}, {}]', 'utf16le') }
    expect(() => decodeTaskBody(wire)).toThrow(/"utf-16" is refused: send JSON in utf-8/)
  })

  it('refuses what is too large, before and after decoding', () => {
    const limits = { ...defaultLimits, maxBodyBytes: 10 }
    expect(() => decodeTaskBody(wireOf({}, Buffer.alloc(11)), limits)).toThrow(/11 bytes; the limit is 10/)
  })
})

describe('retryMessage', () => {
  it('keeps the id and the body, and gives a root its own id as parent', () => {
    const wire = encodeTask({ ...message, parentId: undefined }, '[[30],{},{}]')
    const retry = retryMessage(wire, { retries: 3 })
    expect(retry.body).toBe(wire.body)
    expect(retry.properties).toBe(wire.properties)
    expect(decodeTaskHeaders(retry)).toEqual({ ...message, retries: 3, etaAt: undefined, parentId: 'a1' })
    expect(Object.keys(retry.headers)).toEqual(Object.keys(wire.headers))
  })

  it('keeps a parent, and leaves behind what the broker noted', () => {
    const wire = encodeTask(
      { ...message, headers: { 'x-death': [], 'x-first-death-queue': 'q', 'x-delivery-count': 3, 'x-mine': 1 } },
      '[]',
    )
    const retry = retryMessage(wire, { retries: 1, etaAt: 1000 })
    expect(decodeTaskHeaders(retry)).toMatchObject({ parentId: 'p1', headers: { 'x-mine': 1 }, etaAt: 1000 })
    expect(Object.keys(retry.headers).filter(name => name.startsWith('x-'))).toEqual(['x-mine'])
  })
})
