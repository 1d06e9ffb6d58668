import { describe, expect, it } from 'vitest'
import type { WireMessage } from '../../../src/core/wire.ts'
import { callsOnFailure, callsOnSuccess, idsInChain, readWorkflow, type Call } from '../../../src/protocol/workflow.ts'
import { decodeTaskBody, decodeTaskHeaders } from '../../../src/protocol/task-message.ts'

const caller = { id: 'a', rootId: 'r', endedAt: Date.UTC(2026, 10, 22), origin: 'gen1@here' }

function signature(task: string, more: object = {}): object {
  return { task, args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false, ...more }
}

function message(embed: object, more: Partial<WireMessage> = {}): WireMessage {
  return {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    headers: { task: 't', id: 'a' },
    body: JSON.stringify([[], {}, { callbacks: null, errbacks: null, chain: null, chord: null, ...embed }]),
    ...more,
  }
}

function after(embed: object | WireMessage, result = '5'): readonly Call[] {
  const workflow = readWorkflow('body' in embed ? embed : message(embed))
  return workflow === undefined ? [] : callsOnSuccess(workflow, result, caller)
}

const argsOf = ({ wire }: Call): unknown => decodeTaskBody(wire).args

describe('what follows', () => {
  it.each([
    ['Python', '[[1], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'],
    ['ours', '[[1],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]'],
    ['an empty map', '[[{"chain":[1]}],{},{}]'],
    ['null', '[[1],{},null]'],
    ['none', '[[1],{}]'],
    ['no JSON', '[[1],{},{"chain":'],
    ['empty lists', '[[1],{},{"callbacks":[],"errbacks":[],"chain":[],"chord":null}]'],
  ])('is nothing: %s', (_whose, body) => {
    expect(readWorkflow(message({}, { body }))).toBeUndefined()
    expect(readWorkflow(message({}, { body: Buffer.from(body) }))).toBeUndefined()
  })

  it('is read from bytes, and from protocol 1', () => {
    const body = JSON.stringify({ task: 't', id: 'a', args: [1], kwargs: {}, callbacks: [signature('next')] })
    expect(after(message({}, { headers: {}, body })).map(({ message: { task } }) => task)).toEqual(['next'])
    const whole = message({ callbacks: [signature('next')] })
    expect(after({ ...whole, body: Buffer.from(whole.body) })).toHaveLength(1)
  })

  it.each([
    ['a chord', { chord: signature('body') }],
    ['a chord in the chain', { chain: [signature('celery.chord', { subtask_type: 'chord' })] }],
    [
      'a group with something after it',
      { chain: [signature('last'), signature('celery.group', { subtask_type: 'group' })] },
    ],
    ['a member of a chord, linked', { callbacks: [signature('x', { options: { chord: signature('body') } })] }],
    [
      'a chord linked to what is linked',
      { callbacks: [signature('x', { options: { link: [signature('celery.chord')] } })] },
    ],
  ])('is refused when it is %s', (_what, embed) => {
    expect(() => readWorkflow(message(embed))).toThrow('chords are not supported yet')
  })

  it.each([
    ['the task', { callbacks: [{ args: [] }] }],
    ['the shape', { chain: ['next'] }],
    ['the kwargs', { errbacks: [signature('x', { kwargs: [] })] }],
  ])('is refused when it is no signature: %s', (_what, embed) => {
    expect(() => readWorkflow(message(embed))).toThrow(/signature/)
  })
})

