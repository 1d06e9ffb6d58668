import { describe, expect, it } from 'vitest'
import { ContentDisallowedError, DecodeError } from '../../../src/core/errors.ts'
import { decodeJson, encodeJson } from '../../../src/protocol/json.ts'
import {
  decodeTaskBody,
  decodeTaskHeaders,
  emptyEmbed,
  encodeTask,
  retryMessage,
} from '../../../src/protocol/task-message.ts'
import { exceptionRepr, fromCeleryException, toCeleryException } from '../../../src/protocol/exceptions.ts'
import { fromResultDocument, toResultDocument } from '../../../src/protocol/result-document.ts'
import { argsRepr, kwargsRepr } from '../../../src/protocol/repr.ts'
import { Decimal, PlainDate, PlainTime } from '../../../src/protocol/typed-values.ts'
import { readGoldens } from '../../fixtures/celery/golden.ts'

const id = (hex: string): string => `00000000-0000-0000-0000-${hex.padStart(12, '0')}`
const goldens = readGoldens()

describe.each(goldens)('messages of Celery $versions.celery', golden => {
  const isTyped = golden.versions.kombu !== '5.2.4'
  const body = (name: string) => decodeTaskBody(golden.message(name))
  const head = (name: string) => decodeTaskHeaders(golden.message(name))

  it('tell a plain call', () => {
    expect(head('plain')).toEqual({
      id: id('1'),
      task: 'math.add',
      retries: 0,
      rootId: id('1'),
      argsrepr: '(2, 2)',
      kwargsrepr: '{}',
      origin: 'gen1@golden',
      ignoreResult: false,
      replacedTaskNesting: isTyped ? 0 : undefined,
      correlationId: id('1'),
      replyTo: id('feed'),
      priority: 0,
      headers: {},
    })
    expect(body('plain')).toEqual({ args: [2, 2], kwargs: {}, embed: emptyEmbed })
  })

  it('tell keyword arguments, in an object without a prototype', () => {
    const { args, kwargs } = body('keyword arguments')
    expect(args).toEqual([])
    expect(kwargs).toEqual({ month: '2026-10', dry_run: true, note: null })
    expect(Object.getPrototypeOf(kwargs)).toBeNull()
  })

  it('tell every option', () => {
    expect(head('all options')).toMatchObject({
      etaAt: Date.UTC(2026, 10, 22, 6, 15, 18, 639),
      expiresAt: Date.UTC(2126, 10, 22, 6, 16, 8, 639),
      priority: 5,
      headers: { 'x-custom': 'v', 'x-count': 3 },
      shadow: 'alias',
      timeLimitMs: 30_000,
      softTimeLimitMs: 20_500,
      ignoreResult: true,
      rootId: id('aaaa'),
      parentId: id('bbbb'),
      group: id('cccc'),
      groupIndex: 4,
    })
  })

  it('tell an eta in any form', () => {
    expect(head('eta with an offset').etaAt).toBe(Date.UTC(2026, 6, 1, 10))
    expect(head('eta without microseconds').etaAt).toBe(Date.UTC(2026, 6, 1, 12))
    expect(head('eta naive').etaAt).toBe(Date.UTC(2026, 6, 1, 12, 0, 0, 5))
    expect(head('countdown').etaAt).toBeGreaterThan(Date.UTC(2026, 0))
    expect(head('expires in seconds').expiresAt).toBeGreaterThan(Date.UTC(2026, 0))
  })

  it('tell stamps', { skip: !isTyped }, () => {
    expect(head('stamped')).toMatchObject({
      stampedHeaders: ['customer', 'run'],
      stamps: { customer: 'acme', run: [1, 2] },
    })
    expect(head('plain')).toMatchObject({ stampedHeaders: undefined, stamps: undefined })
  })

  it('tell strings of every script, and all numbers exactly', () => {
    expect(body('unicode').args).toEqual(['grüße', '日本語', '😀', 'a"b\\c', 'line\nbreak\t\0'])
    const numbers = [2n ** 53n + 1n, -(2n ** 63n), 10n ** 30n, 0.1, 1e100, -1.5, 0.30000000000000004]
    expect(body('numbers').args).toEqual(numbers)
    expect(body('not finite').args).toEqual([Number.NaN, Infinity, -Infinity, 'NaN and Infinity'])
    expect(body('nested').args).toEqual([[1, [2, { a: [null, true, 1.5] }]], { b: {} }])
  })

  it('tell values of Python types', { skip: !isTyped }, () => {
    const first = new Date('2024-01-02T03:04:05.678Z')
    const uuid = '12345678-1234-5678-1234-567812345678'
    expect(body('typed').args).toEqual([
      first,
      new Date('2024-01-01T21:34:05Z'),
      new Date('2024-01-02T03:04:05Z'),
      new PlainDate('2024-02-29'),
      new PlainTime('01:02:03'),
      new PlainTime('01:02:03.000004'),
      new Decimal('1.50'),
      new Decimal('1E+3'),
      uuid,
      new TextEncoder().encode('abc'),
      Uint8Array.of(0xff, 0),
    ])
  })

  it('tell values of kombu before 5.3 as the text they are', { skip: isTyped }, () => {
    const uuid = '12345678-1234-5678-1234-567812345678'
    expect(body('typed').args).toEqual(['2024-01-02T03:04:05.678900Z', '2024-01-02T03:04:05', '1.50', uuid])
  })

  it('go round with nothing lost that JavaScript can hold', { skip: !isTyped }, () => {
    const sent = JSON.parse(new TextDecoder().decode(golden.message('typed').body as Uint8Array)) as unknown[][]
    const back = JSON.parse(encodeJson(body('typed').args)) as unknown[]
    // the first three: microseconds, the offset, and that there was none; the ninth: that the text was a UUID
    for (const index of [3, 4, 5, 6, 7, 9, 10]) expect(back[index]).toEqual(sent[0]?.[index])
    expect(back[0]).toEqual({ __type__: 'datetime', __value__: '2024-01-02T03:04:05.678000+00:00' })
  })

  it.each(['compressed zlib', 'compressed gzip', 'compressed zstd'].filter(name => golden.names.includes(name)))(
    'are read when %s',
    name => expect(body(name).args).toEqual(['x'.repeat(1000)]),
  )

  it('are refused in a compression nobody needs, naming the remedy', () => {
    expect(() => body('compressed bzip2')).toThrow(DecodeError)
    expect(() => body('compressed bzip2')).toThrow(/application\/x-bz2.*task_compression = 'gzip'/)
  })

  it.each(['pickle', 'yaml'])('are refused in %s, saying what to set in Celery', name => {
    expect(head(name).task).toBe('math.add')
    expect(() => body(name)).toThrow(ContentDisallowedError)
    expect(() => body(name)).toThrow(/task_serializer = 'json'.*accept_content/)
  })

  it('tell what comes after the task', () => {
    const task = { task: 'math.add', kwargs: {}, immutable: false, subtask_type: null }
    expect(body('chain').embed.chain).toMatchObject([
      { ...task, args: [3] },
      { ...task, args: [2] },
    ])
    expect(body('link').embed).toMatchObject({
      callbacks: [{ args: [5] }],
      errbacks: [{ args: ['oops'] }],
      chain: null,
    })
    expect(body('chord').embed.chord).toMatchObject({ ...task, args: [10] })
    expect(head('chord#1')).toMatchObject({ groupIndex: 1, group: head('chord').group })
    expect(head('group')).toMatchObject({ group: id('c1') })
  })

  it('of protocol 1 are read like those of protocol 2', () => {
    expect(head('protocol 1')).toMatchObject({
      id: id('1001'),
      task: 'math.add',
      rootId: id('1001'),
      etaAt: Date.UTC(2026, 6, 1, 12),
      timeLimitMs: 30_000,
      softTimeLimitMs: undefined,
      group: id('c2'),
      headers: {},
    })
    expect(body('protocol 1')).toEqual({ args: [2, 2], kwargs: { x: 1 }, embed: emptyEmbed })
    expect(() => head('protocol 1 pickle')).toThrow(ContentDisallowedError)
  })

  it('of protocol 1 are retried in protocol 2', () => {
    const retry = retryMessage(golden.message('protocol 1'), { retries: 1, etaAt: Date.UTC(2026, 7, 1) })
    expect(decodeTaskHeaders(retry)).toMatchObject({ id: id('1001'), retries: 1, etaAt: Date.UTC(2026, 7, 1) })
    expect(decodeTaskBody(retry)).toEqual(body('protocol 1'))
  })

  it.each(golden.names.filter(name => !/protocol 1|pickle|yaml|compressed|not finite/.test(name)))(
    'come out of our encoder as they went in: %s',
    name => {
      const wire = golden.message(name)
      const again = encodeTask(decodeTaskHeaders(wire), decodeTaskBody(wire))
      expect(decodeTaskHeaders(again)).toEqual(decodeTaskHeaders({ ...wire, headers: withDefaults(wire.headers) }))
      expect(decodeTaskBody(again)).toEqual(decodeTaskBody(wire))
      expect(again.properties).toEqual(wire.properties)
    },
  )

  it('have previews like ours', () => {
    for (const name of ['plain', 'no arguments', 'keyword arguments', 'nested', 'quotes', 'numbers', 'not finite']) {
      const { args, kwargs } = body(name)
      expect(argsRepr(args)).toBe(head(name).argsrepr)
      expect(kwargsRepr(kwargs)).toBe(head(name).kwargsrepr)
    }
  })

  function withDefaults(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
    return { ...headers, replaced_task_nesting: headers['replaced_task_nesting'] ?? 0 }
  }
})

