/** The workers of the examples beside each other, as their pages say: each language takes from its own queue. */
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../../test-support/rabbitmq.ts'
import { Lovage } from '../../../src/index.ts'
import { findPythonCelery } from '../protocol/python-celery.ts'
import { startProcess } from './process.ts'

const examples = fileURLToPath(new URL('../../../../../examples/', import.meta.url))
const lovage = fileURLToPath(new URL('../../../bin/lovage.js', import.meta.url))

it.runIf(hasRabbit).each(findPythonCelery())(
  'no task comes to the other language, with Celery $version',
  { timeout: 60_000 },
  async ({ python }) => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost('queues')
    onTestFinished(() => rabbit.deleteVhost(vhost))
    const brokerUrl = rabbit.url(vhost)
    const env = { CELERY_BROKER_URL: brokerUrl, LOVAGE_RESULT_BACKEND: 'rpc://' }
    const started = await Promise.all([
      startProcess(process.execPath, [lovage, 'worker', `${examples}tasks/tasks.ts`], { env, ready: / ready\./ }),
      startProcess(python, ['-m', 'celery', '-A', 'worker', 'worker', '-c', '1', '-l', 'INFO'], {
        env,
        cwd: `${examples}tutorial`,
        ready: / ready\./,
      }),
    ])
    onTestFinished(async () => void (await Promise.all(started.map(each => each.end()))))

    await using app = new Lovage('mysite', { brokerUrl, resultBackend: 'rpc://' })
    const sums = Array.from({ length: 10 }, (_, x) => app.sendTask('core.tasks.add', [x, 1]))
    const loops = Array.from({ length: 3 }, () => app.sendTask('core.tasks.loop', [0], {}, { queue: 'python' }))
    const ends = await Promise.all([...sums, ...loops].map(async sent => (await sent).get({ timeoutMs: 20_000 })))
    expect(ends).toEqual([...sums.map((_, x) => x + 1), ...loops.map(() => ({ current: 0, total: 0 }))])
  },
)
