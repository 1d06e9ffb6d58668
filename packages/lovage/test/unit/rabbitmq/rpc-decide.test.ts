import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { ConsumeMessage } from 'amqplib'
import type { StateRecord, StoredState } from '../../../src/core/record.ts'
import { bringsNothing, judge, Replays, stamp } from '../../../src/drivers/rabbitmq/results/decide.ts'
import type { Arrival } from '../../../src/drivers/rabbitmq/results/decide.ts'
import { decodeInbox, questionType } from '../../../src/drivers/rabbitmq/results/inbox.ts'
import type { Known } from '../../../src/drivers/rabbitmq/results/projection.ts'
import { Shared } from '../../../src/drivers/rabbitmq/results/shared.ts'

const now = 1_790_000_000_000

function document(state: string, more: Partial<StateRecord> = {}): StateRecord {
  return { id: 'task', state, retries: 0, delivery: 0, seq: 0, at: 0, ...more }
}

/** The versions that documents get one after the other. */
function stamped(...states: readonly (string | Partial<StateRecord>)[]): readonly string[] {
  let current: StoredState | undefined
  return states.map(each => {
    const record = typeof each === 'string' ? document(each) : document(each.state ?? '', each)
    const { state, retries, delivery, seq, at } = stamp(record, current, now)
    current = { id: 'task', state, retries, delivery, seq, at, facts: {} }
    return `${state} ${retries}/${delivery}/${seq}`
  })
}

describe('documents without versions', () => {
  it.each([
    [
      ['PROGRESS', 'PROGRESS', 'SUCCESS'],
      ['PROGRESS 0/1/0', 'PROGRESS 0/1/1', 'SUCCESS 0/1/2'],
    ],
    [
      ['STARTED', 'PROGRESS', 'CUSTOM'],
      ['STARTED 0/1/0', 'PROGRESS 0/1/1', 'CUSTOM 0/1/2'],
    ],
    // RETRY closes an attempt, whatever comes next, and also where the next attempt shows nothing else
    [
      ['PROGRESS', 'RETRY', 'PROGRESS'],
      ['PROGRESS 0/1/0', 'RETRY 0/1/1', 'PROGRESS 1/1/0'],
    ],
    [
      ['RETRY', 'RETRY', 'SUCCESS'],
      ['RETRY 0/1/0', 'RETRY 1/1/0', 'SUCCESS 2/1/0'],
    ],
    // its worker died, another one began
    [
      ['STARTED', 'PROGRESS', 'STARTED', 'PROGRESS'],
      ['STARTED 0/1/0', 'PROGRESS 0/1/1', 'STARTED 0/2/0', 'PROGRESS 0/2/1'],
    ],
    // result_extended tells the retries
    [
      ['PROGRESS', { state: 'PROGRESS', retries: 3 }],
      ['PROGRESS 0/1/0', 'PROGRESS 3/1/0'],
    ],
  ] as const)('%j get their places by the order of arrival', (states, versions) => {
    expect(stamped(...states)).toEqual(versions)
  })

  it('have the time of their arrival, or of their end where they tell it', () => {
    expect(stamp(document('PROGRESS'), undefined, now).at).toBe(now)
    expect(stamp(document('SUCCESS', { at: 5 }), undefined, now).at).toBe(5)
    expect(stamp(document('SUCCESS'), undefined, now).at).toBe(now)
  })

  it('follow what our own side wrote first', () => {
    const pending: StoredState = { id: 'task', state: 'PENDING', retries: 0, delivery: 0, seq: 0, at: 1, facts: {} }
    expect(stamp(document('PROGRESS'), pending, now)).toMatchObject({ retries: 0, delivery: 1, seq: 0 })
  })
})

describe('the judgement', () => {
  const circumstances = { now, nextBorn: 7, wasReady: false }
  const arrival = (record: Partial<StateRecord> & { state: string }, mark = 'm', isVersioned = true): Arrival => ({
    record: { ...document(record.state), delivery: 1, ...record },
    isVersioned,
    mark,
  })
  const known = (state: string, more: Partial<StoredState> = {}, marks: readonly string[] = ['known']): Known => ({
    state: { id: 'task', state, retries: 0, delivery: 1, seq: 0, at: 1, facts: {}, ...more },
    born: 3,
    marks,
  })

  it('gives a new task its number, and leaves a known one its own', () => {
    expect(judge(arrival({ state: 'STARTED' }), undefined, circumstances).entry).toMatchObject({ born: 7, mark: 'm' })
    expect(judge(arrival({ state: 'PROGRESS' }), known('STARTED'), circumstances).entry).toMatchObject({ born: 3 })
  })

  it('keeps the first end', () => {
    expect(judge(arrival({ state: 'FAILURE' }), known('SUCCESS'), circumstances)).toEqual({
      entry: undefined,
      isKept: false,
    })
    expect(judge(arrival({ state: 'FAILURE' }, 'm', false), known('SUCCESS'), circumstances).isKept).toBe(false)
  })

  it('lets no late state bring back a ready task that memory dropped', () => {
    const late = { ...circumstances, wasReady: true }
    expect(judge(arrival({ state: 'PROGRESS' }), undefined, late)).toEqual({ entry: undefined, isKept: false })
  })

  it('says once more that it was kept to the writer who asks again', () => {
    expect(judge(arrival({ state: 'STARTED' }, 'known'), known('STARTED'), circumstances)).toEqual({
      entry: undefined,
      isKept: true,
    })
  })

  it('takes facts from what comes too late', () => {
    const late = arrival({ state: 'PENDING', delivery: 0, facts: { name: 'late', owner: 'me' } })
    const { entry, isKept } = judge(late, known('SUCCESS', { facts: { name: 'first' } }), circumstances)
    expect(isKept).toBe(false)
    expect(entry?.state).toMatchObject({ state: 'SUCCESS', facts: { name: 'first', owner: 'me' } })
    expect(
      judge(
        arrival({ state: 'PENDING', delivery: 0, facts: { name: 'x' } }),
        known('SUCCESS', { facts: { name: 'first' } }),
        circumstances,
      ).entry,
    ).toBeUndefined()
  })
})

