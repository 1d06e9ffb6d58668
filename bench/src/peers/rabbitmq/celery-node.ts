/** celery-node as its README has it, with its amqp:// results: a queue for each task, looked at every half second. */
import { createClient } from 'celery-node'
import { fileURLToPath } from 'node:url'
import type { Client, Peer, Sent, Setup } from '../peer.ts'
import { rabbitOf } from './hand-written.ts'

const workerFile = fileURLToPath(import.meta.resolve('./celery-node-worker.ts'))

export const celeryNode: Peer = {
  name: 'celery-node',
  configuration: () => ({
    driver: 'celery-node, its amqplib 0.8',
    durability: 'persistent tasks, not confirmed, acknowledged before they run; transient results',
    prefetch: 'none: all there are',
    results: 'amqp://, a durable queue for each task, looked at every 500 ms',
  }),
  // with more on their way it is busy looking
  load: { batch: 10, batchesInFlight: 10 },
  openClient: setup => Promise.resolve(new CeleryNodeClient(setup)),
  worker: setup => ({ args: [workerFile, rabbitOf(setup).url], env: {} }),
}

class CeleryNodeClient implements Client {
  readonly #client: ReturnType<typeof createClient>

  constructor(setup: Setup) {
    const { url } = rabbitOf(setup)
    this.#client = createClient(url, url)
  }

  /** It does not tell when a task is sent. */
  send(count: number): Promise<Sent> {
    const task = this.#client.createTask('bench.add')
    const sent = Array.from({ length: count }, (_, index) => task.applyAsync([index, 1]))
    return Promise.resolve({
      ids: sent.map(({ taskId }) => taskId),
      results: async () => {
        const values: unknown[] = await Promise.all(sent.map(result => result.get()))
        const wrong = values.findIndex((value, index) => value !== index + 1)
        if (wrong !== -1) throw new Error(`${String(wrong)} + 1 gave ${String(values[wrong])}`)
      },
    })
  }

  async close(): Promise<void> {
    await this.#client.disconnect()
  }
}
