// Whole workers with a task that takes longer than the broker leaves a delivery to one (docs/decisions/0013).
import { expect, it, onTestFinished } from 'vitest'
import { hasRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import type { RabbitServer } from '../../../../test-support/rabbitmq-server.ts'
import { Lovage } from '../../src/app/lovage.ts'
import { Project } from './support/project.ts'
import { isLong, until } from './support/until.ts'

const tasks = `import { appendFileSync } from 'node:fs'
import { Lovage } from 'lovage'

export const app = new Lovage('long')
app.task('long', async (task, ms: number) => {
  appendFileSync('effects', 'began ' + task.id + ' ' + process.pid + ' ' + Date.now() + '\\n')
  await task.sleep(task.request.redelivered ? 10 : ms)
  return ms
})
`
/** Half an hour, in short. Workers are told of less, so that a busy machine does not decide. */
const [consumerTimeoutMs, toldMs] = [12_000, 8000]
/** The copy has come round by then, too. */
const taskMs = 3 * consumerTimeoutMs

it.skipIf(!hasRabbit)(
  'a task that takes three times the time-out of its broker runs once, and again where nobody was told of the time-out',
  { timeout: 180_000 },
  async () => {
    await using server = await startImpatient()
    const app = openApp(server)
    const [told, untold] = [project(server, `?consumerTimeoutMs=${toldMs}`), project(server, '')]
    await told.worker({ args: ['-Q', 'told'] })
    // in the worker that runs it a second delivery waits for the end of the first
    await Promise.all([untold.worker({ args: ['-Q', 'untold'] }), untold.worker({ args: ['-Q', 'untold'] })])
    const once = await app.sendTask('long', [taskMs], {}, { queue: 'told' })
    await app.sendTask('long', [taskMs], {}, { queue: 'untold' })
    // the broker means it
    await until('a second run of the other', () => untold.effects('began').length === 2, { timeoutMs: 60_000 })
    expect((await once.snapshot())?.state).not.toBe('SUCCESS')
    expect(await once.get({ timeoutMs: 90_000 })).toBe(taskMs)
    expect(told.effects('began')).toMatchObject([{ id: once.id }])
    // what still comes round of it is nobody's
    const idle = await app.sendTask('long', [0], {}, { queue: 'told' })
    expect(await idle.get({ timeoutMs: 30_000 })).toBe(0)
    expect(told.effects('began').length).toBe(2)
  },
)

it.runIf(hasRabbit && isLong)(
  'a worker that is killed in such a task is missed, and another one runs it within two minutes',
  { timeout: 300_000 },
  async () => {
    await using server = await startImpatient()
    const app = openApp(server)
    const dies = project(server, `?consumerTimeoutMs=${toldMs}`)
    const worker = await dies.worker()
    const result = await app.sendTask('long', [600_000])
    await dies.effect('began')
    const heldByCopy = async (): Promise<boolean> => /^celery\t0$/m.test(await unacknowledged(server))
    await until('it is held by a copy', heldByCopy, { timeoutMs: 30_000, everyMs: 500 })
    worker.kill('SIGKILL')
    const killedAt = performance.now()
    await project(server, '').worker()
    expect(await result.get({ timeoutMs: 200_000 })).toBe(600_000)
    const missedMs = performance.now() - killedAt
    console.log(`run by another ${Math.round(missedMs)} ms after the kill`)
    expect(missedMs).toBeLessThan(120_000)
  },
)

/** A broker that looks twice a second for what was held for too long, and not once a minute. */
async function startImpatient(): Promise<RabbitServer> {
  const server = await startRabbit({ config: [`consumer_timeout = ${consumerTimeoutMs}`] })
  await server.eval('application:set_env(rabbit, channel_tick_interval, 500)')
  return server
}

function openApp(server: RabbitServer): Lovage {
  const app = new Lovage('long', { brokerUrl: server.url() })
  onTestFinished(() => app.close())
  return app
}

function project(server: RabbitServer, options: string): Project {
  return new Project({ tasks, env: { LOVAGE_BROKER_URL: `${server.url()}${options}` } })
}

function unacknowledged(server: RabbitServer): Promise<string> {
  return server.ctl(['list_queues', 'name', 'messages_unacknowledged', '--no-table-headers'])
}
