// Whole workers on RabbitMQ, results there too: the broker goes and comes under load, and a task that kills its worker.
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import { internals } from '../../src/app/internals.ts'
import { Lovage } from '../../src/app/lovage.ts'
import type { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import { sendThroughStorm, stateOf } from './support/restarts.ts'
import { isLong, until } from './support/until.ts'

const tasks = `import { Lovage } from 'lovage'

export const app = new Lovage('onrabbit')
app.task('good', (_task, n: number) => n)
app.task('killed', () => process.kill(process.pid, 'SIGKILL'))
`
const [roundCount, taskCount, workerCount] = isLong ? [10, 10_000, 4] : [1, 400, 2]

describe.skipIf(!hasRabbit)('Workers on RabbitMQ', { timeout: 900_000 }, () => {
  it('lose no confirmed task and no result when the broker is restarted and killed under them', async () => {
    await using server = await startRabbit()
    const { app, project } = openApp(server.url())
    await Promise.all(Array.from({ length: workerCount }, () => project.worker()))
    const sent = await sendThroughStorm({ server, app, roundCount, taskCount, nameOf: () => 'good' })
    const reader = openApp(server.url()).app
    const states = new Map<string, string>()
    await until(
      'every result, by a process that sent nothing',
      async () => {
        for (const id of sent.keys()) {
          const state = states.has(id) ? undefined : await stateOf(reader, id)
          if (state?.state === 'SUCCESS') states.set(id, state.value ?? '')
        }
        return states.size === sent.size
      },
      { timeoutMs: 300_000, everyMs: 200, last: () => `${states.size} of ${sent.size}` },
    )
    expect([...sent].filter(([id, n]) => states.get(id) !== String(n))).toEqual([])
  })

  it('park a task that kills its worker, and go on with the others', async () => {
    await using server = await startRabbit()
    const { app, project } = openApp(server.url())
    const deadly = await app.sendTask('killed', [])
    const others = await Promise.all(Array.from({ length: 20 }, (_, n) => app.sendTask('good', [n])))
    const workers: Child[] = []
    const isOver = async (): Promise<boolean> => (await stateOf(app, deadly.id))?.state === 'FAILURE'
    while (workers.length < 6 && !(await isOver())) {
      const worker = await project.worker()
      workers.push(worker)
      await Promise.race([
        worker.ended,
        until('its end', isOver, { everyMs: 50, timeoutMs: 60_000 }).catch(() => false),
      ])
    }
    expect((await stateOf(app, deadly.id))?.value).toMatch(/WorkerLostError/)
    // two that it took along, and one that ran it in a process of its own
    expect(workers.length).toBe(3)
    for (const [n, { id }] of others.entries())
      await until(`${n}`, async () => (await stateOf(app, id))?.value === String(n), { everyMs: 20 })
    const { broker } = await internals(app).backend()
    expect((await broker.parked()).items).toMatchObject([
      { id: deadly.id, reason: expect.stringMatching(/quarantined/) },
    ])
  })
})

function openApp(brokerUrl: string): { readonly app: Lovage; readonly project: Project } {
  const app = new Lovage('onrabbit', { brokerUrl })
  onTestFinished(() => app.close())
  return { app, project: new Project({ tasks, env: { LOVAGE_BROKER_URL: brokerUrl } }) }
}
