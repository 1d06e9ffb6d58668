// A process on an SQLite file, to be killed, stopped or starved: `node sqlite-process.ts ROLE URL [OPTIONS]`. One line
// of JSON on stdout for each thing that happened.
import { writeSync } from 'node:fs'
import { openSqlite, type SqliteOptions } from '../../../src/drivers/sqlite/sqlite.ts'
import type { Connection } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { uuidv7 } from '../../../src/core/id.ts'
import { taskMessage } from './sqlite-tasks.ts'

const [role = '', url = '', options = '{}'] = process.argv.slice(2)

const roles: Readonly<Record<string, (connection: Connection) => Promise<void>>> = { hold, publish, work, send }

/** Synchronous, so that what was said before a SIGKILL was heard. */
function say(line: object): void {
  let left = Buffer.from(`${JSON.stringify(line)}\n`)
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(1, left))
    } catch (error) {
      // the pipe is full for now
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
    }
  }
}

/** Takes deliveries, says so, and never settles them. */
async function hold({ broker }: Connection): Promise<void> {
  await broker.consume(['queue'], {
    prefetch: 10,
    consumer: 'holder@test',
    onDeliveries: batch => say({ held: batch.map(({ message }) => message.headers['id']) }),
  })
}

/** Publishes without end, two batches under way at a time, and says which ids were accepted. */
async function publish({ broker }: Connection): Promise<void> {
  const loop = async (): Promise<void> => {
    for (;;) {
      const batch = Array.from({ length: 5 }, () => taskMessage(uuidv7(systemClock.now())))
      say({ attempted: batch.map(({ id }) => id) })
      const outcomes = await broker.publish(batch)
      say({ accepted: batch.filter((_, index) => outcomes[index]?.accepted === 'yes').map(({ id }) => id) })
    }
  }
  await Promise.all([loop(), loop()])
}

/** Settles everything with a result, and says what it received. */
async function work({ broker }: Connection): Promise<void> {
  await broker.consume(['queue'], {
    prefetch: 8,
    consumer: 'worker@test',
    onDeliveries: batch => batch.forEach(settle),
  })
  function settle(delivery: Delivery): void {
    const id = String(delivery.message.headers['id'])
    say({ received: [id] })
    const at = systemClock.now()
    const record = { id, state: 'SUCCESS', retries: 0, delivery: delivery.deliveryCount, seq: 1, at, value: '1' }
    void broker.settle({ delivery, disposition: { kind: 'ack' }, record }).then(outcome => say({ [outcome]: [id] }))
  }
}

/** Sends one task and ends by itself. */
async function send({ broker }: Connection): Promise<void> {
  await broker.publish([taskMessage('sent')])
  say({ accepted: ['sent'] })
}

const run = roles[role]
if (run === undefined) throw new Error(`no role ${role}`)
const connection = openSqlite(url, JSON.parse(options) as SqliteOptions)
await connection.broker.open()
say({ ready: [] })
await run(connection)
