import { expect } from 'vitest'
import { idsOf } from '../inbox.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'

export const prefetchCases: readonly Case[] = [
  {
    name: 'holds no more than its prefetch, and takes one more for each settled',
    async run(lab) {
      const connection = await lab.connect()
      const ids = numbered('task', 12)
      await connection.broker.publish(ids.map(id => publication(id)))
      const inbox = await lab.consume(connection, { prefetch: 3 })
      const seen: string[] = []
      for (let count = 0; count < ids.length; count++) {
        const delivery = await inbox.next()
        seen.push(...idsOf([delivery]))
        expect(await inbox.settle(delivery)).toBe('settled')
      }
      expect(seen).toEqual(ids)
    },
  },
  {
    name: 'leaves to another what is over the prefetch',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const first = await lab.consume(a, { prefetch: 2 })
      await a.broker.publish(numbered('task', 5).map(id => publication(id)))
      await first.take(2)
      const second = await lab.consume(b, { prefetch: 10 })
      expect((await second.take(3)).length).toBe(3)
      expect(first.seen.length).toBe(2)
    },
  },
  {
    name: 'takes more at once when the prefetch grows, and no more until it fits when it shrinks',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish(numbered('task', 10).map(id => publication(id)))
      const inbox = await lab.consume(connection, { prefetch: 1 })
      const first = await inbox.next()
      inbox.setPrefetch(4)
      const more = await inbox.take(3)
      inbox.setPrefetch(2)
      await Promise.all([first, ...more].slice(0, 3).map(delivery => inbox.settle(delivery)))
      expect(idsOf(await inbox.take(1))).toEqual(['task-4'])
      expect(inbox.held.size).toBe(2)
    },
  },
  {
    name: 'hands out nothing at a prefetch of 0',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const idle = await lab.consume(a, { prefetch: 0 })
      await a.broker.publish([publication('task')])
      const busy = await lab.consume(b)
      await busy.settle(await busy.next())
      expect(idle.seen).toEqual([])
      await busy.close()
      await a.broker.publish([publication('next')])
      idle.setPrefetch(1)
      expect(idsOf(await idle.take(1))).toEqual(['next'])
    },
  },
  {
    name: 'takes nothing from a paused queue and goes on with the others',
    async run(lab) {
      const connection = await lab.connect()
      const inbox = await lab.consume(connection, { queues: ['paused', 'open'] })
      inbox.subscription.setPaused('paused', true)
      await connection.broker.publish([publication('p', { queue: 'paused' }), publication('o', { queue: 'open' })])
      expect(idsOf(await inbox.take(1))).toEqual(['o'])
      await connection.broker.publish([publication('o2', { queue: 'open' })])
      expect(idsOf(await inbox.take(1))).toEqual(['o2'])
      inbox.subscription.setPaused('paused', false)
      expect(idsOf(await inbox.take(1))).toEqual(['p'])
    },
  },
  {
    name: 'lets what is held of a paused queue be settled',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('held')])
      const inbox = await lab.consume(connection)
      const delivery = await inbox.next()
      inbox.subscription.setPaused('queue', true)
      expect(await inbox.settle(delivery)).toBe('settled')
    },
  },
]
