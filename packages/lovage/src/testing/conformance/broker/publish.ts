import { expect } from 'vitest'
import { idsOf } from '../inbox.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'

const yes = { accepted: 'yes' }

export const publishCases: readonly Case[] = [
  {
    name: 'answers with one outcome for each message, in order',
    async run(lab) {
      const { broker } = await lab.connect()
      const batch = numbered('task', 25).map(id => publication(id))
      expect(await broker.publish(batch)).toEqual(batch.map(() => yes))
      expect(await broker.publish([])).toEqual([])
    },
  },
  {
    name: 'refuses only the message that cannot be carried, and does not reject',
    async run(lab) {
      const connection = await lab.connect()
      const bad = publication('bad')
      const unwritable = { ...bad, message: { ...bad.message, headers: { id: 'bad', number: 1n } } }
      const outcomes = await connection.broker.publish([publication('before'), unwritable, publication('after')])
      expect(outcomes).toMatchObject([yes, { accepted: 'no', error: expect.any(Error) }, yes])
      const inbox = await lab.consume(connection)
      expect(idsOf(await inbox.take(2))).toEqual(['before', 'after'])
    },
  },
  {
    name: 'delivers a message that was published before anybody consumed',
    async run(lab) {
      const sender = await lab.connect()
      await sender.broker.publish([publication('early')])
      const inbox = await lab.consume(await lab.connect())
      expect(idsOf(await inbox.take(1))).toEqual(['early'])
    },
  },
  {
    name: 'wakes a consumer of another connection that has been waiting',
    async run(lab) {
      const inbox = await lab.consume(await lab.connect())
      const sender = await lab.connect()
      for (const id of numbered('task', 5)) {
        await sender.broker.publish([publication(id)])
        expect(idsOf(await inbox.take(1))).toEqual([id])
      }
    },
  },
  {
    name: 'delivers the same id 100 times when it was published 100 times',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish(Array.from({ length: 100 }, () => publication('same')))
      const inbox = await lab.consume(connection, { prefetch: 100 })
      const deliveries = await inbox.take(100)
      expect(new Set(idsOf(deliveries))).toEqual(new Set(['same']))
      expect(new Set(deliveries.map(({ token }) => token)).size).toBe(100)
      const outcomes = await Promise.all(deliveries.map(delivery => inbox.settle(delivery)))
      expect(outcomes).toEqual(outcomes.map(() => 'settled'))
    },
  },
  {
    name: 'takes publishes of one turn in the order of the calls',
    async run(lab) {
      const connection = await lab.connect()
      const ids = numbered('task', 40)
      await Promise.all(ids.map(id => connection.broker.publish([publication(id)])))
      const inbox = await lab.consume(connection, { prefetch: 40 })
      expect(idsOf(await inbox.take(40))).toEqual(ids)
    },
  },
  {
    name: 'makes its queues known, as declare and consume do',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.declare(['declared', 'declared'])
      await connection.broker.publish([publication('one', { queue: 'published' })])
      await lab.consume(connection, { queues: ['consumed'] })
      const other = await lab.connect()
      expect(await other.broker.queues()).toEqual(expect.arrayContaining(['declared', 'published', 'consumed']))
    },
  },
]
