import { expect } from 'vitest'
import { LovageError } from '../../../core/errors.ts'
import { idsOf } from '../inbox.ts'
import { publication } from '../fixtures.ts'
import { leavesNothingOpen } from '../resources.ts'
import type { Case } from '../suite.ts'
import { inTime } from '../waits.ts'

export const lifecycleCases: readonly Case[] = [
  {
    name: 'opens twice and closes twice as once',
    async run(lab) {
      const connection = await lab.connect()
      await Promise.all([connection.broker.open(), connection.broker.open()])
      await connection.broker.publish([publication('task')])
      await Promise.all([connection.close(), connection.close()])
      await connection.close()
    },
  },
  {
    name: 'says the capabilities that its conformance file declares',
    async run(lab) {
      const { broker } = await lab.connect()
      expect(broker.capabilities).toEqual(lab.driver.broker)
    },
  },
  {
    name: 'describes itself for people',
    async run(lab) {
      const { description } = await lab.connect()
      expect(description).toMatch(/^\S+$/)
    },
  },
  {
    name: 'keeps what was accepted when every connection is closed',
    async run(lab) {
      const first = await lab.connect()
      await first.broker.publish([publication('held'), publication('waiting')])
      await (await lab.consume(first, { prefetch: 1 })).take(1)
      await first.close()
      const inbox = await lab.consume(await lab.connect())
      expect(idsOf(await inbox.take(2))).toEqual(['held', 'waiting'])
    },
  },
  {
    name: 'delivers nothing after a subscription was closed, and leaves what is held to be settled',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const closed = await lab.consume(a, { prefetch: 10 })
      await a.broker.publish([publication('before')])
      const held = await closed.next()
      await closed.close()
      await closed.subscription.close()
      await b.broker.publish([publication('after')])
      const inbox = await lab.consume(b)
      expect(idsOf(await inbox.take(1))).toEqual(['after'])
      expect(await closed.settle(held)).toBe('settled')
    },
  },
  {
    name: 'goes on with the other subscriptions of a connection when one is closed',
    async run(lab) {
      const connection = await lab.connect()
      const [left, right] = [
        await lab.consume(connection, { queues: ['left'] }),
        await lab.consume(connection, { queues: ['right'] }),
      ]
      await left.close()
      await connection.broker.publish([publication('task', { queue: 'right' })])
      expect(idsOf(await right.take(1))).toEqual(['task'])
    },
  },
  {
    name: 'refuses calls after the close with an error of ours',
    async run(lab) {
      const connection = await lab.connect()
      const other = await lab.connect()
      await connection.broker.publish([publication('task')])
      const delivery = await (await lab.consume(connection)).next()
      await connection.close()
      const { broker } = connection
      const calls: readonly (() => Promise<unknown>)[] = [
        () => broker.publish([publication('late')]),
        () => broker.settle({ delivery, disposition: { kind: 'ack' } }),
        () => broker.consume(['queue'], { prefetch: 1, consumer: 'late@host', onDeliveries: () => undefined }),
        () => broker.stats('queue'),
      ]
      for (const call of calls) await expect(inTime(call(), 'a refusal')).rejects.toBeInstanceOf(LovageError)
      expect(idsOf(await (await lab.consume(other)).take(1))).toEqual(['task'])
    },
  },
  {
    name: 'leaves no timer, thread or handle behind',
    async run(lab) {
      await leavesNothingOpen(async () => {
        const connection = await lab.connect()
        const stop = await connection.broker.listen('events.*', () => undefined)
        const inbox = await lab.consume(connection)
        await connection.broker.publish([publication('task'), publication('more')])
        await inbox.settle(await inbox.next())
        await stop()
        await connection.close()
      })
    },
  },
]
