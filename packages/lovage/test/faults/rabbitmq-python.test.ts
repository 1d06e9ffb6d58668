// Stock Celery workers beside ours on RabbitMQ, a queue for each language, and the broker stopped and killed under them.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { hasRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import type { RabbitServer } from '../../../../test-support/rabbitmq-server.ts'
import { Lovage } from '../../src/app/lovage.ts'
import { findPythonCelery } from '../interop/protocol/python-celery.ts'
import { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import { sendThroughStorm, stateOf } from './support/restarts.ts'
import { isLong, until } from './support/until.ts'

const tasks = `import { Lovage } from 'lovage'

export const app = new Lovage('restarts')
app.task('ts.good', (_task, n: number) => n)
`
const support = fileURLToPath(new URL('support', import.meta.url))
const [roundCount, taskCount] = isLong ? [10, 10_000] : [1, 300]
/** The newest: pip's comes before the system's. */
const [celery] = hasRabbit ? findPythonCelery() : []
/** Of Celery's `result_persistent`; unset, which is its default, rpc:// results are transient. */
const ways = isLong ? ['unset', 'True'] : ['True']

it.skipIf(celery === undefined).each(ways)(
  'Celery and Lovage workers lose no task when the broker is restarted and killed under them; result_persistent: %s',
  { timeout: 1_200_000 },
  async resultPersistent => {
    await using server = await startRabbit()
    const project = new Project({ tasks, env: { LOVAGE_BROKER_URL: server.url() } })
    const effects = project.write('python-effects', '')
    const env = { CELERY_BROKER_URL: server.url(), EFFECTS: effects, RESULT_PERSISTENT: resultPersistent }
    await Promise.all([
      ...['ts1', 'ts2'].map(name => project.worker({ args: ['-Q', 'ts', '-n', `${name}@%h`] })),
      ...['py1', 'py2'].map(name => startCelery(name, env)),
    ])
    const nameOf = (n: number): string => (n % 2 === 0 ? 'ts.good' : 'py.good')
    const sent = await sendThroughStorm({ server, app: openApp(server), roundCount, taskCount, nameOf })
    const waiting = { timeoutMs: 300_000, everyMs: 500 }
    // looked at twice: queues are counted one after another, and a result may enter the inbox when that was counted
    const isOver = async (): Promise<boolean> => (await leftIn(server)) + (await leftIn(server)) === 0
    await until('all have run, all is relayed', isOver, waiting)

    const ran = new Set(readFileSync(effects, 'utf8').trim().split('\n').map(Number))
    expect([...sent.values()].filter(n => n % 2 === 1 && !ran.has(n))).toEqual([])
    const missing = await missingOf(openApp(server), sent)
    const told = missing.map(({ n, found }) => `\n  ${n}: ${found}`).join('')
    console.log(`${sent.size} tasks, result_persistent ${resultPersistent}: ${missing.length} results missing${told}`)
    // Celery's worker acknowledges a task though its result was refused, or kept in memory only
    expect(missing.filter(({ n }) => n % 2 === 0)).toEqual([])
    expect(missing.length).toBeLessThan(sent.size / 20)
  },
)

interface Missing {
  readonly n: number
  /** What can be read in place of its SUCCESS. */
  readonly found: string
}

async function missingOf(app: Lovage, sent: ReadonlyMap<string, number>): Promise<readonly Missing[]> {
  const found = await Promise.all(
    Array.from(sent, async ([id, n]) => {
      const { state, value } = (await stateOf(app, id)) ?? {}
      return { n, isThere: state === 'SUCCESS' && value === String(n), found: `${state} ${value ?? ''}` }
    }),
  )
  return found.filter(({ isThere }) => !isThere)
}

/** Of a process that sends to each language's queue. */
function openApp(server: RabbitServer): Lovage {
  const app = new Lovage('restarts', { brokerUrl: server.url(), defaultQueue: 'ts', routes: { 'py.*': 'py' } })
  onTestFinished(() => app.close())
  return app
}

async function startCelery(name: string, env: NodeJS.ProcessEnv): Promise<void> {
  const what = ['-A', 'restart_tasks', 'worker', '-Q', 'py', '-n', `${name}@%h`, '-c', '2', '-l', 'INFO']
  const settings = { ...env, PYTHONDONTWRITEBYTECODE: '1', C_FORCE_ROOT: '1' }
  const child = new Child(['-m', 'celery', ...what], { program: celery?.python ?? '', cwd: support, env: settings })
  await child.line(/ ready\./, { timeoutMs: 60_000 })
}

/** Messages of both task queues and the inbox, whoever holds them. */
async function leftIn(server: RabbitServer): Promise<number> {
  const lines = await server.ctl(['list_queues', 'name', 'messages', '--no-table-headers'])
  const counts = ['ts', 'py', 'lovage.inbox.restarts'].map(
    name => new RegExp(`^${name}\\t(\\d+)$`, 'm').exec(lines)?.[1],
  )
  return counts.reduce((sum, count) => sum + Number(count), 0)
}
