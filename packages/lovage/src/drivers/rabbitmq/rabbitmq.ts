/** The driver of RabbitMQ: queues as Celery declares them, results and coordination beside them. docs/rabbitmq.md tells how it works. */
import type { Connection, DriverOptions } from '../../backend.ts'
import { maskUrl } from '../../core/redact.ts'
import { RabbitBroker } from './broker.ts'
import { within } from './connection.ts'
import { RabbitCoordination } from './coordination.ts'
import { parseLocation } from './location.ts'
import { resultQueues } from './results/names.ts'
import { RpcResults } from './results/rpc-results.ts'
import { RabbitSession } from './session.ts'

/** How long a broker may take to answer the end of all channels. */
const closeMs = 5000

/**
 * Connections of its own to one virtual host; `open` on one of its halves is the first I/O.
 * @param url `amqp://user:password@host:port/vhost`, or `amqps://`; several with `;` between for fail-over.
 * @throws {ConfigurationError} an option of the URL cannot be used.
 */
export function openRabbit(url: string, { app = 'lovage', leaseMs }: DriverOptions = {}): Connection {
  const session = new RabbitSession(parseLocation(url, leaseMs))
  const coordination = new RabbitCoordination(session)
  const broker = new RabbitBroker(session, {
    register: { note: queue => coordination.note(queue), list: () => coordination.queues() },
    signs: coordination,
    ownAddress: resultQueues(app).inbox,
  })
  const results = new RpcResults(session, { app })
  return {
    broker,
    results,
    coordination,
    description: maskUrl(url),
    async close() {
      // who awaits the end must not be ended by it
      for (const connection of [session.publishing, session.consuming]) connection.hold()
      const work = Promise.all([broker.close(), coordination.close(), results.close()])
      // a broker that does not answer: what is still open ends with the sockets
      await within(session.consuming.clock, closeMs, { what: 'close', work }).catch(() => undefined)
      await session.close()
    },
  }
}
