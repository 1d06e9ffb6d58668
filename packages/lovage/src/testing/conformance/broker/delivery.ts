import { expect } from 'vitest'
import { bodyBytes, bodyText } from '../../../core/wire.ts'
import { idOf, idsOf } from '../inbox.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'
import { inTime } from '../waits.ts'

const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte)

export const deliveryCases: readonly Case[] = [
  {
    name: 'gives headers, properties and a text body as they went in',
    async run(lab) {
      const connection = await lab.connect()
      const headers = { id: 'a', n: 1.5, none: null, list: [1, 'x', { deep: true }], ключ: '✓ "quoted" \u0000\n' }
      const properties = {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        correlationId: 'a',
        replyTo: 'somewhere',
        priority: 3,
        deliveryMode: 2,
      }
      await connection.broker.publish([publication('a', { message: { properties, headers, body: '["ü✓",{}]' } })])
      const { message, queue } = await (await lab.consume(connection)).next()
      expect(queue).toBe('queue')
      expect(message.headers).toEqual(headers)
      expect(message.properties).toMatchObject(properties)
      expect(bodyText(message.body)).toBe('["ü✓",{}]')
    },
  },
  {
    name: 'gives every byte of a binary body as it went in',
    async run(lab) {
      const connection = await lab.connect()
      const properties = { contentType: 'application/x-msgpack', contentEncoding: 'binary' }
      const large = new Uint8Array(300_000).fill(7)
      const bodies = [everyByte, new Uint8Array(0), large]
      await connection.broker.publish(
        bodies.map((body, index) => publication('a', { message: { properties, headers: { index }, body } })),
      )
      const inbox = await lab.consume(connection)
      const got = (await inbox.take(3)).map(({ message }) =>
        Buffer.from(bodyBytes(message.body)).equals(Buffer.from(bodies[Number(message.headers['index'])] ?? [])),
      )
      expect(got).toEqual([true, true, true])
    },
  },
  {
    name: 'counts the first hand-over as 1, neither redelivered nor crashed',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('a')])
      const delivery = await (await lab.consume(connection)).next()
      expect(delivery).toMatchObject({ deliveryCount: 1, redelivered: false, crashCount: 0 })
    },
  },
  {
    name: 'hands each message to exactly one of two competing connections',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const ids = numbered('task', 200)
      const settled: string[] = []
      const { promise, resolve } = Promise.withResolvers<void>()
      const consumeAll = async (connection: typeof a): Promise<void> => {
        const inbox = await lab.consume(connection, {
          prefetch: 7,
          onDeliveries: batch => {
            for (const delivery of batch) void settleOne(delivery)
          },
        })
        async function settleOne(delivery: (typeof inbox.seen)[number]): Promise<void> {
          await Promise.resolve()
          if ((await inbox.settle(delivery)) === 'settled') settled.push(idOf(delivery))
          if (settled.length >= ids.length) resolve()
        }
      }
      await Promise.all([consumeAll(a), consumeAll(b)])
      await a.broker.publish(ids.map(id => publication(id)))
      await inTime(promise, `200 messages settled by two connections`)
      expect(settled.sort()).toEqual([...ids].sort())
    },
  },
  {
    name: 'delivers from all queues of a subscription, and from no other',
    async run(lab) {
      const connection = await lab.connect()
      const inbox = await lab.consume(connection, { queues: ['left', 'right'] })
      await connection.broker.publish([
        publication('elsewhere', { queue: 'other' }),
        publication('l', { queue: 'left' }),
        publication('r', { queue: 'right' }),
      ])
      const deliveries = await inbox.take(2)
      expect(deliveries.map(delivery => `${delivery.queue}: ${idOf(delivery)}`).sort()).toEqual(['left: l', 'right: r'])
      const other = await lab.consume(connection, { queues: ['other'] })
      expect(idsOf(await other.take(1))).toEqual(['elsewhere'])
      expect(inbox.seen.length).toBe(2)
    },
  },
  {
    name: 'closes the subscription of a listener that throws, and tells it',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const { promise: ended, resolve } = Promise.withResolvers<Error>()
      const fault = new Error('a bug in the listener')
      const inbox = await lab.consume(a, {
        prefetch: 1,
        onEnd: resolve,
        onDeliveries: () => {
          throw fault
        },
      })
      await a.broker.publish([publication('first')])
      const delivery = await inbox.next()
      expect((await inTime(ended, 'onEnd')).message).toContain('a bug in the listener')
      inbox.expectSilence()
      expect(await inbox.settle(delivery)).toBe('settled')
      await a.broker.publish([publication('second')])
      expect(idsOf(await (await lab.consume(b)).take(1))).toEqual(['second'])
    },
  },
]
