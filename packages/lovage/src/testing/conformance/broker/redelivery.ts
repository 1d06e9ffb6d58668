import { expect } from 'vitest'
import type { Delivery } from '../../../broker.ts'
import { idOf, idsOf } from '../inbox.ts'
import type { Inbox } from '../inbox.ts'
import type { Lab } from '../lab.ts'
import { numbered, publication } from '../fixtures.ts'
import type { Case } from '../suite.ts'
import { shortLease } from '../suite.ts'

/** One message, held by somebody who died, now held by another connection. */
async function afterVanish(
  lab: Lab,
): Promise<{ readonly old: Delivery; readonly now: Delivery; readonly inbox: Inbox }> {
  const connection = await lab.connect()
  await connection.broker.publish([publication('task')])
  const holder = await lab.openHolder()
  const [old] = await holder.take('queue', 1)
  await holder.vanish()
  const inbox = await lab.consume(connection)
  const now = await inbox.next()
  if (old === undefined) throw new Error('The holder took nothing')
  return { old, now, inbox }
}

export const redeliveryCases: readonly Case[] = [
  {
    name: 'gives back at once what a closed connection held, without blame',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.publish(numbered('task', 3).map(id => publication(id)))
      await (await lab.consume(a)).take(3)
      const inbox = await lab.consume(b)
      await a.close()
      const again = await inbox.take(3)
      expect(idsOf(again).sort()).toEqual(numbered('task', 3))
      for (const each of again) expect(each).toMatchObject({ deliveryCount: 2, redelivered: true, crashCount: 0 })
    },
  },
  {
    name: 'delivers again what somebody held who vanished',
    needs: ['vanish'],
    options: shortLease,
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish(numbered('task', 4).map(id => publication(id)))
      const holder = await lab.openHolder()
      await holder.take('queue', 3)
      await holder.vanish()
      const inbox = await lab.consume(connection)
      const deliveries = await inbox.take(4)
      expect(idsOf(deliveries).sort()).toEqual(numbered('task', 4))
      const counts = Object.fromEntries(deliveries.map(each => [idOf(each), each.deliveryCount]))
      expect(counts).toEqual({ 'task-0': 2, 'task-1': 2, 'task-2': 2, 'task-3': 1 })
    },
  },
  {
    name: 'wakes a waiting consumer when a lease ends',
    needs: ['vanish'],
    options: shortLease,
    async run(lab) {
      const connection = await lab.connect()
      const holder = await lab.openHolder()
      const taken = holder.take('queue', 1)
      await connection.broker.publish([publication('task')])
      await taken
      const inbox = await lab.consume(connection)
      await holder.vanish()
      expect(idsOf(await inbox.take(1))).toEqual(['task'])
    },
  },
  {
    name: 'leaves to a living holder what it holds longer than a lease',
    needs: ['vanish', 'lease'],
    options: shortLease,
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.publish([publication('long')])
      const mine = await lab.consume(a, { prefetch: 1 })
      const long = await mine.next()
      // twice a lease passes: others vanish, and what they held comes back
      const others = await lab.consume(b, { prefetch: 2, queues: ['other'] })
      for (const id of ['first', 'second']) {
        const holder = await lab.openHolder()
        others.subscription.setPaused('other', true)
        await b.broker.publish([publication(id, { queue: 'other' })])
        await holder.take('other', 1)
        await holder.vanish()
        others.subscription.setPaused('other', false)
        expect(idsOf(await others.take(1))).toEqual([id])
      }
      const rival = await lab.consume(b)
      expect(await mine.settle(long)).toBe('settled')
      expect(rival.seen).toEqual([])
    },
  },
]

export const crashCases: readonly Case[] = [
  {
    name: 'blames the first holder that vanished, without being told that it started',
    needs: ['vanish', 'handOvers'],
    options: shortLease,
    async run(lab) {
      const { now } = await afterVanish(lab)
      expect(now).toMatchObject({ deliveryCount: 2, redelivered: true, crashCount: 1 })
    },
  },
  {
    name: 'does not blame a second holder that had not started it',
    needs: ['vanish', 'handOvers'],
    options: shortLease,
    async run(lab) {
      const { now, inbox } = await afterVanish(lab)
      const holder = await lab.openHolder()
      await inbox.close()
      const taken = holder.take('queue', 1)
      await inbox.settle(now, { kind: 'requeue' })
      expect(await taken).toMatchObject([{ deliveryCount: 3, crashCount: 1 }])
      await holder.vanish()
      const last = await (await lab.consume(await lab.connect())).next()
      expect(last).toMatchObject({ deliveryCount: 4, redelivered: true, crashCount: 1 })
    },
  },
  {
    name: 'blames a second holder that had started it',
    needs: ['vanish', 'handOvers'],
    options: shortLease,
    async run(lab) {
      const { now, inbox } = await afterVanish(lab)
      const holder = await lab.openHolder()
      await inbox.close()
      const taken = holder.take('queue', 1)
      await inbox.settle(now, { kind: 'requeue' })
      await holder.markStarted(await taken)
      await holder.vanish()
      const last = await (await lab.consume(await lab.connect())).next()
      expect(last).toMatchObject({ deliveryCount: 4, redelivered: true, crashCount: 2 })
    },
  },
  {
    name: 'counts a start only for the hand-over it was told for',
    needs: ['vanish', 'handOvers'],
    options: shortLease,
    async run(lab) {
      const { now, inbox } = await afterVanish(lab)
      const connection = await lab.connect()
      await connection.broker.markStarted([now])
      const holder = await lab.openHolder()
      await inbox.close()
      const taken = holder.take('queue', 1)
      await inbox.settle(now, { kind: 'requeue' })
      await taken
      await holder.vanish()
      expect(await (await lab.consume(connection)).next()).toMatchObject({ crashCount: 1 })
    },
  },
  {
    name: 'tells which of the deliveries to mark are no longer held',
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('gone'), publication('held')])
      const inbox = await lab.consume(connection)
      const [gone, held] = [await inbox.next(), await inbox.next()]
      await inbox.settle(gone)
      expect(idsOf(await connection.broker.markStarted([gone, held]))).toEqual(['gone'])
    },
  },
]

export const fencingCases: readonly Case[] = [
  {
    name: 'answers `lost` to who vanished, publishes nothing for it, and leaves the message to its new holder',
    needs: ['vanish', 'lease'],
    options: shortLease,
    async run(lab) {
      const { old, now, inbox } = await afterVanish(lab)
      const late = await lab.connect()
      const successors = [publication('ghost')]
      for (const disposition of [{ kind: 'ack' }, { kind: 'requeue' }, { kind: 'park', reason: 'late' }] as const) {
        expect(await late.broker.settle({ delivery: old, disposition, successors })).toBe('lost')
      }
      expect(await inbox.settle(now)).toBe('settled')
      await late.broker.publish([publication('marker')])
      expect(idsOf(await inbox.take(1))).toEqual(['marker'])
      expect((await late.broker.parked()).items).toEqual([])
    },
  },
]
