import { expect } from 'vitest'
import type { Connection } from '../../../backend.ts'
import type { StoredState } from '../../../core/record.ts'
import { publication, record } from '../fixtures.ts'
import type { Case } from '../suite.ts'
import { shortLease } from '../suite.ts'
import { inTime } from '../waits.ts'

async function stateOf({ results }: Connection, id: string): Promise<StoredState | undefined> {
  const found = await results.get(id)
  return found.kind === 'state' ? found.state : undefined
}

const needs = ['atomicSettle'] as const

export const atomicSettleCases: readonly Case[] = [
  {
    name: 'writes the record of a publication with it',
    needs,
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const facts = { name: 'shop.export', queue: 'queue', owner: 'user-1', tags: ['x'] }
      await a.broker.publish([publication('task', { record: record('task', 'PENDING', { facts }) })])
      expect(await stateOf(b, 'task')).toMatchObject({ state: 'PENDING', facts })
    },
  },
  {
    name: 'writes the record of a settlement and those of its successors with it',
    needs,
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.publish([publication('task', { record: record('task', 'PENDING') })])
      const inbox = await lab.consume(a)
      const successors = [publication('child', { record: record('child', 'PENDING') })]
      const final = record('task', 'SUCCESS', { delivery: 1, value: '42' })
      expect(await inbox.settle(await inbox.next(), { kind: 'ack' }, { successors, record: final })).toBe('settled')
      expect(await stateOf(b, 'task')).toMatchObject({ state: 'SUCCESS', value: '42', readyAt: final.at })
      expect(await stateOf(b, 'child')).toMatchObject({ state: 'PENDING' })
    },
  },
  {
    name: 'settles although the record is not newer, and keeps the older one',
    needs,
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('task')])
      await connection.results.put(record('task', 'REVOKED', { value: '"first"' }))
      const inbox = await lab.consume(connection)
      const late = record('task', 'SUCCESS', { delivery: 1, value: '"second"' })
      expect(await inbox.settle(await inbox.next(), { kind: 'ack' }, { record: late })).toBe('settled')
      expect(await stateOf(connection, 'task')).toMatchObject({ state: 'REVOKED', value: '"first"' })
    },
  },
  {
    name: 'does not set a final task back when a message of its id is published',
    needs,
    async run(lab) {
      const connection = await lab.connect()
      await connection.results.put(record('task', 'SUCCESS', { value: '1' }))
      await connection.broker.publish([publication('task', { record: record('task', 'PENDING', { retries: 3 }) })])
      expect(await stateOf(connection, 'task')).toMatchObject({ state: 'SUCCESS', value: '1' })
    },
  },
  {
    name: 'takes a final record with a lost settlement when the task had none, and only a final one',
    needs: ['atomicSettle', 'lease', 'vanish'],
    options: shortLease,
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('task', { record: record('task', 'PENDING') })])
      const holder = await lab.openHolder()
      const [old] = await holder.take('queue', 1)
      await holder.vanish()
      const inbox = await lab.consume(connection)
      const now = await inbox.next()
      if (old === undefined) throw new Error('The holder took nothing')
      const lost = (state: string, value: string): ReturnType<typeof connection.broker.settle> =>
        connection.broker.settle({
          delivery: old,
          disposition: { kind: 'ack' },
          record: record('task', state, { delivery: 1, seq: 9, value }),
        })
      expect(await lost('RETRY', '"no"')).toBe('lost')
      expect(await stateOf(connection, 'task')).toMatchObject({ state: 'PENDING' })
      expect(await lost('SUCCESS', '"first"')).toBe('lost')
      expect(await lost('FAILURE', '"second"')).toBe('lost')
      const own = record('task', 'FAILURE', { delivery: 2, value: '"third"' })
      expect(await inbox.settle(now, { kind: 'ack' }, { record: own })).toBe('settled')
      expect(await stateOf(connection, 'task')).toMatchObject({ state: 'SUCCESS', value: '"first"' })
    },
  },
  {
    name: 'does nothing when something is to follow from a record, and the task is final already',
    needs,
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('task', { record: record('task', 'PENDING') })])
      const inbox = await lab.consume(connection)
      const delivery = await inbox.next()
      await connection.results.put(record('task', 'SUCCESS', { delivery: 1, value: '1' }))
      const own = record('task', 'SUCCESS', { delivery: 2, value: '2' })
      const successors = [publication('child', { queue: 'children' })]
      expect(await inbox.settle(delivery, { kind: 'ack' }, { record: own, successors })).toBe('overtaken')
      expect(await connection.broker.queues()).not.toContain('children')
      // what follows from the kept state is settled with no record of its own
      expect(await inbox.settle(delivery, { kind: 'ack' }, { successors })).toBe('settled')
      expect(await connection.broker.queues()).toContain('children')
      expect(await stateOf(connection, 'task')).toMatchObject({ state: 'SUCCESS', value: '1' })
    },
  },
  {
    name: 'lets no record of a lost settlement pass that is older than what is there',
    needs,
    async run(lab) {
      const connection = await lab.connect()
      await connection.broker.publish([publication('task')])
      const inbox = await lab.consume(connection)
      const delivery = await inbox.next()
      const retry = record('task', 'RETRY', { delivery: 1 })
      expect(await inbox.settle(delivery, { kind: 'requeue' }, { record: retry })).toBe('settled')
      const late = record('task', 'STARTED', { delivery: 7 })
      expect(await inbox.settle(delivery, { kind: 'ack' }, { record: late })).toBe('lost')
      expect(await stateOf(connection, 'task')).toMatchObject({ state: 'RETRY', delivery: 1 })
    },
  },
  {
    name: 'tells those who watch of the record of a settlement',
    needs,
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.publish([publication('task', { record: record('task', 'PENDING') })])
      const { promise, resolve } = Promise.withResolvers<StoredState>()
      const end = await b.results.watch(['task'], {
        onState: state => {
          if (state.state === 'SUCCESS') resolve(state)
        },
      })
      const inbox = await lab.consume(a)
      await inbox.settle(await inbox.next(), { kind: 'ack' }, { record: record('task', 'SUCCESS', { delivery: 1 }) })
      expect((await inTime(promise, 'SUCCESS')).id).toBe('task')
      end()
    },
  },
  {
    name: 'turns the records of purged messages into REVOKED, and no others',
    needs,
    async run(lab) {
      const connection = await lab.connect()
      const ids = ['held', 'ready', 'final']
      await connection.broker.publish(ids.map(id => publication(id, { record: record(id, 'PENDING') })))
      await connection.broker.publish([publication('unrecorded')])
      await connection.results.put(record('final', 'SUCCESS'))
      const inbox = await lab.consume(connection, { prefetch: 1 })
      await inbox.take(1)
      expect(await connection.broker.purge('queue')).toBe(3)
      const revoked = await stateOf(connection, 'ready')
      expect(revoked).toMatchObject({ state: 'REVOKED', readyAt: expect.any(Number) })
      expect(JSON.parse(revoked?.value ?? '{}')).toMatchObject({
        type: 'TaskRevokedError',
        reason: 'revoked',
        retryable: false,
      })
      expect(await stateOf(connection, 'held')).toMatchObject({ state: 'PENDING' })
      expect(await stateOf(connection, 'final')).toMatchObject({ state: 'SUCCESS' })
    },
  },
]
