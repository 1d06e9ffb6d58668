import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Connection } from '../../src/backend.ts'
import type { Delivery } from '../../src/broker.ts'
import { sleep, systemClock } from '../../src/core/clock.ts'
import { openSqlite, type SqliteOptions } from '../../src/drivers/sqlite/sqlite.ts'
import { Child, inspect, taskMessage, testFile, type TestFile } from './support/sqlite-tasks.ts'

let file: TestFile
const children: Child[] = []
const connections: Connection[] = []

beforeEach(() => {
  file = testFile()
})

afterEach(async () => {
  await Promise.all(children.splice(0).map(child => child.end()))
  await Promise.all(connections.splice(0).map(connection => connection.close()))
  file.remove()
})

function start(role: string, options: SqliteOptions = {}): Child {
  const child = new Child(role, file.url, options)
  children.push(child)
  return child
}

async function connect(options: SqliteOptions = {}): Promise<Connection> {
  const connection = openSqlite(file.url, options)
  connections.push(connection)
  await connection.broker.open()
  await connection.results.open()
  return connection
}

/** Consumes; `taken` resolves with the first `count` deliveries. */
async function consume({ broker }: Connection, count: number): Promise<{ readonly taken: Promise<Delivery[]> }> {
  const deliveries: Delivery[] = []
  const { promise: taken, resolve } = Promise.withResolvers<Delivery[]>()
  await broker.consume(['queue'], {
    prefetch: count,
    consumer: 'test@test',
    onDeliveries(batch) {
      deliveries.push(...batch)
      if (deliveries.length >= count) resolve(deliveries)
    },
  })
  return { taken }
}

async function take(connection: Connection, count: number): Promise<Delivery[]> {
  return (await consume(connection, count)).taken
}

describe('fault 37: a holder that is killed', { timeout: 30_000 }, () => {
  it('gives its messages back within 500 ms, and is blamed for each', async () => {
    const connection = await connect()
    await connection.broker.publish(['a', 'b', 'c'].map(id => taskMessage(id)))
    const holder = start('hold')
    await holder.until('held', 3)
    const { taken } = await consume(connection, 3)
    const diedAt = systemClock.monotonic()
    await holder.end()
    const [first] = await taken
    expect(systemClock.monotonic() - diedAt).toBeLessThan(500)
    expect(first).toMatchObject({ redelivered: true, deliveryCount: 2, crashCount: 1 })
  })

  it('leaves a sound file and exact counts', async () => {
    const connection = await connect()
    await connection.broker.publish(['a', 'b', 'c'].map(id => taskMessage(id)))
    const holder = start('hold')
    await holder.until('held', 3)
    await holder.end()
    const [delivery] = await take(connection, 1)
    expect(delivery).toBeDefined()
    expect(await connection.broker.stats('queue')).toEqual({ queue: 'queue', ready: 2, delayed: 0, unsettled: 1 })
    expect(inspect(file.path)).toEqual({ integrity: 'ok', miscounted: 0 })
  })
})

describe('fault 11: a holder that is stopped', { timeout: 30_000 }, () => {
  it('loses its messages when its lease ends, without blame, and gets none of them settled later', async () => {
    const connection = await connect({ leaseMs: 500 })
    await connection.broker.publish([taskMessage('a')])
    const worker = start('hold', { leaseMs: 500 })
    await worker.until('held')
    worker.process.kill('SIGSTOP')
    const [delivery] = await take(connection, 1)
    expect(delivery).toMatchObject({ redelivered: true, deliveryCount: 2, crashCount: 0 })
    worker.process.kill('SIGCONT')
    if (delivery === undefined) throw new Error('nothing was delivered')
    expect(await connection.broker.settle({ delivery, disposition: { kind: 'ack' } })).toBe('settled')
    expect(await connection.broker.stats('queue')).toEqual({ queue: 'queue', ready: 0, delayed: 0, unsettled: 0 })
  })

  it('takes messages again when it goes on', async () => {
    const connection = await connect({ leaseMs: 500 })
    await connection.broker.publish([taskMessage('a')])
    const worker = start('hold', { leaseMs: 500 })
    await worker.until('held')
    worker.process.kill('SIGSTOP')
    const [delivery] = await take(connection, 1)
    worker.process.kill('SIGCONT')
    if (delivery === undefined) throw new Error('nothing was delivered')
    await connection.broker.settle({ delivery, disposition: { kind: 'requeue', delayMs: 700 } })
    await connection.broker.close()
    await worker.until('held', 2)
    expect(worker.said('held')).toEqual(['a', 'a'])
  })
})

