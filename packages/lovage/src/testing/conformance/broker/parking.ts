import { expect } from 'vitest'
import type { ParkedMessage } from '../../../broker.ts'
import { bodyText } from '../../../core/wire.ts'
import { idsOf } from '../inbox.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'

export const parkingCases: readonly Case[] = [
  {
    name: 'moves a parked delivery out of the queue, with reason, headers and body',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.publish([publication('poison'), publication('next')])
      const inbox = await lab.consume(a, { prefetch: 1 })
      const since = Date.now()
      expect(await inbox.settle(await inbox.next(), { kind: 'park', reason: 'It cannot be decoded' })).toBe('settled')
      const next = await inbox.next()
      expect(idsOf([next])).toEqual(['next'])
      const [parked, ...others] = (await b.broker.parked()).items
      expect(others).toEqual([])
      expect(parked).toMatchObject({ id: 'poison', queue: 'queue', reason: 'It cannot be decoded' })
      expect(parked?.message.headers).toEqual(publication('poison').message.headers)
      expect(bodyText(parked?.message.body ?? '')).toBe('[[],{},{}]')
      expect(Math.abs((parked?.parkedAt ?? 0) - since)).toBeLessThan(5000)
      await a.close()
      const rest = await lab.consume(b)
      expect(idsOf(await rest.take(1))).toEqual(['next'])
    },
  },
  {
    name: 'parks a message that is in no queue',
    async run(lab) {
      const { broker } = await lab.connect()
      await broker.park(publication('stray', { queue: 'elsewhere' }), 'Nobody knows it')
      expect((await broker.parked()).items).toMatchObject([
        { id: 'stray', queue: 'elsewhere', reason: 'Nobody knows it' },
      ])
    },
  },
  {
    name: 'lists the newest first, page by page, each once, and by queue',
    async run(lab) {
      const { broker } = await lab.connect()
      const ids = numbered('task', 7)
      for (const id of ids) await broker.park(publication(id, { queue: id === 'task-3' ? 'odd' : 'queue' }), 'because')
      const seen: ParkedMessage[] = []
      let cursor: string | undefined
      let pageCount = 0
      do {
        const page = await broker.parked({ limit: 3, cursor })
        seen.push(...page.items)
        cursor = page.cursor
        pageCount += 1
      } while (cursor !== undefined && pageCount < 10)
      expect(seen.map(({ id }) => id)).toEqual([...ids].reverse())
      expect(pageCount).toBe(3)
      expect((await broker.parked({ queue: 'odd' })).items.map(({ id }) => id)).toEqual(['task-3'])
    },
  },
  {
    name: 'gives a parked message to one of two takers, and only once',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.park(publication('wanted'), 'because')
      const parkedId = (await a.broker.parked()).items[0]?.parkedId ?? ''
      const takers = await Promise.all([a, b, a, b].map(({ broker }) => broker.takeParked(parkedId)))
      expect(takers.filter(each => each !== undefined)).toMatchObject([{ id: 'wanted', reason: 'because', parkedId }])
      expect(await b.broker.takeParked(parkedId)).toBeUndefined()
      expect((await b.broker.parked()).items).toEqual([])
    },
  },
]
