import { expect } from 'vitest'
import { idsOf } from '../inbox.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'

export const orderCases: readonly Case[] = [
  {
    name: 'delivers the oldest first',
    async run(lab) {
      const connection = await lab.connect()
      const ids = numbered('task', 30)
      for (const id of ids) await connection.broker.publish([publication(id)])
      expect(idsOf(await (await lab.consume(connection, { prefetch: 30 })).take(30))).toEqual(ids)
    },
  },
  {
    name: 'delivers the highest priority first, and of equals the oldest',
    needs: ['priorities'],
    async run(lab) {
      const connection = await lab.connect()
      const priorities = [0, 9, 3, 9, undefined, 3]
      await connection.broker.publish(priorities.map((priority, index) => publication(`${index}`, { priority })))
      const inbox = await lab.consume(connection, { prefetch: 1 })
      const seen: string[] = []
      for (const _ of priorities) {
        const delivery = await inbox.next()
        seen.push(...idsOf([delivery]))
        await inbox.settle(delivery)
      }
      expect(seen).toEqual(['1', '3', '2', '5', '0', '4'])
    },
  },
  {
    name: 'keeps the priority of a requeued message',
    needs: ['priorities'],
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('high', { priority: 5 }), publication('low')])
      const inbox = await lab.consume(connection, { prefetch: 1 })
      await inbox.settle(await inbox.next(), { kind: 'requeue' })
      expect(idsOf(await inbox.take(1))).toEqual(['high'])
    },
  },
  {
    name: 'holds a message back until its time, while others pass',
    needs: ['delay'],
    async run(lab) {
      const connection = await lab.connect()
      const inbox = await lab.consume(connection)
      const notBefore = Date.now() + 250
      await connection.broker.publish([publication('later', { notBefore, priority: 9 }), publication('now')])
      expect(idsOf(await inbox.take(1))).toEqual(['now'])
      expect(idsOf(await inbox.take(1))).toEqual(['later'])
      // the server's clock decides, and it may differ a little from ours
      expect(Date.now()).toBeGreaterThanOrEqual(notBefore - 50)
    },
  },
  {
    name: 'holds a message back for the whole seconds until its time, on publishing and on giving back',
    needs: ['delaySeconds'],
    async run(lab) {
      const connection = await lab.connect()
      const inbox = await lab.consume(connection)
      const publishedAt = Date.now()
      await connection.broker.publish([publication('later', { notBefore: publishedAt + 1500 }), publication('now')])
      const [now] = await inbox.take(1)
      if (now !== undefined) await inbox.settle(now, { kind: 'requeue', delayMs: 1000 })
      const [first, second] = await inbox.take(2)
      expect(idsOf([first, second].filter(each => each !== undefined)).sort()).toEqual(['later', 'now'])
      expect(Date.now()).toBeGreaterThanOrEqual(publishedAt + 1000)
    },
  },
  {
    name: 'delivers at once what was due in the past',
    needs: ['delaySeconds'],
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('due', { notBefore: Date.now() - 60_000 })])
      expect(idsOf(await (await lab.consume(connection)).take(1))).toEqual(['due'])
    },
  },
  {
    name: 'delivers by due time, not by age, and wakes for one that is due earlier',
    needs: ['delay'],
    async run(lab) {
      const connection = await lab.connect()
      const inbox = await lab.consume(connection)
      const now = Date.now()
      await connection.broker.publish([publication('far', { notBefore: now + 3_600_000 })])
      await connection.broker.publish([publication('third', { notBefore: now + 450 })])
      await connection.broker.publish([
        publication('first', { notBefore: now + 150 }),
        publication('second', { notBefore: now + 300 }),
      ])
      expect(idsOf(await inbox.take(3))).toEqual(['first', 'second', 'third'])
    },
  },
]
