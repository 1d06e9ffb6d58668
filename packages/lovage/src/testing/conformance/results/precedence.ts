import { expect } from 'vitest'
import type { StateRecord, StoredState } from '../../../core/record.ts'
import { compareVersions } from '../../../core/states.ts'
import type { ResultStore } from '../../../result-store.ts'
import { seededRandom } from '../seeded-random.ts'
import { record } from '../fixtures.ts'
import type { Case } from '../suite.ts'

type Version = readonly [state: string, retries: number, delivery: number, seq: number]

/** What is there, what comes, whether it is kept. */
const rows: readonly (readonly [Version, Version, boolean])[] = [
  [['PENDING', 0, 0, 0], ['RECEIVED', 0, 1, 0], true],
  [['RECEIVED', 0, 1, 0], ['STARTED', 0, 1, 0], true],
  [['STARTED', 0, 1, 0], ['RECEIVED', 0, 1, 9], false],
  [['STARTED', 0, 1, 5], ['PENDING', 0, 0, 9], false],
  [['PROGRESS', 0, 1, 1], ['PROGRESS', 0, 1, 2], true],
  [['PROGRESS', 0, 1, 2], ['PROGRESS', 0, 1, 1], false],
  [['PROGRESS', 0, 1, 2], ['PROGRESS', 0, 1, 2], false],
  [['PROGRESS', 0, 1, 1.5], ['UPLOADING', 0, 1, 1.75], true],
  [['UPLOADING', 0, 1, 3], ['PROGRESS', 0, 1, 2], false],
  [['PROGRESS', 0, 1, 99], ['STARTED', 0, 2, 0], true],
  [['PROGRESS', 0, 2, 0], ['PROGRESS', 0, 1, 99], false],
  [['PROGRESS', 0, 3, 99], ['RETRY', 0, 3, 0], true],
  [['RETRY', 0, 1, 0], ['PROGRESS', 0, 1, 99], false],
  [['RETRY', 0, 9, 9], ['PENDING', 1, 0, 0], true],
  [['STARTED', 1, 1, 0], ['RETRY', 0, 9, 9], false],
  [['STARTED', 2, 2, 2], ['SUCCESS', 0, 0, 0], true],
  [['STARTED', 2, 2, 2], ['REVOKED', 0, 0, 0], true],
  [['SUCCESS', 0, 1, 0], ['PROGRESS', 9, 9, 9], false],
  [['SUCCESS', 0, 1, 0], ['FAILURE', 9, 9, 9], false],
  [['FAILURE', 0, 1, 0], ['SUCCESS', 9, 9, 9], false],
  [['REVOKED', 0, 1, 0], ['SUCCESS', 9, 9, 9], false],
]

function versioned(id: string, [state, retries, delivery, seq]: Version): StateRecord {
  return record(id, state, { retries, delivery, seq, value: JSON.stringify(`${state} ${seq}`) })
}

async function stateOf(results: ResultStore, id: string): Promise<StoredState | undefined> {
  const found = await results.get(id)
  return found.kind === 'state' ? found.state : undefined
}

export const precedenceCases: readonly Case[] = [
  {
    name: 'keeps a record only if it is newer, by the table',
    needs: ['conditional'],
    async run(lab) {
      const { results } = await lab.connect()
      for (const [index, [before, next, isKept]] of rows.entries()) {
        const id = `task-${index}`
        const row = `${before.join(' ')} then ${next.join(' ')}`
        expect(await results.put(versioned(id, before)), row).toBe(true)
        expect(await results.put(versioned(id, next)), row).toBe(isKept)
        const { value, ...version } = versioned(id, isKept ? next : before)
        const { state, retries, delivery, seq } = version
        expect(await stateOf(results, id), row).toMatchObject({ id, state, retries, delivery, seq, value })
      }
    },
  },
  {
    name: 'ends at the newest whatever the order of arrival, from two connections',
    needs: ['conditional'],
    async run(lab) {
      const [a, b] = [(await lab.connect()).results, (await lab.connect()).results]
      const random = seededRandom(7)
      const pick = (count: number): number => Math.floor(random() * count)
      for (const id of ['a', 'b', 'c']) {
        const names = ['PENDING', 'RECEIVED', 'STARTED', 'PROGRESS', 'RETRY']
        const records = Array.from({ length: 30 }, () =>
          versioned(id, [names[pick(5)] ?? 'PENDING', pick(3), pick(3), pick(50)]),
        )
        await Promise.all(records.map((each, index) => (index % 2 === 0 ? a : b).put(each)))
        const newest = [...records].sort(compareVersions).at(-1)
        const { retries, delivery, seq } = newest ?? records[0] ?? record(id, '')
        const kept = await stateOf(b, id)
        expect(kept).toMatchObject({ retries, delivery, seq })
      }
    },
  },
  {
    name: 'keeps exactly one of 20 final records that come at once, and shows everybody the same',
    needs: ['conditional'],
    async run(lab) {
      const [a, b] = [(await lab.connect()).results, (await lab.connect()).results]
      const records = Array.from({ length: 20 }, (_, index) =>
        record('task', index % 2 === 0 ? 'SUCCESS' : 'FAILURE', { value: `${index}` }),
      )
      const kept = await Promise.all(records.map((each, index) => (index % 3 === 0 ? a : b).put(each)))
      expect(kept.filter(Boolean).length).toBe(1)
      const winner = records[kept.indexOf(true)]
      expect(await stateOf(a, 'task')).toMatchObject({ state: winner?.state, value: winner?.value })
      expect(await stateOf(b, 'task')).toEqual(await stateOf(a, 'task'))
    },
  },
]

