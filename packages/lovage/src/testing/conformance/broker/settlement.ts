import { expect } from 'vitest'
import { idsOf } from '../inbox.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'

export const settlementCases: readonly Case[] = [
  {
    name: 'never delivers an acknowledged message again, not even after a close',
    async run(lab) {
      const a = await lab.connect()
      await a.broker.publish([publication('done'), publication('left')])
      const first = await lab.consume(a)
      const [done] = await first.take(2)
      if (done !== undefined) expect(await first.settle(done)).toBe('settled')
      await a.close()
      const second = await lab.consume(await lab.connect())
      expect(idsOf(await second.take(1))).toEqual(['left'])
      expect(second.seen.length).toBe(1)
    },
  },
  {
    name: 'puts a requeued message back to its place, with a higher count',
    needs: ['keepsPlace'],
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish(numbered('task', 3).map(id => publication(id)))
      const inbox = await lab.consume(connection, { prefetch: 1 })
      expect(await inbox.settle(await inbox.next(), { kind: 'requeue' })).toBe('settled')
      const again = await inbox.next()
      expect(again).toMatchObject({ deliveryCount: 2, redelivered: true, crashCount: 0 })
      expect(idsOf([again])).toEqual(['task-0'])
      await inbox.settle(again)
      expect(idsOf(await inbox.take(1))).toEqual(['task-1'])
    },
  },
  {
    name: 'counts a crash for a message requeued after one, with a delay or without',
    async run(lab) {
      const connection = await lab.connect()
      const delays = connection.broker.capabilities.delay === true ? [0, 10] : [0]
      await connection.broker.publish([publication('suspect')])
      const inbox = await lab.consume(connection, { prefetch: 1 })
      for (const [crashes, delayMs] of delays.entries()) {
        const delivery = await inbox.next()
        expect(delivery.crashCount).toBe(crashes)
        await inbox.settle(delivery, { kind: 'requeue', delayMs, crashed: true })
      }
      expect((await inbox.next()).crashCount).toBe(delays.length)
    },
  },
  {
    name: 'does not deliver a message requeued with a delay before its time',
    needs: ['delay'],
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('later'), publication('now')])
      const inbox = await lab.consume(connection, { prefetch: 1 })
      const requeuedAt = Date.now()
      await inbox.settle(await inbox.next(), { kind: 'requeue', delayMs: 250 })
      const now = await inbox.next()
      expect(idsOf([now])).toEqual(['now'])
      await inbox.settle(now)
      const later = await inbox.next()
      expect(later).toMatchObject({ deliveryCount: 2, redelivered: true, crashCount: 0 })
      // the server's clock decides, and it may differ a little from ours
      expect(Date.now() - requeuedAt).toBeGreaterThanOrEqual(200)
    },
  },
  {
    name: 'gives a message back with a delay and with headers that the next one reads, beside those it had',
    needs: ['delay'],
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('told')])
      const inbox = await lab.consume(connection, { prefetch: 1 })
      const first = await inbox.next()
      for (const count of [1, 2]) {
        const delivery = count === 1 ? first : await inbox.next()
        await inbox.settle(delivery, { kind: 'requeue', delayMs: 10, headers: { lovage_unknown: count } })
      }
      const { headers, body } = (await inbox.next()).message
      expect(headers).toEqual({ ...first.message.headers, lovage_unknown: 2 })
      expect(body).toEqual(first.message.body)
    },
  },
  {
    name: 'publishes the successors of a settlement',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('parent')])
      const inbox = await lab.consume(connection, { queues: ['queue', 'next'] })
      const parent = await inbox.next()
      const successors = [publication('child', { queue: 'next' }), publication('parent')]
      expect(await inbox.settle(parent, { kind: 'ack' }, { successors })).toBe('settled')
      const deliveries = await inbox.take(2)
      expect(idsOf(deliveries).sort()).toEqual(['child', 'parent'])
      expect(deliveries.map(({ deliveryCount }) => deliveryCount)).toEqual([1, 1])
    },
  },
  {
    name: 'answers `lost` to a second settlement, whatever it says, and does nothing',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('once')])
      const inbox = await lab.consume(connection)
      const delivery = await inbox.next()
      expect(await inbox.settle(delivery)).toBe('settled')
      const successors = [publication('ghost')]
      expect(await inbox.settle(delivery, { kind: 'ack' }, { successors })).toBe('lost')
      expect(await inbox.settle(delivery, { kind: 'requeue' })).toBe('lost')
      expect(await inbox.settle(delivery, { kind: 'park', reason: 'late' })).toBe('lost')
      await connection.broker.publish([publication('marker')])
      expect(idsOf(await inbox.take(1))).toEqual(['marker'])
      expect((await connection.broker.parked()).items).toEqual([])
    },
  },
  {
    name: 'answers `lost` to the token of an earlier hand-over',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('twice')])
      const inbox = await lab.consume(connection)
      const first = await inbox.next()
      await inbox.settle(first, { kind: 'requeue' })
      const second = await inbox.next()
      expect(second.token).not.toBe(first.token)
      expect(await inbox.settle(first)).toBe('lost')
      expect(await inbox.settle(second)).toBe('settled')
    },
  },
  {
    name: 'lets exactly one of 50 concurrent settlements of a delivery through',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('contested')])
      const inbox = await lab.consume(connection)
      const delivery = await inbox.next()
      const outcomes = await Promise.all(
        numbered('child', 50).map(id => inbox.settle(delivery, { kind: 'ack' }, { successors: [publication(id)] })),
      )
      expect(outcomes.filter(outcome => outcome === 'settled').length).toBe(1)
      await connection.broker.publish([publication('marker')])
      const [child, marker] = await inbox.take(2)
      expect(idsOf([child, marker].filter(each => each !== undefined))).toEqual([
        expect.stringContaining('child-'),
        'marker',
      ])
    },
  },
  {
    name: 'lets exactly one of 50 concurrent settlements through when two connections send them',
    needs: ['lease'],
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.publish([publication('contested')])
      const delivery = await (await lab.consume(a)).next()
      const outcomes = await Promise.all(
        numbered('try', 50).map((_, index) =>
          (index % 2 === 0 ? a : b).broker.settle({ delivery, disposition: { kind: 'ack' } }),
        ),
      )
      expect(outcomes.filter(outcome => outcome === 'settled').length).toBe(1)
    },
  },
]
