/**
 * Sends tasks until it is told to stop or killed: writes down each attempt before it publishes, and what was
 * acknowledged after. Waits while the queue is long, so that what is lost or late is not hidden in a backlog.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Lovage, type PublishError } from 'lovage'
import { openHistory } from './history.ts'
import { callOf, chooseKind, usualMix, type Mix } from './mix.ts'
import { seededRandom } from './random.ts'

const env = process.env
const history = openHistory(env['CHAOS_HISTORIES'] ?? '.', `producer-${process.pid}`)
const random = seededRandom(Number(env['CHAOS_SEED'] ?? 1))
const perSecond = Number(env['CHAOS_RATE'] ?? 30)
const mix: Mix = env['CHAOS_MIX'] === undefined ? usualMix : (JSON.parse(env['CHAOS_MIX']) as Mix)
const app = new Lovage('chaos')

let isStopped = false
const stop = (): void => {
  isStopped = true
}
process.once('SIGTERM', stop)
process.once('disconnect', stop)

process.send?.('ready')
while (!isStopped) {
  const count = random.between(1, 12)
  await Promise.all(Array.from({ length: count }, sendOne))
  await wait((1000 * count) / perSecond)
  while (!isStopped && (await isCrowded())) await wait(50)
}
await app.close()
process.disconnect?.()

async function isCrowded(): Promise<boolean> {
  try {
    return (await app.queue('celery').stats()).ready > 200
  } catch {
    return false
  }
}

async function sendOne(): Promise<void> {
  const kind = chooseKind(random, mix)
  const { args, options } = callOf(kind, random)
  const id = randomUUID()
  const at = Date.now()
  const { countdownMs, expiresInMs } = options
  const due = countdownMs === undefined ? {} : { notBefore: at + countdownMs }
  const expiresFrom = expiresInMs === undefined ? {} : { expiresFrom: at + expiresInMs }
  history.write({ k: 'try', id, kind, at, ...due, ...expiresFrom })
  try {
    const result = await app.sendTask(kind, args, {}, { ...options, taskId: id })
    const acknowledgedAt = Date.now()
    const expiry = expiresInMs === undefined ? {} : { expiresAt: acknowledgedAt + expiresInMs }
    history.write({ k: 'ok', id, at: acknowledgedAt, ...expiry })
    if (kind !== 'doomed') return
    history.write({ k: 'revoking', id, at: Date.now() })
    await result.revoke()
    history.write({ k: 'revoked', id, at: Date.now() })
  } catch (error) {
    const { accepted = 'unknown' } = error as Partial<PublishError>
    history.write({ k: 'no', id, at: Date.now(), accepted })
  }
}
