import fc from 'fast-check'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect } from 'vitest'
import type { Connection } from '../../src/backend.ts'
import type { Delivery, Disposition } from '../../src/broker.ts'
import type { StateRecord } from '../../src/core/record.ts'
import { openMemory } from '../../src/drivers/memory/memory.ts'
import { openSqlite } from '../../src/drivers/sqlite/sqlite.ts'
import { fuzz, property } from './support/fuzz.ts'
import { anyText, jsonText } from './support/wire-values.ts'

/** Far away: what is delayed stays so while a case is played. */
const hourMs = 3_600_000
const clearers: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const clear of clearers) await clear()
})

interface Pair {
  readonly memory: Connection
  readonly sqlite: Connection
}

/** Opened by the first case; each case has queues, ids and keys of its own. */
function once(): () => Promise<Pair> {
  let opened: Promise<Pair> | undefined
  return () => (opened ??= open())
}

async function open(): Promise<Pair> {
  const folder = mkdtempSync(join(tmpdir(), 'lovage-fuzz-'))
  const pair = {
    memory: openMemory(new URL('memory:')),
    sqlite: openSqlite(new URL(`sqlite://${pathToFileURL(join(folder, 'queue.db')).pathname}`)),
  }
  for (const { broker, results, coordination } of Object.values(pair)) {
    await broker.open()
    await results.open()
    await coordination.open()
  }
  clearers.push(async () => {
    await pair.memory.close()
    await pair.sqlite.close()
    rmSync(folder, { recursive: true })
  })
  return pair
}

/** The text of ids and names; a lone surrogate is no text that a database keeps. */
const text = anyText.map(any => any.toWellFormed())

const disposition: fc.Arbitrary<Disposition> = fc.oneof(
  fc.constant<Disposition>({ kind: 'ack' }),
  fc.constant<Disposition>({ kind: 'requeue' }),
  fc.constant<Disposition>({ kind: 'requeue', crashed: true }),
  fc.constant<Disposition>({ kind: 'requeue', delayMs: hourMs }),
  fc.record({ kind: fc.constant('park' as const), reason: text }),
)

const record = fc.record(
  {
    state: fc.oneof(fc.constantFrom('PENDING', 'STARTED', 'PROGRESS', 'RETRY', 'SUCCESS', 'FAILURE', 'REVOKED'), text),
    retries: fc.nat(2),
    delivery: fc.nat(2),
    seq: fc.oneof(
      fc.nat(5),
      fc.double({ min: -1e9, max: 1e9, noNaN: true }).map(seq => seq + 0),
    ),
    at: fc.nat(2_000_000_000_000),
    value: jsonText.filter(value => value.length < 1000 && value.isWellFormed()),
    facts: fc.record({ name: text, owner: text, tags: fc.array(text, { maxLength: 2 }) }, { requiredKeys: [] }),
  },
  { requiredKeys: ['state', 'retries', 'delivery', 'seq', 'at'] },
)

type Command =
  | readonly ['publish', priority: number, delayed: boolean, body: string | Uint8Array]
  | readonly ['take', count: number]
  | readonly ['settle', which: number, disposition: Disposition, record?: Omit<StateRecord, 'id'> | null]
  | readonly ['put', id: number, record: Omit<StateRecord, 'id'>]
  | readonly ['forget', id: number]
  | readonly ['purge']
  | readonly ['unpark', which: number]

const command = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(
      fc.constant('publish' as const),
      fc.nat(9),
      fc.boolean(),
      fc.oneof(text, fc.uint8Array({ maxLength: 20 })),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(fc.constant('take' as const), fc.integer({ min: 1, max: 3 })) },
  {
    weight: 3,
    arbitrary: fc.tuple(
      fc.constant('settle' as const),
      fc.nat(9),
      disposition,
      fc.option(record as fc.Arbitrary<Omit<StateRecord, 'id'>>),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constant('put' as const), fc.nat(3), record as fc.Arbitrary<Omit<StateRecord, 'id'>>),
  },
  fc.tuple(fc.constant('forget' as const), fc.nat(3)),
  fc.constant(['purge'] as const),
  fc.tuple(fc.constant('unpark' as const), fc.nat(5)),
) as fc.Arbitrary<Command>

/** What a caller sees of one connection, step by step. */
class Play {
  readonly #connection: Connection
  readonly #queue: string
  readonly #at: number
  #published = 0
  #deliveries: Delivery[] = []

  constructor(connection: Connection, queue: string, at: number) {
    this.#connection = connection
    this.#queue = queue
    this.#at = at
  }

  async step([kind, ...rest]: Command): Promise<unknown> {
    return {
      kind,
      gave: await this.#do([kind, ...rest] as Command),
      stats: await this.#connection.broker.stats(this.#queue),
    }
  }

