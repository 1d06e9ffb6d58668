/** Sends tasks to an idle system, one at a time, and waits for each: a wake-up that is lost shows. Exits with 1 then. */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Lovage } from 'lovage'
import { openHistory } from './history.ts'

const count = 10
const timeoutMs = 5000

const history = openHistory(process.env['CHAOS_HISTORIES'] ?? '.', 'producer-probe')
const app = new Lovage('chaos')

try {
  for (let n = 0; n < count; n++) await probe()
} catch (error) {
  console.log(`on an idle system a task was not done within ${timeoutMs / 1000} s: ${String(error)}`)
  process.exitCode = 1
}
await app.close()

async function probe(): Promise<void> {
  // until everybody has gone to rest
  await wait(150)
  const id = randomUUID()
  history.write({ k: 'try', id, kind: 'quick', at: Date.now() })
  const result = await app.sendTask('quick', [], {}, { taskId: id })
  history.write({ k: 'ok', id, at: Date.now() })
  await result.get({ timeoutMs })
}
