// Two apps on one virtual host: what is each one's own, and what is the virtual host's.
import { hostname } from 'node:os'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import type { RabbitControl } from '../../../../test-support/rabbitmq-server.ts'
import { internals } from '../../src/app/internals.ts'
import { Lovage } from '../../src/app/lovage.ts'
import { TaskRevokedError } from '../../src/core/errors.ts'
import { Project } from './support/project.ts'
import { stateOf } from './support/restarts.ts'
import { until } from './support/until.ts'

/** Of the app, its queue, and what its tasks give: those of both have the same names. */
const names = ['north', 'south'] as const
type Name = (typeof names)[number]

const tasksOf = (name: Name): string => `import { Lovage } from 'lovage'

export const app = new Lovage('${name}', { defaultQueue: '${name}' })
app.task('whose', () => '${name}')
`

describe.skipIf(!hasRabbit)('Two apps on one virtual host of RabbitMQ', { timeout: 60_000 }, () => {
  let rabbit: RabbitControl

  beforeAll(async () => {
    rabbit = await sharedRabbit()
  })

  it('send a task each under one idempotency key, and know it again', async () => {
    const url = await freshUrl()
    const send = (name: Name): ReturnType<Lovage['sendTask']> =>
      openApp(name, url).sendTask('whose', [], {}, { idempotencyKey: 'key' })
    const first = { north: await send('north'), south: await send('south') }
    expect([first.north.deduplicated, first.south.deduplicated]).toEqual([false, false])
    expect(first.north.id).not.toBe(first.south.id)
    for (const name of names) {
      expect(await send(name)).toMatchObject({ id: first[name].id, deduplicated: true })
      expect(await openApp(name, url).queue(name).stats()).toMatchObject({ ready: 1 })
    }
  })

  it('run their own tasks with their own workers, and see their own results', async () => {
    const url = await freshUrl()
    await Promise.all(names.map(name => startWorker(name, url)))
    const [north, south] = [openApp('north', url), openApp('south', url)]
    const [northern, southern] = [await north.sendTask('whose'), await south.sendTask('whose')]
    expect([await northern.get({ timeoutMs: 20_000 }), await southern.get({ timeoutMs: 20_000 })]).toEqual(names)
    // to processes that sent nothing
    for (const [name, own, other] of [
      ['north', northern, southern],
      ['south', southern, northern],
    ] as const) {
      const app = openApp(name, url)
      const { results } = await internals(app).backend()
      expect(await stateOf(app, own.id)).toMatchObject({ state: 'SUCCESS', value: JSON.stringify(name) })
      expect(await stateOf(app, other.id)).toBeUndefined()
      expect((await results.list({ limit: 10 })).items.map(({ id }) => id)).toEqual([own.id])
    }
  })

  it('have pauses of queues and revokes of tasks in common, and a pause holds one queue only', async () => {
    const url = await freshUrl()
    await startWorker('north', url, ['-Q', 'north,beside'])
    await startWorker('south', url)
    const [north, south] = [openApp('north', url), openApp('south', url)]
    const runOthers = async (): Promise<void> => {
      const others = [await north.sendTask('whose', [], {}, { queue: 'beside' }), await south.sendTask('whose')]
      expect(await Promise.all(others.map(other => other.get({ timeoutMs: 20_000 })))).toEqual(names)
    }
    await south.queue('north').pause()
    const left = await until('one that is not taken, while later ones of other queues are', async () => {
      const sent = await north.sendTask('whose')
      await runOthers()
      return (await stateOf(north, sent.id))?.state === 'PENDING' ? sent : undefined
    })
    const revoked = await north.sendTask('whose')
    await south.result(revoked.id).revoke()
    await runOthers()
    for (const { id } of [left, revoked]) expect(await stateOf(north, id)).toMatchObject({ state: 'PENDING' })
    await north.queue('north').resume()
    expect(await left.get({ timeoutMs: 20_000 })).toBe('north')
    await expect(revoked.get({ timeoutMs: 20_000 })).rejects.toThrow(TaskRevokedError)
  })

  it('see all workers and queues, and no two workers have one node name', async () => {
    const url = await freshUrl()
    const projects = [await startWorker('north', url), await startWorker('south', url)]
    const workers = [
      { node: `lovage-2@${hostname()}`, queues: ['south'] },
      { node: `lovage@${hostname()}`, queues: ['north'] },
    ]
    const queues = [{ queue: 'north' }, { queue: 'south' }]
    for (const project of projects)
      expect(JSON.parse((await project.lovage('status', '--json')).out)).toMatchObject({ workers, queues })
  })

  async function freshUrl(): Promise<string> {
    const vhost = await rabbit.addVhost()
    onTestFinished(() => rabbit.deleteVhost(vhost))
    return rabbit.url(vhost)
  }
})

/** In this process, closed at the end of the test. */
function openApp(name: Name, brokerUrl: string): Lovage {
  const app = new Lovage(name, { brokerUrl, defaultQueue: name })
  onTestFinished(() => app.close())
  return app
}

async function startWorker(name: Name, brokerUrl: string, args: readonly string[] = []): Promise<Project> {
  const project = new Project({ tasks: tasksOf(name), env: { LOVAGE_BROKER_URL: brokerUrl } })
  await project.worker({ args })
  return project
}