  async end(): Promise<unknown> {
    const { broker, results } = this.#connection
    const lookups = await results.getMany([0, 1, 2, 3].map(index => this.#task(index)))
    const { items } = await broker.parked({ queue: this.#queue, limit: 100 })
    return {
      states: lookups.map(lookup => (lookup.kind === 'state' ? withoutUndefined(lookup.state) : lookup)),
      parked: items.map(({ id, reason, message }) => [id, reason, Buffer.from(message.body)]),
    }
  }

  /** What is held goes, so that nothing of this case is left to look after. */
  async leave(): Promise<void> {
    await this.#connection.broker.purge(this.#queue)
    await Promise.all(
      this.#deliveries.map(delivery => this.#connection.broker.settle({ delivery, disposition: { kind: 'ack' } })),
    )
  }

  async #do(next: Command): Promise<unknown> {
    const { broker, results } = this.#connection
    switch (next[0]) {
      case 'publish':
        return await this.#publish(next)
      case 'take':
        return await this.#take(next[1])
      case 'settle':
        return await this.#settle(next)
      case 'put':
        return await results.put({ ...next[2], id: this.#task(next[1]) })
      case 'forget':
        return await results.forget([this.#task(next[1])])
      case 'purge':
        return await broker.purge(this.#queue)
      case 'unpark': {
        const { items } = await broker.parked({ queue: this.#queue, limit: 100 })
        return (await broker.takeParked(items[next[1]]?.parkedId ?? 'none'))?.id
      }
      default:
        return next satisfies never
    }
  }

  async #publish([, priority, delayed, body]: Command & readonly ['publish', ...unknown[]]): Promise<unknown> {
    const id = `${this.#queue}/m${this.#published++}`
    const message = {
      properties: { contentType: 'application/json', contentEncoding: 'utf-8', priority },
      headers: { id, task: 't' },
      body,
    }
    const notBefore = delayed ? this.#at + hourMs : undefined
    const outcomes = await this.#connection.broker.publish([{ id, queue: this.#queue, message, priority, notBefore }])
    return outcomes.map(({ accepted }) => accepted)
  }

  /** As many as there are, of those asked for, by a subscription of its own. */
  async #take(count: number): Promise<unknown> {
    const { broker } = this.#connection
    const { ready } = await broker.stats(this.#queue)
    const wanted = Math.min(ready, count)
    if (wanted === 0) return []
    const taken: Delivery[] = []
    const all = Promise.withResolvers<void>()
    const subscription = await broker.consume([this.#queue], {
      prefetch: count,
      consumer: 'fuzz@here',
      onDeliveries: batch => {
        taken.push(...batch)
        if (taken.length >= wanted) all.resolve()
      },
      onEnd: all.reject,
    })
    await all.promise
    await subscription.close()
    this.#deliveries.push(...taken)
    return taken.map(({ message, deliveryCount, redelivered, crashCount }) => [
      { ...message.headers },
      message.properties.priority,
      Buffer.from(message.body),
      [deliveryCount, redelivered, crashCount],
    ])
  }

  async #settle([, which, how, given]: Command & readonly ['settle', ...unknown[]]): Promise<unknown> {
    const delivery = this.#deliveries[which % Math.max(1, this.#deliveries.length)]
    if (delivery === undefined) return undefined
    const stored = given === null || given === undefined ? undefined : { ...given, id: this.#task(0) }
    return await this.#connection.broker.settle({ delivery, disposition: how, record: stored })
  }

  #task(index: number): string {
    return `${this.#queue}/t${index}`
  }
}

/** Whether a field is absent or undefined is nobody's business. */
function withoutUndefined(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown
}

let played = 0
const shared = once()

fuzz('drivers', {
  'memory and SQLite show the same of the same commands': property({
    of: fc.tuple(text, fc.array(command, { maxLength: 20 })),
    async holds([name, commands]) {
      const pair = await shared()
      const queue = `${name}#${played++}`
      const at = Date.now()
      const [memory, sqlite] = [new Play(pair.memory, queue, at), new Play(pair.sqlite, queue, at)]
      for (const next of commands) expect(await sqlite.step(next)).toEqual(await memory.step(next))
      expect(await sqlite.end()).toEqual(await memory.end())
      await Promise.all([memory.leave(), sqlite.leave()])
    },
    runs: 60,
  }),
  'memory and SQLite keep the same keys': property({
    of: fc.array(
      fc.tuple(
        fc.constantFrom('put', 'putIfAbsent', 'delete', 'get', 'list', 'lease', 'release', 'take'),
        fc.constantFrom('a', 'ab', 'b', 'é', '\u{10ffff}'),
        text,
      ),
      { maxLength: 20 },
    ),
    async holds(commands) {
      const pair = await shared()
      const prefix = `keys#${played++}/`
      for (const [kind, name, value] of commands) {
        const key = prefix + name
        const [one, other] = [pair.memory, pair.sqlite].map(async ({ coordination }): Promise<unknown> => {
          switch (kind) {
            case 'put':
              return await coordination.put(key, value, hourMs)
            case 'putIfAbsent':
              return await coordination.putIfAbsent(key, value, hourMs)
            case 'delete':
              return await coordination.delete(key)
            case 'get':
              return await coordination.get(key)
            case 'list':
              return await coordination.list(key)
            case 'lease':
              return (await coordination.lease(key, value, hourMs)) !== undefined
            case 'release':
              return await coordination.release(key, value)
            case 'take':
              return (await coordination.take(key, 2, hourMs)) === 0
          }
        })
        expect(await other).toEqual(await one)
      }
    },
    runs: 80,
  }),
})
