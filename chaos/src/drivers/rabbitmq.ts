/** RabbitMQ alone: queue, results and coordination on one private server, which is restarted, killed, frozen and cut off. */
import { setTimeout as pause } from 'node:timers/promises'
import { startRabbit } from '../../../test-support/rabbitmq-server.ts'
import type { RabbitServer } from '../../../test-support/rabbitmq-server.ts'
import type { ChaosDriver, Left } from './driver.ts'

export const rabbitmq: ChaosDriver = {
  name: 'rabbitmq',
  recoveryGoalMs: 500,
  async start({ folder }) {
    const server = await startRabbit({ dir: folder })
    return {
      brokerUrl: server.url(),
      faults: [
        { name: 'broker restarted', run: () => again(server, () => server.stop()) },
        { name: 'broker killed', run: () => again(server, () => server.kill()) },
        { name: 'broker frozen', run: random => freeze(server, 1000 + random.next() * 4000) },
        { name: 'connections closed', run: () => server.closeConnections() },
      ],
      left: () => count(server),
      stop: () => server[Symbol.asyncDispose](),
    }
  },
}

async function again(server: RabbitServer, end: () => Promise<void>): Promise<void> {
  await end()
  await server.start()
}

async function freeze(server: RabbitServer, ms: number): Promise<void> {
  server.freeze()
  await pause(ms)
  server.thaw()
}

/** Of `celery`, and what waits in the levels of the delay. */
async function count(server: RabbitServer): Promise<Left> {
  const text = await server.ctl([
    'list_queues',
    '--no-table-headers',
    'name',
    'messages_ready',
    'messages_unacknowledged',
  ])
  const rows = text
    .trim()
    .split('\n')
    .map(line => line.split('\t'))
  const [, ready = 0, unsettled = 0] = rows.find(([name]) => name === 'celery')?.map(Number) ?? []
  const delayed = rows
    .filter(([name]) => name?.startsWith('celery_delayed_'))
    .reduce((sum, [, messages, held]) => sum + Number(messages) + Number(held), 0)
  return { ready, delayed, unsettled }
}
