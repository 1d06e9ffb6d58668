import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StoredState } from '../../../src/core/record.ts'
import { isNewer } from '../../../src/core/states.ts'
import { decodeStreamMessage, encodeStreamMessage } from '../../../src/drivers/rabbitmq/results/entries.ts'
import type { Batch, Entry } from '../../../src/drivers/rabbitmq/results/entries.ts'
import { Projection } from '../../../src/drivers/rabbitmq/results/projection.ts'

function state(id: string, name: string, more: Partial<StoredState> = {}): StoredState {
  return { id, state: name, retries: 0, delivery: 1, seq: 0, at: 1, facts: {}, ...more }
}

function entry(stored: StoredState, born = 1, mark = ''): Entry {
  return { kind: 'state', state: stored, born, mark }
}

let lastNumber = 0

/** Each with a number of its own, as a relay has them. */
function batch(term: number, ...entries: readonly Entry[]): Batch {
  return { kind: 'batch', term, number: ++lastNumber, entries }
}

describe('the projection', () => {
  it('tells what is news, in order, and nothing twice', () => {
    const projection = new Projection()
    const [started, progress] = [state('a', 'STARTED'), state('a', 'PROGRESS')]
    expect(projection.apply(0, batch(-1, entry(started), entry(progress)))).toEqual([started, progress])
    expect(projection.apply(1, batch(-1, entry(started), entry(progress)))).toEqual([])
    expect(projection.find('a')?.state).toEqual(progress)
    expect(projection.position).toBe(1)
  })

  it('takes facts from a repetition of the present state, silently', () => {
    const projection = new Projection()
    projection.apply(0, batch(-1, entry(state('a', 'SUCCESS', { facts: { name: 'n' } }))))
    const more = state('a', 'SUCCESS', { facts: { name: 'other', owner: 'me' } })
    expect(projection.apply(1, batch(-1, entry(more)))).toEqual([])
    expect(projection.find('a')?.state.facts).toEqual({ name: 'n', owner: 'me' })
  })

  it('does not bring back what was forgotten, when a batch of before is written again', () => {
    const projection = new Projection()
    const ended = batch(-1, entry(state('a', 'SUCCESS')))
    projection.apply(0, ended)
    projection.apply(1, batch(-1, { kind: 'forget', id: 'a' }))
    expect(projection.apply(2, ended)).toEqual([])
    expect([projection.find('a'), projection.placeOf('a'), projection.position]).toEqual([undefined, undefined, 2])
    // another relay counts anew
    projection.apply(3, { kind: 'term', token: 'next' })
    expect(projection.apply(4, { ...ended, term: 3, entries: [entry(state('b', 'SUCCESS'))] })).toHaveLength(1)
  })

  it('lets nothing pass of a relay whose term is over', () => {
    const projection = new Projection()
    projection.apply(0, { kind: 'term', token: 'first' })
    projection.apply(1, batch(0, entry(state('a', 'STARTED'))))
    projection.apply(2, { kind: 'term', token: 'second' })
    expect(projection.apply(3, batch(0, entry(state('a', 'SUCCESS'))))).toEqual([])
    expect(projection.find('a')?.state.state).toBe('STARTED')
    expect(projection.apply(4, batch(2, entry(state('a', 'FAILURE'))))).toHaveLength(1)
  })

  it('drops ready tasks first, the oldest end first, and keeps their places', () => {
    const projection = new Projection({ maxTasks: 3, maxBytes: Infinity, maxPlaces: 2 })
    projection.apply(0, batch(-1, entry(state('open', 'STARTED'), 1)))
    for (const offset of [1, 2, 3, 4, 5])
      projection.apply(offset, batch(-1, entry(state(`t${offset}`, 'SUCCESS'), offset + 1)))
    const known = ['open', 't1', 't2', 't3', 't4', 't5'].filter(id => projection.find(id) !== undefined)
    expect(known).toEqual(['open', 't4', 't5'])
    expect(['open', 't1', 't2', 't3', 't4'].map(id => projection.placeOf(id))).toEqual([
      undefined,
      undefined,
      2,
      3,
      undefined,
    ])
  })

  it('drops open tasks where there is nothing else, and keeps at least the last one', () => {
    const projection = new Projection({ maxTasks: 100, maxBytes: 1, maxPlaces: 9 })
    projection.apply(0, batch(-1, entry(state('a', 'STARTED'))))
    projection.apply(1, batch(-1, entry(state('b', 'STARTED', { value: '"much"' }), 2)))
    expect(projection.find('a')).toBeUndefined()
    expect(projection.placeOf('a')).toBeUndefined()
    expect(projection.find('b')).toBeDefined()
    expect(projection.size).toBe(1)
  })

  it('forgets', () => {
    const projection = new Projection()
    projection.apply(0, batch(-1, entry(state('a', 'SUCCESS'))))
    projection.apply(1, batch(-1, { kind: 'forget', id: 'a' }))
    expect(projection.find('a')).toBeUndefined()
    expect(projection.placeOf('a')).toBeUndefined()
    expect(projection.wasReady('a')).toBe(true)
    expect(projection.list({}).items).toEqual([])
  })

  it('lists the newest first although an older one was seen late', () => {
    const projection = new Projection()
    projection.apply(0, batch(-1, entry(state('second', 'STARTED'), 2), entry(state('first', 'STARTED'), 1)))
    projection.apply(1, batch(-1, entry(state('third', 'STARTED'), 3)))
    const { items, cursor } = projection.list({ limit: 2 })
    expect(items.map(({ id }) => id)).toEqual(['third', 'second'])
    expect(projection.list({ limit: 2, cursor }).items.map(({ id }) => id)).toEqual(['first'])
    expect(projection.list({ limit: 3 }).cursor).toBeUndefined()
  })

  it('begins anew with another stream, and forgets no state', () => {
    const projection = new Projection()
    projection.apply(7, { kind: 'term', token: 'a' })
    projection.apply(8, batch(7, entry(state('a', 'STARTED'))))
    projection.restart()
    expect([projection.position, projection.term]).toEqual([-1, -1])
    expect(projection.apply(0, batch(-1, entry(state('a', 'SUCCESS'))))).toHaveLength(1)
  })

  it('lets no late batch of a deleted stream stand in the way of the next one, however high its term', () => {
    const projection = new Projection()
    projection.apply(7, { kind: 'term', token: 'a' })
    projection.restart()
    projection.apply(0, { kind: 'term', token: 'b' })
    expect(projection.apply(1, batch(7, entry(state('a', 'STARTED'))))).toEqual([])
    expect(projection.apply(2, batch(0, entry(state('a', 'STARTED'))))).toHaveLength(1)
    expect(projection.term).toBe(0)
  })

  it.each([
    { why: 'what it missed is gone', isResumed: false, offset: 60 },
    { why: 'it was away, and the stream lost its end meanwhile', isResumed: true, offset: 6 },
  ])('takes a term whose start it did not read: $why', ({ isResumed, offset }) => {
    const projection = new Projection()
    projection.apply(5, { kind: 'term', token: 'a' })
    if (isResumed) projection.resume()
    expect(projection.apply(offset, batch(50, entry(state('a', 'STARTED'))))).toHaveLength(1)
    expect(projection.apply(offset + 1, batch(5, entry(state('b', 'STARTED'))))).toEqual([])
  })

  it('never goes back, whatever the stream says', () => {
    const names = ['PENDING', 'STARTED', 'PROGRESS', 'CUSTOM', 'RETRY', 'SUCCESS', 'FAILURE']
    const entries = fc.record({
      id: fc.constantFrom('a', 'b'),
      name: fc.constantFrom(...names),
      retries: fc.nat(2),
      delivery: fc.nat(2),
      seq: fc.nat(3),
      term: fc.nat(3),
    })
    fc.assert(
      fc.property(fc.array(entries, { maxLength: 40 }), all => {
        const projection = new Projection({ maxTasks: 1, maxBytes: Infinity, maxPlaces: 5 })
        for (const [offset, { id, name, term, ...version }] of all.entries()) {
          const before = projection.find(id)?.state
          const news = projection.apply(offset, batch(term, entry(state(id, name, version), offset)))
          for (const each of news) expect(isNewer(each, before)).toBe(true)
          expect(projection.size).toBeLessThanOrEqual(1)
        }
      }),
    )
  })
})

describe('a message of the stream', () => {
  it('comes back as it went', () => {
    const message = batch(3, entry(state('a', 'SUCCESS', { value: '"ü"' }), 2, 'm'), { kind: 'forget', id: 'b' })
    expect(decodeStreamMessage(encodeStreamMessage(message))).toEqual(message)
    const start = { kind: 'term', token: 't' } as const
    expect(decodeStreamMessage(encodeStreamMessage(start))).toEqual(start)
  })

  it.each([
    '',
    '[]',
    '{}',
    '{"kind":"batch","entries":[null]}',
    '{"kind":"batch","entries":[{"kind":"state","state":{}}]}',
  ])('%j is none of ours', body => expect(decodeStreamMessage(Buffer.from(body))).toBeUndefined())
})