export const factCases: readonly Case[] = [
  {
    name: 'gives back what was put, and nothing that was not',
    async run(lab) {
      const { results } = await lab.connect()
      const facts = {
        name: 'shop.export',
        queue: 'slow',
        queuedAt: 1_790_000_000_123,
        owner: 'user-1',
        tags: ['a', 'b "quoted"'],
        rootId: 'root',
        parentId: 'parent',
        replayOf: 'old',
        replyTo: 'reply-queue',
        correlationId: 'correlation',
      }
      const put = record('task', 'UPLOADING', {
        retries: 1,
        delivery: 2,
        seq: 3.5,
        at: 1_790_000_000_456,
        value: '{"ü":"✓"}',
        facts,
      })
      await results.put(put)
      expect(await stateOf(results, 'task')).toEqual(put)
      await results.put(record('bare', 'PENDING', { at: 1 }))
      expect(await stateOf(results, 'bare')).toEqual({
        id: 'bare',
        state: 'PENDING',
        retries: 0,
        delivery: 0,
        seq: 0,
        at: 1,
        facts: {},
      })
    },
  },
  {
    name: 'fills gaps of the facts and changes none',
    async run(lab) {
      const { results } = await lab.connect()
      await results.put(record('task', 'PENDING', { facts: { name: 'first', tags: ['x'] } }))
      await results.put(record('task', 'STARTED', { delivery: 1, facts: { name: 'second', owner: 'me', tags: ['y'] } }))
      await results.put(record('task', 'PROGRESS', { delivery: 1 }))
      expect((await stateOf(results, 'task'))?.facts).toEqual({ name: 'first', tags: ['x'], owner: 'me' })
    },
  },
  {
    name: 'fills gaps of the facts from a record that comes too late to be newer',
    needs: ['conditional'],
    async run(lab) {
      const { results } = await lab.connect()
      await results.put(record('task', 'SUCCESS', { delivery: 1, value: '1', facts: { name: 'known' } }))
      expect(await results.put(record('task', 'PENDING', { facts: { name: 'other', owner: 'me' } }))).toBe(false)
      expect(await stateOf(results, 'task')).toMatchObject({
        state: 'SUCCESS',
        value: '1',
        facts: { name: 'known', owner: 'me' },
      })
    },
  },
  {
    name: 'notes the first start of an attempt and when it became final',
    async run(lab) {
      const { results } = await lab.connect()
      const put = async (state: string, more: Partial<StateRecord>): Promise<StoredState | undefined> => {
        await results.put(record('task', state, more))
        return stateOf(results, 'task')
      }
      const pending = await put('PENDING', { at: 1000 })
      expect(pending?.startedAt).toBeUndefined()
      expect((await put('STARTED', { delivery: 1, at: 2000 }))?.startedAt).toBe(2000)
      expect((await put('PROGRESS', { delivery: 1, at: 3000 }))?.startedAt).toBe(2000)
      expect((await put('STARTED', { delivery: 2, at: 4000 }))?.startedAt).toBe(2000)
      expect((await put('RETRY', { delivery: 2, at: 5000 }))?.startedAt).toBe(2000)
      const next = await put('PENDING', { retries: 1, at: 5000 })
      expect(next?.startedAt).toBeUndefined()
      expect((await put('STARTED', { retries: 1, delivery: 1, at: 6000 }))?.startedAt).toBe(6000)
      const at = Date.now()
      const final = await put('SUCCESS', { retries: 1, delivery: 1, at })
      expect(final).toMatchObject({ startedAt: 6000, readyAt: at })
    },
  },
  {
    name: 'takes the start of an attempt from whatever record tells it first',
    async run(lab) {
      const { results } = await lab.connect()
      await results.put(record('a', 'PENDING', { at: 1000 }))
      await results.put(record('a', 'SUCCESS', { delivery: 1, startedAt: 2000, at: Date.now() }))
      expect((await stateOf(results, 'a'))?.startedAt).toBe(2000)
      await results.put(record('b', 'PROGRESS', { delivery: 1, startedAt: 3000, at: 4000 }))
      await results.put(record('b', 'STARTED', { delivery: 2, at: 5000 }))
      expect((await stateOf(results, 'b'))?.startedAt).toBe(3000)
    },
  },
  {
    name: 'lets a later state drop the value of the one before',
    async run(lab) {
      const { results } = await lab.connect()
      await results.put(record('task', 'PROGRESS', { value: '{"current":1}' }))
      await results.put(record('task', 'RETRY'))
      expect((await stateOf(results, 'task'))?.value).toBeUndefined()
    },
  },
  {
    name: 'answers for many ids in the order asked, absent ones too',
    needs: ['pointRead'],
    async run(lab) {
      const { results } = await lab.connect()
      await results.put(record('a', 'PENDING'))
      await results.put(record('b', 'SUCCESS'))
      const found = await results.getMany(['b', 'nobody', 'a', 'b'])
      expect(found.map(each => (each.kind === 'state' ? each.state.id : each.kind))).toEqual(['b', 'absent', 'a', 'b'])
      expect(await results.getMany([])).toEqual([])
      expect(await results.get('nobody')).toEqual({ kind: 'absent' })
    },
  },
]