describe('what comes again after a relay died', () => {
  it('is told from what says the same once more', () => {
    const replays = new Replays()
    const marks = ['5', '6', '5']
    const again = ['6', '5', '5', '7'].map(mark => replays.isReplay('task', mark, marks))
    expect(again).toEqual([true, true, false, false])
    // what is new by now has left its own mark
    expect(replays.isReplay('task', '7', [...marks, '7'])).toBe(false)
    expect(replays.isReplay('other', '6', marks)).toBe(true)
  })
})

describe('a message of the inbox', () => {
  const message = (body: string, properties: object = {}): ConsumeMessage =>
    ({ content: Buffer.from(body), properties: { contentType: 'application/json', ...properties } }) as ConsumeMessage

  it('of Celery’s worker is a document without versions', () => {
    const body =
      '{"status": "PROGRESS", "result": {"current": 1}, "traceback": null, "children": [], "date_done": null, "parent_id": "task", "task_id": "task"}'
    const decoded = decodeInbox(message(body))
    expect(decoded).toMatchObject({
      kind: 'document',
      arrival: { isVersioned: false, record: { id: 'task', state: 'PROGRESS', value: '{"current":1}', facts: {} } },
    })
    expect(decodeInbox(message(body))).toEqual(decoded)
    const compressed = {
      ...message('', { headers: { compression: 'application/x-gzip' } }),
      content: deflateSync(body),
    }
    expect(decodeInbox(compressed)).toMatchObject({
      arrival: { record: { state: 'PROGRESS', value: '{"current":1}' } },
    })
  })

  it.each([
    ['pickle', { contentType: 'application/x-python-serialize' }, /result_serializer = 'json'/],
    ['badly compressed', { headers: { compression: 'application/x-gzip' } }, /cannot be decompressed/],
    ['oddly compressed', { headers: { compression: 'application/x-bz2' } }, /gzip and zstd are/],
    ['no document', {}, /no result document/],
  ])('that is %s ends its task, and says what to change', (_what, properties, text) => {
    const decoded = decodeInbox(message('[]', { correlationId: 'task', ...properties }))
    expect(decoded).toMatchObject({ kind: 'document', arrival: { record: { id: 'task', state: 'FAILURE' } } })
    expect(decoded.kind === 'document' && decoded.arrival.record.value).toMatch(text)
  })

  it.each([
    '',
    '[]',
    'x',
    '{"kind":"else"}',
    '{"kind":"put"}',
    '{"kind":"forget","ids":1}',
    '{"kind":"put","puts":[null]}',
    '{"kind":"put","puts":[{"mark":"m","record":{"id":"x"}}]}',
  ])('%j is rubbish', body => {
    expect(decodeInbox(message(body, { type: questionType }))).toEqual({ kind: 'rubbish' })
    expect(decodeInbox(message(body))).toEqual({ kind: 'rubbish' })
  })

  it('of ours is a question, with a way back or without', () => {
    const properties = { type: questionType, replyTo: 'q', correlationId: '7' }
    expect(decodeInbox(message('{"kind":"fence"}', properties))).toEqual({
      kind: 'question',
      question: { kind: 'fence' },
      from: { queue: 'q', number: '7' },
    })
    expect(decodeInbox(message('{"kind":"begin","token":"t"}', { type: questionType }))).toMatchObject({
      from: undefined,
    })
  })
})

describe('shared work', () => {
  it('is done once for all of one moment, and anew for those who come while it runs', async () => {
    const running: PromiseWithResolvers<number>[] = []
    const shared = new Shared(() => {
      const each = Promise.withResolvers<number>()
      running.push(each)
      return each.promise
    })
    const first = shared.run()
    const [second, third] = [shared.run(), shared.run()]
    expect(running).toHaveLength(1)
    running[0]?.reject(new Error('lost'))
    await expect(first).rejects.toThrow('lost')
    expect(running).toHaveLength(2)
    running[1]?.resolve(2)
    expect(await Promise.all([second, third])).toEqual([2, 2])
    const fourth = shared.run()
    running[2]?.resolve(3)
    expect(await fourth).toBe(3)
  })
})

describe('a record that brings nothing', () => {
  const known: StoredState = { ...document('STARTED', { delivery: 1 }), facts: { name: 'task', queue: 'q' } }

  it.each<[string, StateRecord, boolean]>([
    [
      'is older, and all of its facts are known',
      document('PENDING', { facts: { name: 'task', owner: undefined } }),
      true,
    ],
    ['is older, and tells a fact', document('PENDING', { facts: { owner: 'me' } }), false],
    ['is newer', document('SUCCESS', { delivery: 1, seq: 1 }), false],
  ])('%s: it is written only for news', (_, record, isNothing) => {
    expect(bringsNothing(record, known)).toBe(isNothing)
  })
})
