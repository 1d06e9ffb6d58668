// Workers that do nothing for ten minutes, behind links on which nothing passes and nothing ends.
import { expect, it, onTestFinished } from 'vitest'
import { hasRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import { Lovage } from '../../src/app/lovage.ts'
import { Project } from './support/project.ts'
import { isLong, until } from './support/until.ts'

const tasks = `import { Lovage } from 'lovage'

export const app = new Lovage('idle')
app.task('answer', (_task, n: number) => n)
`
// short: the shortest heartbeat, and as long as it takes to miss two of them and to try in vain
const [options, silenceMs] = isLong ? ['', 600_000] : ['?heartbeat=1', 8000]

/** The old connection ends with a reset when the link is back, or is never heard of again. */
const ways = ['reset', 'mute'] as const

it.skipIf(!hasRabbit)(
  'idle workers work again within 30 seconds of the return of their half-open links',
  { timeout: silenceMs + 240_000 },
  async () => {
    await using server = await startRabbit()
    const app = new Lovage('idle', { brokerUrl: server.url() })
    onTestFinished(() => app.close())
    const links: TcpProxy[] = []
    for (const way of ways) {
      const link = await new TcpProxy(server.address.port).listen()
      onTestFinished(() => link[Symbol.asyncDispose]())
      const project = new Project({ tasks, env: { LOVAGE_BROKER_URL: `amqp://127.0.0.1:${link.port}/${options}` } })
      await project.worker({ args: ['-Q', way] })
      const first = await app.sendTask('answer', [1], {}, { queue: way })
      expect(await first.get({ timeoutMs: 30_000 })).toBe(1)
      links.push(link)
    }
    const connections = links.map(({ connectionCount }) => connectionCount)
    for (const link of links) link.silence()
    const silentAt = performance.now()
    const isOver = (): boolean => performance.now() - silentAt > silenceMs
    await until('the silence', isOver, { timeoutMs: silenceMs + 10_000, everyMs: 500 })
    const sent = await Promise.all(ways.map(queue => app.sendTask('answer', [2], {}, { queue })))
    for (const [index, way] of ways.entries()) {
      // it has tried, and nothing has passed
      expect(links[index]?.connectionCount).toBeGreaterThan(connections[index] ?? Infinity)
      expect((await sent[index]?.snapshot())?.state).toBe('PENDING')
      links[index]?.heal({ mute: way === 'mute' })
    }
    const healedAt = performance.now()
    const recovered = ways.map(async (way, index) => {
      expect(await sent[index]?.get({ timeoutMs: 60_000 })).toBe(2)
      return [way, Math.round(performance.now() - healedAt)] as const
    })
    const times = await Promise.all(recovered)
    console.log(`silent for ${silenceMs} ms; ms from the link's return to a result: ${times.join(' ')}`)
    expect(Math.max(...times.map(([, ms]) => ms))).toBeLessThan(30_000)
  },
)