describe('a call', () => {
  it('is the message Celery would send, its ids fixed', () => {
    const next = signature('next', {
      args: [1],
      kwargs: { k: 2 },
      options: {
        task_id: 'b',
        reply_to: 'inbox',
        priority: 3,
        queue: 'q',
        countdown: 1.5,
        time_limit: 2,
        headers: { h: 1 },
      },
    })
    const last = signature('last', { options: { task_id: 'c' } })
    const [call, ...others] = after({ chain: [last, next] })
    expect(others).toEqual([])
    expect(call?.queue).toBe('q')
    expect(decodeTaskHeaders(call?.wire ?? message({}))).toMatchObject({
      id: 'b',
      task: 'next',
      rootId: 'r',
      parentId: 'a',
      replyTo: 'inbox',
      correlationId: 'b',
      priority: 3,
      timeLimitMs: 2000,
      etaAt: caller.endedAt + 1500,
      argsrepr: '(5, 1)',
      kwargsrepr: "{'k': 2}",
      headers: { h: 1 },
    })
    expect(decodeTaskBody(call?.wire ?? message({}))).toMatchObject({
      args: [5, 1],
      kwargs: { k: 2 },
      embed: { chain: [last] },
    })
  })

  it('is the same whenever it is made', () => {
    const embed = { callbacks: [signature('x'), signature('y')], chain: [signature('z')] }
    const ids = after(embed).map(call => call.message.id)
    expect(new Set(ids).size).toBe(3)
    expect(after(embed)).toEqual(after(embed))
    expect(ids).toEqual(after(embed).map(call => call.message.id))
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('passes on what it does not understand as it was spelled', () => {
    const body =
      '[[], {}, {"callbacks": [{"task": "x", "args": [2.0, 12345678901234567890, Infinity, {"__type__": "decimal", "__value__": "1.50"}],' +
      ' "kwargs": {"f": 1.0}, "options": {"countdown": 1.0, "link": [{"task": "y", "args": [3.0]}]}, "immutable": true}]}]'
    const [call] = after(message({}, { body }))
    expect(call?.wire.body).toBe(
      '[[2.0,12345678901234567890,1e999,{"__type__":"decimal","__value__":"1.50"}],{"f":1.0},' +
        '{"callbacks":[{"task":"y","args":[3.0]}],"errbacks":null,"chain":null,"chord":null}]',
    )
    expect(call?.message.etaAt).toBe(caller.endedAt + 1000)
  })

  it('takes no argument when it is immutable', () => {
    expect(after({ chain: [signature('x', { args: [1], immutable: true })] }).map(argsOf)).toEqual([[1]])
  })

  it.each([
    ['an ISO date', '2026-11-22T01:00:00+01:00'],
    ['a typed date', { __type__: 'datetime', __value__: '2026-11-22T00:00:00+00:00' }],
    ['seconds', 0],
  ])('expires by %s', (_kind, expires) => {
    expect(after({ callbacks: [signature('x', { options: { expires } })] })[0]?.message.expiresAt).toBe(caller.endedAt)
  })

  it.each([
    ['countdown', '1e999'],
    ['countdown', '-1e300'],
    ['countdown', '"soon"'],
    ['eta', '{"__type__": "datetime", "__value__": 7}'],
    ['eta', '[]'],
    ['expires', '1e999'],
    ['time_limit', '1e999'],
    ['time_limit', '-1'],
    ['group_index', '-1.5'],
    ['headers', '[1]'],
    ['headers', '7'],
    ['task_id', '{}'],
    ['queue', '7'],
    ['stamped_headers', '[1, "who"]'],
    ['link', '[]'],
  ])('passes over an option without meaning: %s %s', (name, value) => {
    const body = `[[], {}, {"callbacks": [{"task": "x", "options": {"${name}": ${value}}}]}]`
    const [call] = after(message({}, { body }))
    const { etaAt, expiresAt, timeLimitMs, groupIndex, headers } = decodeTaskHeaders(call?.wire ?? message({}))
    expect({ etaAt, expiresAt, timeLimitMs, groupIndex, headers }).toEqual({ headers: {} })
  })

  it('bounds a priority, writes headers as numbers, and previews nothing it cannot read', () => {
    const body =
      '[[], {}, {"callbacks": [{"task": "x", "args": [{"__type__": "money", "__value__": 1}],' +
      ' "options": {"priority": 300, "headers": {"weight": 2.0}}}]}]'
    const [call] = after(message({}, { body }))
    expect(call?.message).toMatchObject({ priority: 9, headers: { weight: 2 } })
    expect(call?.wire.headers['argsrepr']).toBeNull()
    expect(call?.wire.body).toContain('{"__type__":"money","__value__":1}')
  })

  it('keeps its stamps', () => {
    const options = { stamped_headers: ['who'], who: 'me' }
    expect(after({ callbacks: [signature('x', { options })] })[0]?.message).toMatchObject({
      stampedHeaders: ['who'],
      stamps: { who: 'me' },
    })
  })
})

describe('a chain that is linked', () => {
  const tasks = [signature('x'), signature('y', { options: { link: signature('own') } })]
  const chain = signature('celery.chain', {
    subtask_type: 'chain',
    kwargs: { tasks },
    options: { task_id: 'end', link: [signature('after')], link_error: [signature('oops')] },
  })

  it('is called task by task: what is said of it is said of its last', () => {
    const [x] = after({ callbacks: [chain], chain: null })
    expect(x?.message).toMatchObject({ task: 'x', parentId: 'a' })
    const [y] = callsOnSuccess(
      readWorkflow(x?.wire ?? message({})) ?? { callbacks: [], errbacks: [], chain: [] },
      '6',
      caller,
    )
    expect(y?.message).toMatchObject({ id: 'end', task: 'y' })
    expect(decodeTaskBody(y?.wire ?? message({}))).toMatchObject({
      args: [6],
      embed: {
        callbacks: [{ task: 'own' }, { task: 'after' }],
        errbacks: [{ task: 'oops' }],
      },
    })
  })

  it('goes on with what came after it', () => {
    const [x] = after({ chain: [signature('z'), chain] })
    expect(decodeTaskBody(x?.wire ?? message({})).embed.chain).toMatchObject([{ task: 'z' }, { task: 'y' }])
  })

  it('is nothing when it is empty', () => {
    expect(after({ callbacks: [signature('celery.chain', { kwargs: { tasks: [] } })] })).toEqual([])
  })
})

it('calls a group at once, with the same arguments and indexes', () => {
  const group = signature('celery.group', {
    subtask_type: 'group',
    kwargs: { tasks: [signature('x'), signature('y', { args: [1] })] },
    options: { task_id: 'g' },
  })
  const calls = after({ chain: [group] })
  expect(calls.map(argsOf)).toEqual([[5], [5, 1]])
  expect(calls.map(call => [call.message.group, call.message.groupIndex])).toEqual([
    ['g', 0],
    ['g', 1],
  ])
  expect(new Set(calls.map(call => call.message.id)).size).toBe(2)
})

it('calls errbacks with the id of what failed, and knows who waits in vain', () => {
  const chain = [signature('z', { options: { task_id: 'c', reply_to: 'inbox' } }), signature('y')]
  const workflow = readWorkflow(message({ errbacks: [signature('oops', { args: ['x'] })], chain }))
  if (workflow === undefined) throw new Error('nothing follows')
  expect(callsOnFailure(workflow, caller).map(argsOf)).toEqual([['a', 'x']])
  expect(idsInChain(workflow)).toEqual([{ id: 'c', name: 'z', replyTo: 'inbox' }])
})
