// A workload on an SQLite file whose writes fail: `node disk-process.ts URL [rest]`. Sends, claims, reports progress,
// settles, each until it is accepted or the file is given up; `rest`: with a rest, in which the log is moved into the
// file. One line of JSON on stdout for each thing that happened.
import { writeSync } from 'node:fs'
import type { Connection } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { sleep, systemClock } from '../../../src/core/clock.ts'
import { coerceError, StorageError } from '../../../src/core/errors.ts'
import type { StateRecord } from '../../../src/core/record.ts'
import { openSqlite } from '../../../src/drivers/sqlite/sqlite.ts'
import { taskMessage } from './sqlite-tasks.ts'

const [url = '', rest = ''] = process.argv.slice(2)
const ids = ['a', 'b', 'c', 'd']

function say(word: string, what: string): void {
  writeSync(1, `${JSON.stringify({ [word]: [what] })}\n`)
}

const connection = await opened()
const { broker, results } = connection
const settled = new Set<string>()
const { promise: allSettled, resolve } = Promise.withResolvers<void>()
const sending = send()
await until('consume', () =>
  broker.consume(['queue'], {
    prefetch: 2,
    consumer: 'worker@test',
    onDeliveries: batch => batch.forEach(delivery => void work(delivery)),
    onEnd: giveUp,
  }),
)
await sending
await allSettled
if (rest !== '') await begin()
await connection.close()
say('closed', 'all')

/** Ends the process where it cannot: a new thread would meet the same failure at its own first writes. */
async function opened(): Promise<Connection> {
  const fresh = openSqlite(url)
  try {
    await fresh.broker.open()
    await fresh.results.open()
    return fresh
  } catch (error) {
    await refused('open', error)
    process.exit(73)
  }
}

async function send(): Promise<void> {
  for (const id of ids) {
    for (;;) {
      say('tried', id)
      const [outcome] = await broker.publish([taskMessage(id)])
      if (outcome?.accepted === 'yes') break
      await refused(`publish ${outcome?.accepted ?? ''}`, outcome?.error)
    }
    say('accepted', id)
    if (id === 'b' && rest !== '') await sleep(systemClock, 2500)
  }
}

/** As a task begins that may not run twice. */
async function begin(): Promise<void> {
  const at = systemClock.now()
  await results.put({ id: 'early', state: 'STARTED', retries: 0, delivery: 1, seq: at, at }, { isPromise: true })
  say('begun', 'early')
}

async function work(delivery: Delivery): Promise<void> {
  const id = String(delivery.message.headers['id'])
  await until('progress', () => results.put(record(delivery, 'PROGRESS', '{"current":1,"total":2}')))
  const outcome = await until('settle', () =>
    broker.settle({ delivery, disposition: { kind: 'ack' }, record: record(delivery, 'SUCCESS', '1') }),
  )
  say(outcome, id)
  settled.add(id)
  if (settled.size === ids.length) resolve()
}

function record({ message, deliveryCount }: Delivery, state: string, value: string): StateRecord {
  const at = systemClock.now()
  return { id: String(message.headers['id']), state, retries: 0, delivery: deliveryCount, seq: at, at, value }
}

async function until<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      await refused(what, error)
    }
  }
}

/** Says so, reads all the same, and comes back for another try. */
async function refused(what: string, error: unknown): Promise<void> {
  const { message } = coerceError(error)
  say('refused', `${what}: ${error instanceof StorageError ? error.reason : 'other'}: ${message}`)
  if (what !== 'open') {
    const read = await results.get('a').then(
      ({ kind }) => kind,
      (thrown: unknown) => coerceError(thrown).message,
    )
    say('read', read)
  }
  await sleep(systemClock, 5)
}

/** As a worker does: what cannot be believed any more is left. */
function giveUp(error: Error): void {
  say('ended', error.message)
  process.exit(70)
}