describe('a holder that was judged dead, goes on and dies', { timeout: 30_000 }, () => {
  it('leaves nothing behind that nobody gives back', async () => {
    const connection = await connect({ leaseMs: 500 })
    await connection.broker.publish([taskMessage('a')])
    const holder = start('hold', { leaseMs: 500 })
    await holder.until('held')
    holder.process.kill('SIGSTOP')
    const judge = await connect({ leaseMs: 500 })
    const [delivery] = await take(judge, 1)
    if (delivery === undefined) throw new Error('nothing was delivered')
    await judge.broker.settle({ delivery, disposition: { kind: 'ack' } })
    await judge.close()
    await connection.broker.publish(['b', 'c', 'd'].map(id => taskMessage(id)))
    holder.process.kill('SIGCONT')
    await holder.until('held', 4)
    await holder.end()
    const deliveries = await take(connection, 3)
    expect(deliveries.map(({ deliveryCount }) => deliveryCount)).toEqual([2, 2, 2])
  })
})

describe('a holder whose row among the owners is gone', { timeout: 15_000 }, () => {
  it('gives back what it held, so that nothing belongs to nobody', async () => {
    const connection = await connect({ leaseMs: 300 })
    await connection.broker.publish([taskMessage('a')])
    const { taken } = await consume(connection, 2)
    const db = new DatabaseSync(file.path, { timeout: 5000 })
    while (db.prepare('DELETE FROM owners').run().changes === 0) await sleep(systemClock, 10)
    db.close()
    expect((await taken).map(({ deliveryCount }) => deliveryCount)).toEqual([1, 2])
  })
})

describe('fault 37: two processes, killed again and again', { timeout: 120_000 }, () => {
  it('loses nothing that was accepted, and delivers nothing that was not sent', async () => {
    const rounds = 6
    const publishers: Child[] = []
    const workers: Child[] = []
    for (let round = 0; round < rounds; round++) {
      const [publisher, worker, other] = [start('publish'), start('work'), start('work')]
      publishers.push(publisher)
      workers.push(worker, other)
      await Promise.all([publisher.until('accepted', 50 + 37 * round), worker.until('received', 10 + 13 * round)])
      await publisher.end()
      await worker.end()
      await other.end()
    }
    const said = (all: Child[], word: string): Set<string> => new Set(all.flatMap(child => [...child.said(word)]))
    const [attempted, accepted] = [said(publishers, 'attempted'), said(publishers, 'accepted')]

    const drain = start('work')
    const connection = await connect()
    const isReady = async (id: string): Promise<boolean> => {
      const lookup = await connection.results.get(id)
      return lookup.kind === 'state' && lookup.state.state === 'SUCCESS'
    }
    while (true) {
      const { ready, unsettled = NaN } = await connection.broker.stats('queue')
      if (ready + unsettled === 0) break
      await sleep(systemClock, 20)
    }
    const ready = await Promise.all([...accepted].map(isReady))
    expect(accepted.size).toBeGreaterThan(300)
    expect([...accepted].filter((_, index) => ready[index] !== true)).toEqual([])
    expect([...said([...workers, drain], 'received')].filter(id => !attempted.has(id))).toEqual([])
    expect([...said([...workers, drain], 'lost')]).toEqual([])
    expect(inspect(file.path)).toEqual({ integrity: 'ok', miscounted: 0 })
  })
})

describe('a process that only sends', { timeout: 30_000 }, () => {
  it('ends by itself, without a close', async () => {
    const sender = start('send')
    const [code] = (await once(sender.process, 'close')) as [number]
    expect(code).toBe(0)
    expect(sender.said('accepted')).toEqual(['sent'])
    const connection = await connect()
    expect((await connection.broker.stats('queue')).ready).toBe(1)
  })
})
