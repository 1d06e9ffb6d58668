/** `npm run services`, from a copy of its own: what it starts is in that copy's folder, on ports that nobody has. */
import { execFile, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePorts } from '../../../../test-support/free-ports.ts'
import { RabbitControl, type RabbitAddress } from '../../../../test-support/rabbitmq-server.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { Lovage } from '../../src/index.ts'

const repository = fileURLToPath(new URL('../../../../', import.meta.url))
const hasRedis = spawnSync('sh', ['-c', 'command -v redis-server']).status === 0
if (!hasRedis) console.warn('SKIPPED: npm run services starts what it can, for want of redis-server.')

describe.runIf(hasRabbit)('npm run services', () => {
  test.runIf(hasRedis)(
    'starts each once, bounds the results, and may be stopped twice',
    { timeout: 120_000 },
    async () => {
      const services = await Services.create()
      onTestFinished(async () => void (await services.run('--stop')))
      const started = await services.run()
      expect(started).toMatch(/^rabbitmq: amqp:\/\/\S+\nredis: redis:\/\/\S+\n$/)
      expect(await services.run()).toBe(started)

      const [brokerUrl = ''] = /amqp:\S+/.exec(started) ?? []
      await using app = new Lovage('mysite', { brokerUrl, resultBackend: 'rpc://' })
      await app.result('nobody').snapshot()
      expect(await services.policyOf('lovage.results.mysite')).toEqual({
        'max-age': '1D',
        'max-length-bytes': 2_000_000_000,
        'stream-max-segment-size-bytes': 50_000_000,
      })
      await app.close()

      expect(await services.run('--stop')).toBe('rabbitmq: stopped\nredis: stopped\n')
      expect(await services.run('--stop')).toBe('')
    },
  )

  test(
    'uses what answers already, and refuses by name what is no Redis or no RabbitMQ',
    { timeout: 60_000 },
    async () => {
      const rabbit = (await sharedRabbit()).url()
      const stranger = await listenAs('HTTP/1.1 400 Bad Request\r\n\r\n')
      const noRabbit = await Services.create({ LOVAGE_BROKER_URL: `amqp://guest:guest@${stranger}` })
      await expect(noRabbit.run()).rejects.toMatchObject({
        code: 1,
        stdout: '',
        stderr: `rabbitmq: what listens on ${stranger} does not speak AMQP (it answers "HTTP/1.1 400 Bad Request\\r\\n\\r\\n"). Stop it, or name another place: LOVAGE_BROKER_URL=amqp://guest:guest@localhost:5673 npm run services\n`,
      })
      const silent = await listenAs('')
      const noRedis = await Services.create({ LOVAGE_BROKER_URL: rabbit, LOVAGE_RESULT_BACKEND: `redis://${silent}/0` })
      await expect(noRedis.run()).rejects.toMatchObject({
        code: 1,
        stdout: `rabbitmq: ${rabbit}\n`,
        stderr: expect.stringContaining(
          `redis: what listens on ${silent} does not speak Redis's protocol (it does not answer)`,
        ),
      })
    },
  )
})

class Services {
  readonly #root: string
  readonly #env: NodeJS.ProcessEnv

  private constructor(root: string, env: NodeJS.ProcessEnv) {
    this.#root = root
    this.#env = env
  }

  /** Unless `env` says otherwise, the configured URLs are of ports where nobody listens. */
  static async create(env: NodeJS.ProcessEnv = {}): Promise<Services> {
    const root = realpathSync(mkdtempSync(join(tmpdir(), 'lovage-services-')))
    onTestFinished(() => rmSync(root, { recursive: true, force: true }))
    for (const folder of ['scripts', 'test-support'])
      cpSync(join(repository, folder), join(root, folder), { recursive: true })
    writeFileSync(join(root, 'package.json'), '{ "type": "module" }')
    const [amqp, redis] = await freePorts(2)
    const nobody = {
      LOVAGE_BROKER_URL: `amqp://127.0.0.1:${String(amqp)}`,
      LOVAGE_RESULT_BACKEND: `redis://127.0.0.1:${String(redis)}`,
    }
    return new Services(root, { PATH: process.env['PATH'], HOME: process.env['HOME'], ...nobody, ...env })
  }

  /** What it printed. @throws what it printed, and its exit code, when it failed. */
  async run(...args: readonly string[]): Promise<string> {
    const script = join(this.#root, 'scripts/services.js')
    const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { env: this.#env })
    return stdout
  }

  /** The definition of the policy that the queue has. */
  async policyOf(queue: string): Promise<unknown> {
    const file = join(this.#root, '.lovage/services/rabbitmq.json')
    const { address } = JSON.parse(readFileSync(file, 'utf8')) as { readonly address: RabbitAddress }
    const list = async (...args: readonly string[]): Promise<readonly Readonly<Record<string, string>>[]> =>
      JSON.parse(await new RabbitControl(address).ctl([...args, '--formatter', 'json']))
    const policy = (await list('list_queues', 'name', 'policy')).find(({ name }) => name === queue)?.['policy']
    const definition = (await list('list_policies')).find(({ name }) => name === policy)?.['definition']
    return definition === undefined ? undefined : JSON.parse(definition)
  }
}

/** A program that answers whatever it hears with these words. Gives `host:port`. */
async function listenAs(answer: string): Promise<string> {
  const server = createServer(socket => {
    socket.on('error', () => undefined).once('data', () => void (answer !== '' && socket.write(answer)))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `127.0.0.1:${String((server.address() as AddressInfo).port)}`
}