describe('a message of ours', () => {
  const [newest] = goldens

  it('has the headers of the newest Celery, in its order', () => {
    const wire = newest?.message('plain')
    if (wire === undefined) throw new Error('no golden messages')
    const ours = encodeTask(decodeTaskHeaders(wire), decodeTaskBody(wire))
    expect(Object.keys(ours.headers)).toEqual(Object.keys(wire.headers))
    expect(ours.headers).toEqual({ ...wire.headers, lang: 'ts' })
    expect(JSON.parse(String(ours.body))).toEqual(JSON.parse(new TextDecoder().decode(wire.body as Uint8Array)))
  })

  it('is retried as Celery does it', () => {
    const wire = newest?.message('retry')
    if (wire === undefined) throw new Error('no golden messages')
    const first = { ...wire, headers: { ...wire.headers, eta: null, retries: 1, 'x-death': [{ count: 1 }] } }
    // a retry within a worker has its own id as parent; the recording was made outside of one
    const expected = { ...wire.headers, parent_id: wire.headers['id'] }
    expect(retryMessage(first, { retries: 2, etaAt: Date.UTC(2026, 0) })).toEqual({ ...wire, headers: expected })
  })
})

describe.each(goldens)('results of Celery $versions.celery', golden => {
  const cases = Object.entries(golden.results).map(([name, result]) => ({ name, ...result }))

  it.each(cases)('are read and written: $name', ({ document }) => {
    const state = fromResultDocument(document)
    const again = fromResultDocument(toResultDocument(state))
    expect({ ...again, value: decodeJson(again.value ?? '') }).toEqual({
      ...state,
      value: decodeJson(state.value ?? ''),
    })
    const [theirs, ours] = [decodeJson(document), decodeJson(toResultDocument(state))] as Record<string, unknown>[]
    expect(ours?.['status']).toBe(theirs?.['status'])
    expect(ours?.['traceback']).toBe(theirs?.['traceback'])
    expect(ours?.['task_id']).toBe(theirs?.['task_id'])
  })

  it.each(cases.filter(({ repr }) => repr !== undefined))('tell an exception: $name', ({ document, str }) => {
    const { result, traceback } = decodeJson(document) as { result: { exc_module: string }; traceback: string }
    const error = fromCeleryException(result, traceback)
    expect(error.traceback).toBe(traceback)
    expect(error.module).toBe(result.exc_module)
    if (/^(?:SoftTime|Time)Limit|NotRegistered/.test(error.type)) return
    expect(error.message).toBe(str)
  })

  it('show an exception as we do', () => {
    const { document, repr } = golden.results['revoked expired'] ?? { document: '{}' }
    const { result } = decodeJson(document) as { result: object }
    expect(exceptionRepr(fromCeleryException(result))).toBe(repr)
  })

  it.each(
    cases.filter(({ name }) => /^failure (?:Value|Runtime)Error 4|WorkerLost|revoked|MaxRetries|Chord/.test(name)),
  )('name an exception as we do: $name', ({ document }) => {
    const { result } = decodeJson(document) as { result: object }
    const { module: _module, ...error } = fromCeleryException(result)
    expect(toCeleryException(error)).toEqual(result)
  })
})
