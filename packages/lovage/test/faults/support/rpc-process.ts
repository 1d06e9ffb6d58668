// A process on rpc:// results, to be killed: `node rpc-process.ts ROLE URL APP [COUNT]`. One line of JSON on stdout for
// each thing that happened.
import { writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { parseLocation } from '../../../src/drivers/rabbitmq/location.ts'
import { openRabbit } from '../../../src/drivers/rabbitmq/rabbitmq.ts'
import { RpcResults } from '../../../src/drivers/rabbitmq/results/rpc-results.ts'
import { RabbitSession } from '../../../src/drivers/rabbitmq/session.ts'

const [role = '', url = '', app = '', count = '0'] = process.argv.slice(2)
const ids = Array.from({ length: Number(count) }, (_, index) => `task-${index}`)
const roles: Readonly<Record<string, (results: RpcResults) => Promise<void>>> = { watch, write }

if (role === 'ask') await ask()
const session = new RabbitSession(parseLocation(url))
const results = new RpcResults(session, { app })
if (roles[role] !== undefined) {
  session.publishing.hold()
  await results.open()
  await roles[role](results)
}

/** Tells every state it is shown. */
async function watch(store: RpcResults): Promise<void> {
  await store.watch(ids, {
    onState: ({ id, state, value, retries, delivery, seq }) => say({ id, state, value, retries, delivery, seq }),
  })
  say({ ready: true })
}

/** Puts one task after the other through its states until it is killed, and says what was taken. */
async function write(store: RpcResults): Promise<void> {
  say({ ready: true })
  const run = async (lane: number): Promise<void> => {
    for (let number = 0; ; number++) {
      const id = `${process.pid}-${lane}-${number}`
      for (const [seq, state] of ['STARTED', 'PROGRESS', 'SUCCESS'].entries()) {
        const record = { id, state, retries: 0, delivery: 1, seq, at: Date.now(), value: String(number) }
        while (!(await taken(store.put(record)))) await pause(20)
        say({ taken: id, state })
      }
    }
  }
  await Promise.all(Array.from({ length: 4 }, (_, lane) => run(lane)))
}

async function taken(put: Promise<boolean>): Promise<boolean> {
  return await put.then(
    () => true,
    () => false,
  )
}

/** What a program does that sends one task and looks at it: nothing but its own waiting keeps it alive. */
async function ask(): Promise<void> {
  const connection = openRabbit(url, { app })
  await connection.broker.open()
  await connection.results.open()
  await connection.coordination.open()
  await connection.results.put({ id: 'asked', state: 'PENDING', retries: 0, delivery: 0, seq: 0, at: Date.now() })
  say({ found: await connection.results.get('asked') })
  await connection.close()
  say({ closed: true })
}

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
