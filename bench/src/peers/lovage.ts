/** Lovage as its users use it: the public API here, `lovage worker` there. */
import { fileURLToPath } from 'node:url'
import { Lovage } from 'lovage'
import { defineTasks } from './lovage-tasks.ts'
import type { Client, Peer, ProgressFigures, Sent, Setup, WorkerCommand } from './peer.ts'

const tasksFile = fileURLToPath(import.meta.resolve('./lovage-tasks.ts'))
const commandFile = fileURLToPath(new URL('bin/lovage.js', import.meta.resolve('lovage/package.json')))

export const lovage: Peer = {
  name: 'lovage',
  configuration: ({ concurrency }) => ({
    driver: 'sqlite (node:sqlite)',
    durability: 'its default: enqueue FULL, claim NORMAL, settle FULL',
    prefetch: `its default, adaptive; lovage worker -c ${String(concurrency)}`,
    results: 'kept',
  }),
  openClient,
  worker,
}

export const lovageOnRabbit: Peer = {
  name: 'lovage',
  configuration: ({ concurrency }) => ({
    driver: 'amqplib',
    durability: 'persistent, confirmed, acknowledged when the result is stored',
    prefetch: `its default, adaptive; lovage worker -c ${String(concurrency)}`,
    results: 'rpc:// through inbox and stream, for every process to read; in the rows that say so, SQLite',
  }),
  openClient,
  worker,
}

function openClient(setup: Setup): Promise<Client> {
  // the environment wins over the constructor, so a developer's own must not be there
  Object.assign(process.env, environment(setup))
  return Promise.resolve(new LovageClient())
}

function worker(setup: Setup): WorkerCommand {
  return {
    args: [commandFile, 'worker', tasksFile, '-c', String(setup.concurrency)],
    env: environment(setup),
  }
}

function environment({ file, rabbit }: Setup): Record<string, string> {
  const database = `sqlite://${file}`
  if (rabbit === undefined) return { LOVAGE_BROKER_URL: database, LOVAGE_RESULT_BACKEND: '' }
  const results = rabbit.results === 'rpc' ? 'rpc://' : database
  return { LOVAGE_BROKER_URL: rabbit.url, LOVAGE_RESULT_BACKEND: results }
}

class LovageClient implements Client {
  readonly #app = new Lovage('bench')
  readonly #tasks = defineTasks(this.#app)

  async send(count: number): Promise<Sent> {
    const { add } = this.#tasks
    const sent =
      count === 1
        ? [await add.delay(0, 1)]
        : await add.applyMany(Array.from({ length: count }, (_, index) => [index, 1] as const))
    return {
      ids: sent.map(({ id }) => id),
      results: async () => {
        const values = await Promise.all(sent.map(result => result.get()))
        const wrong = values.findIndex((value, index) => value !== index + 1)
        if (wrong !== -1) throw new Error(`${String(wrong)} + 1 gave ${String(values[wrong])}`)
      },
    }
  }

  isReady(id: string): Promise<boolean> {
    return this.#tasks.add.result(id).ready()
  }

  async measureProgress(ms: number): Promise<ProgressFigures> {
    const result = await this.#tasks.spin.delay(ms)
    let seen = 0
    for await (const { state } of result.watch()) if (state === 'PROGRESS') seen++
    return { nsPerCall: await result.get(), writesPerSecond: (seen * 1000) / ms }
  }

  close(): Promise<void> {
    return this.#app.close()
  }
}
