// A process on rpc:// results, to be killed: `node rpc-process.ts ROLE URL APP [COUNT]`. One line of JSON on stdout for
// each thing that happened.
import { writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { parseLocation } from '../../../src/drivers/rabbitmq/location.ts'
import { RpcResults } from '../../../src/drivers/rabbitmq/results/rpc-results.ts'
import { RabbitSession } from '../../../src/drivers/rabbitmq/session.ts'

const [role = '', url = '', app = '', count = '0'] = process.argv.slice(2)
const ids = Array.from({ length: Number(count) }, (_, index) => `task-${index}`)
const roles: Readonly<Record<string, (results: RpcResults) => Promise<void>>> = { watch, write, poll }

const session = new RabbitSession(parseLocation(url))
const results = new RpcResults(session, { app })
session.publishing.hold()
await session.open()
await results.open()
await roles[role]?.(results)

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

/** Asks for every task without pause, and tells what is not what it was. */
async function poll(store: RpcResults): Promise<void> {
  say({ ready: true })
  const last = new Map<string, string>()
  for (;;) {
    for (const [index, lookup] of (await store.getMany(ids)).entries()) {
      const id = ids[index] ?? ''
      const text = lookup.kind === 'state' ? `${lookup.state.state} ${lookup.state.value ?? ''}` : lookup.kind
      if (last.get(id) === text) continue
      last.set(id, text)
      say({ id, text })
    }
  }
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
