/**
 * `npm run chaos -- --celery redis`: the same kind of kills for a stock Celery worker on Redis. Many small tasks wait in
 * the queue, and more are sent as they are done; one worker is killed again and again, 50 to 350 ms after its first
 * task; at last one is left alone until the queue is empty. The checker is the one Lovage is held to.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { FinalState } from '../checkers/histories.ts'
import { checkTotalQueue } from '../checkers/total-queue.ts'
import type { EffectLine, ProducerLine } from '../programs/history.ts'
import { seededRandom } from '../programs/random.ts'
import { readHistories } from '../read-histories.ts'
import { count } from '../values.ts'
import { startRedis, type RedisServer } from './redis.ts'
import { CeleryWorker } from './worker.ts'
import { preparePython, type Python } from './python.ts'

const celeryUsage = `Kills a stock Celery worker on Redis under load and counts what is lost.

usage: npm run chaos -- --celery redis [options]

  --kills N     how often the worker is killed (200)
  --tasks N     how many tasks wait in the queue: sent at first, and made up before every tenth kill (10000)
  --seed S      decides when (1)
  --help

Takes python3 and redis-server. Celery and its client are installed by pip into a venv under node_modules/.cache.
`

interface CelerySettings {
  readonly kills: number
  readonly tasks: number
  readonly seed: number
}

interface Scene {
  readonly settings: CelerySettings
  readonly folder: string
  readonly python: Python
  readonly env: NodeJS.ProcessEnv
  readonly redis: RedisServer
}

/** The exit code: 0, whatever Celery lost; its loss is the answer, not an error. */
export async function runCelery(args: readonly string[]): Promise<number> {
  const settings = parseCelerySettings(args)
  if (settings === 'help') {
    console.log(celeryUsage)
    return 0
  }
  const python = preparePython()
  const folder = mkdtempSync(join(tmpdir(), 'lovage-chaos-celery-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  // on a signal: after what writes there has been killed, see `goneWithUs`
  process.once('exit', remove)
  let redis: RedisServer | undefined
  try {
    redis = await startRedis(folder)
    mkdirSync(join(folder, 'histories'))
    const env = { ...process.env, CHAOS_REDIS: redis.url, CHAOS_HISTORIES: join(folder, 'histories') }
    await compare({ settings, folder, python, env, redis })
    return 0
  } finally {
    await redis?.stop()
    process.off('exit', remove)
    remove()
  }
}

function parseCelerySettings(args: readonly string[]): CelerySettings | 'help' {
  const option = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: { celery: option, kills: option, tasks: option, seed: option, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) return 'help'
  if (values.celery !== 'redis') throw new RangeError(`--celery ${values.celery}: only redis`)
  return {
    kills: count('kills', values.kills, 200),
    tasks: count('tasks', values.tasks, 10_000),
    seed: count('seed', values.seed, 1),
  }
}

async function compare({ settings, folder, python, env, redis }: Scene): Promise<void> {
  const { kills, tasks, seed } = settings
  console.log(`Celery ${python.versions}; Redis ${redis.version}, AOF everysec; seed ${seed}`)
  console.log(`${tasks} tasks wait in the queue`)
  const random = seededRandom(seed)
  for (let kill = 1; kill <= kills; kill++) {
    if (kill % 10 === 1) await python.run('publish.py', [String(tasks)], env)
    await using worker = new CeleryWorker(python, env)
    await worker.firstEnd()
    await worker.killAfter(random.between(50, 350))
    if (kill % 20 === 0) console.log(`  ${kill} kills`)
  }
  const before = await python.json('left.py', env)
  console.log(
    `draining: ${countOf(before, 'queued')} queued, ${countOf(before, 'unacked')} handed out and not acknowledged`,
  )
  await using last = new CeleryWorker(python, env)
  await last.untilEmpty(async () => countOf(await python.json('left.py', env), 'queued') === 0)
  await last.stop()
  report(settings, folder, await python.json('left.py', env))
}

type Left = Readonly<Record<'queued' | 'unacked', readonly string[]>>

function countOf(left: Left, what: keyof Left): number {
  return left[what].length
}

function report({ kills, seed }: CelerySettings, folder: string, left: Left): void {
  const histories = join(folder, 'histories')
  const producers = readHistories<ProducerLine>(histories, 'producer-')
  const effects = readHistories<EffectLine>(histories, 'effects-')
  const kept: FinalState = { state: 'kept by Redis', ready: true, value: '' }
  const done: FinalState = { state: 'SUCCESS', ready: true, value: '' }
  const finals = new Map<string, FinalState>([
    ...[...left.queued, ...left.unacked].map(id => [id, kept] as const),
    ...effects.filter(({ k }) => k === 'end').map(({ id }) => [id, done] as const),
  ])
  const queue = checkTotalQueue({ producers, effects, seen: [], faults: [], finals, isAtomic: false })
  const finished = new Set(effects.filter(({ k }) => k === 'end').map(({ id }) => id))
  const waiting = left.unacked.filter(id => !finished.has(id)).length
  const rows = {
    attempted: queue.attempted,
    acknowledged: queue.acknowledged,
    'done at least once': finished.size,
    'parked in unacked': waiting,
    LOST: queue.lost,
    unexpected: queue.unexpected,
    duplicated: queue.duplicated,
    kills,
    seed,
  }
  for (const [name, value] of Object.entries(rows)) console.log(`  ${name.padEnd(24)}${value.toLocaleString('en')}`)
  console.log('parked: Redis hands them out again after the visibility time-out, an hour by default')
}
