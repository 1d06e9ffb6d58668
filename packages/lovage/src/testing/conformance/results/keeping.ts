import { expect } from 'vitest'
import type { StoredState } from '../../../core/record.ts'
import { LovageError } from '../../../core/errors.ts'
import type { ListQuery, ResultStore } from '../../../result-store.ts'
import { numbered, record } from '../fixtures.ts'
import { leavesNothingOpen } from '../resources.ts'
import type { Case } from '../suite.ts'
import { inTime } from '../waits.ts'

async function idsOf(results: ResultStore, query?: ListQuery): Promise<readonly string[]> {
  return (await results.list(query)).items.map(({ id }) => id)
}

export const listCases: readonly Case[] = [
  {
    name: 'lists the newest task first, and a change of state does not move it',
    async run(lab) {
      const { results } = await lab.connect()
      const at = Date.now()
      const ids = numbered('task', 4)
      for (const [index, id] of ids.entries()) {
        await results.put(record(id, 'PENDING', { at: at + index, facts: { queuedAt: at + index } }))
      }
      await results.put(record('task-0', 'SUCCESS', { at: at + 100, delivery: 1 }))
      expect(await idsOf(results)).toEqual([...ids].reverse())
    },
  },
  {
    name: 'lists by state, name, queue, owner and tag, and by several of them',
    async run(lab) {
      const { results } = await lab.connect()
      const facts = { name: 'n', queue: 'q', owner: 'o', tags: ['t', 'u'] }
      await results.put(record('all', 'SUCCESS', { facts }))
      await results.put(record('name', 'PENDING', { facts: { ...facts, name: 'other' } }))
      await results.put(record('queue', 'STARTED', { facts: { ...facts, queue: 'other' } }))
      await results.put(record('owner', 'FAILURE', { facts: { ...facts, owner: 'other' } }))
      await results.put(record('tags', 'RETRY', { facts: { ...facts, tags: ['tt'] } }))
      await results.put(record('bare', 'SUCCESS'))
      const sorted = async (query: ListQuery): Promise<readonly string[]> => [...(await idsOf(results, query))].sort()
      expect(await sorted({ name: 'n' })).toEqual(['all', 'owner', 'queue', 'tags'])
      expect(await sorted({ queue: 'other' })).toEqual(['queue'])
      expect(await sorted({ owner: 'o' })).toEqual(['all', 'name', 'queue', 'tags'])
      expect(await sorted({ tag: 't' })).toEqual(['all', 'name', 'owner', 'queue'])
      expect(await sorted({ states: ['SUCCESS', 'RETRY'] })).toEqual(['all', 'bare', 'tags'])
      expect(await sorted({ states: ['SUCCESS'], name: 'n', tag: 'u', owner: 'o', queue: 'q' })).toEqual(['all'])
      expect(await sorted({ owner: "o' OR 1=1 --" })).toEqual([])
    },
  },
  {
    name: 'lists page by page, each task once, although new ones come in between',
    async run(lab) {
      const { results } = await lab.connect()
      const ids = numbered('task', 7)
      for (const id of ids) await results.put(record(id, 'PENDING', { facts: { name: 'n' } }))
      const seen: StoredState[] = []
      let cursor: string | undefined
      let pageCount = 0
      do {
        const page = await results.list({ name: 'n', limit: 3, cursor })
        seen.push(...page.items)
        cursor = page.cursor
        await results.put(record(`new-${pageCount}`, 'PENDING', { facts: { name: 'n' } }))
        pageCount += 1
      } while (cursor !== undefined && pageCount < 10)
      expect(seen.map(({ id }) => id)).toEqual([...ids].reverse())
      expect(pageCount).toBe(3)
    },
  },
]

const keepMs = 60_000

export const expiryCases: readonly Case[] = [
  {
    name: 'prunes final records when their time is over, and never unready ones',
    needs: ['retention'],
    options: { leaseMs: 30_000, resultExpiresMs: keepMs },
    async run(lab) {
      const { results } = await lab.connect()
      const at = Date.now()
      await results.put(record('unready', 'STARTED', { at }))
      await results.put(record('default', 'SUCCESS', { at }))
      await results.put(record('longer', 'FAILURE', { at, keepMs: 10 * keepMs }))
      expect(await results.prune(at + keepMs - 10_000)).toBe(0)
      expect(await results.prune(at + keepMs + 10_000)).toBe(1)
      expect((await results.get('default')).kind).not.toBe('state')
      expect(await results.prune(at + 100 * keepMs)).toBe(1)
      expect(await idsOf(results)).toEqual(['unready'])
    },
  },
  {
    name: 'forgets ready tasks, leaves unready ones, and says how many',
    async run(lab) {
      const [a, b] = [(await lab.connect()).results, (await lab.connect()).results]
      await a.put(record('done', 'SUCCESS'))
      await a.put(record('failed', 'FAILURE'))
      await a.put(record('running', 'STARTED'))
      expect(await b.forget(['done', 'running', 'nobody', 'failed'])).toBe(2)
      expect(await b.forget(['done'])).toBe(0)
      expect((await a.get('done')).kind).not.toBe('state')
      expect(await idsOf(a)).toEqual(['running'])
    },
  },
]

export const resultLifecycleCases: readonly Case[] = [
  {
    name: 'says the capabilities that its conformance file declares',
    async run(lab) {
      expect((await lab.connect()).results.capabilities).toEqual(lab.driver.results)
    },
  },
  {
    name: 'keeps what was put when every connection is closed',
    async run(lab) {
      const first = await lab.connect()
      await first.results.put(record('task', 'SUCCESS', { value: '1' }))
      await first.close()
      expect(await (await lab.connect()).results.get('task')).toMatchObject({ kind: 'state', state: { value: '1' } })
    },
  },
  {
    name: 'shows nothing after the close, and refuses calls',
    async run(lab) {
      const [connection, other] = [await lab.connect(), await lab.connect()]
      const seen: StoredState[] = []
      await connection.results.watch(['task'], { onState: state => seen.push(state) })
      const witness = Promise.withResolvers<void>()
      await other.results.watch(['task'], { onState: () => witness.resolve() })
      await connection.close()
      await connection.close()
      await other.results.put(record('task', 'SUCCESS'))
      await inTime(witness.promise, 'what the other watch shows')
      expect(seen).toEqual([])
      await expect(inTime(connection.results.get('task'), 'a refusal')).rejects.toBeInstanceOf(LovageError)
    },
  },
  {
    name: 'leaves no timer, thread or handle behind',
    async run(lab) {
      await leavesNothingOpen(async () => {
        const connection = await lab.connect()
        await connection.results.watch(['task'], { onState: () => undefined })
        await connection.results.put(record('task', 'SUCCESS'))
        await connection.close()
      })
    },
  },
]
