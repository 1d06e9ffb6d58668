import { expect } from 'vitest'
import { idsOf } from '../inbox.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'

export const countCases: readonly Case[] = [
  {
    name: 'counts what is ready, delayed and unsettled through the life of messages',
    needs: ['counts', 'delay'],
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const stats = (): ReturnType<typeof b.broker.stats> => b.broker.stats('queue')
      expect(await stats()).toEqual({ queue: 'queue', ready: 0, delayed: 0, unsettled: 0 })
      const notBefore = Date.now() + 3_600_000
      await a.broker.publish([...numbered('task', 5).map(id => publication(id)), publication('later', { notBefore })])
      expect(await stats()).toEqual({ queue: 'queue', ready: 5, delayed: 1, unsettled: 0 })
      const inbox = await lab.consume(a, { prefetch: 2 })
      const [first, second] = await inbox.take(2)
      expect(await stats()).toEqual({ queue: 'queue', ready: 3, delayed: 1, unsettled: 2 })
      await inbox.close()
      if (first !== undefined) await inbox.settle(first)
      expect(await stats()).toEqual({ queue: 'queue', ready: 3, delayed: 1, unsettled: 1 })
      if (second !== undefined) await inbox.settle(second, { kind: 'requeue', delayMs: 3_600_000 })
      expect(await stats()).toEqual({ queue: 'queue', ready: 3, delayed: 2, unsettled: 0 })
    },
  },
  {
    name: 'counts neither parked messages nor those of other queues',
    needs: ['counts'],
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('a'), publication('b', { queue: 'other' })])
      const inbox = await lab.consume(connection)
      await inbox.settle(await inbox.next(), { kind: 'park', reason: 'because' })
      expect(await connection.broker.stats('queue')).toEqual({ queue: 'queue', ready: 0, delayed: 0, unsettled: 0 })
      expect(await connection.broker.stats('other')).toMatchObject({ ready: 1 })
    },
  },
]

export const purgeCases: readonly Case[] = [
  {
    name: 'removes what is ready, not what is held, and says how many',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.publish([
        ...numbered('task', 5).map(id => publication(id)),
        publication('kept', { queue: 'other' }),
      ])
      const inbox = await lab.consume(a, { prefetch: 2 })
      const [first, second] = await inbox.take(2)
      expect(await b.broker.purge('queue')).toBe(3)
      expect(await b.broker.purge('queue')).toBe(0)
      if (first !== undefined) expect(await inbox.settle(first)).toBe('settled')
      if (second !== undefined) await inbox.settle(second, { kind: 'requeue' })
      expect(idsOf(await inbox.take(1))).toEqual(['task-1'])
      expect(idsOf(await (await lab.consume(b, { queues: ['other'] })).take(1))).toEqual(['kept'])
      expect(inbox.seen.length).toBe(3)
    },
  },
  {
    name: 'removes what waits for its time, too',
    needs: ['delay'],
    async run(lab) {
      const { broker } = await lab.connect()
      await broker.publish([publication('later', { notBefore: Date.now() + 3_600_000 }), publication('now')])
      expect(await broker.purge('queue')).toBe(2)
    },
  },
  {
    name: 'finds nothing in a queue that nobody knows',
    async run(lab) {
      const { broker } = await lab.connect()
      expect(await broker.purge('unknown')).toBe(0)
    },
  },
]
