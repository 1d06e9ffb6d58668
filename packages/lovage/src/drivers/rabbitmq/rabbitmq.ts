/** The driver of RabbitMQ: queues as Celery declares them, results and coordination beside them. docs/rabbitmq.md tells how it works. */
import type { Connection, DriverOptions } from '../../backend.ts'
import { UnsupportedError } from '../../core/errors.ts'
import { maskUrl } from '../../core/redact.ts'
import type { ResultStore } from '../../result-store.ts'
import { RabbitBroker } from './broker.ts'
import { RabbitCoordination } from './coordination.ts'
import { parseLocation } from './location.ts'
import { RabbitSession } from './session.ts'

/**
 * Connections of its own to one virtual host; `open` on one of its halves is the first I/O.
 * @param url `amqp://user:password@host:port/vhost`, or `amqps://`; several with `;` between for fail-over.
 * @throws {ConfigurationError} an option of the URL cannot be used.
 */
export function openRabbit(url: string, _options: DriverOptions = {}): Connection {
  const session = new RabbitSession(parseLocation(url))
  const coordination = new RabbitCoordination(session)
  const broker = new RabbitBroker(session, {
    note: queue => coordination.note(queue),
    list: () => coordination.queues(),
  })
  return {
    broker,
    results: noResults,
    coordination,
    description: maskUrl(url),
    async close() {
      await Promise.all([broker.close(), coordination.close()])
      await session.close()
    },
  }
}

function refuse(): never {
  throw new UnsupportedError(
    'RabbitMQ keeps no results in this version: set LOVAGE_RESULT_BACKEND to a store that does, for example sqlite:results.db',
  )
}

const noResults: ResultStore = {
  capabilities: { conditional: false, pointRead: false, retention: 'none' },
  open: async () => refuse(),
  put: async () => refuse(),
  get: async () => refuse(),
  getMany: async () => refuse(),
  watch: async () => refuse(),
  list: async () => refuse(),
  forget: async () => refuse(),
  prune: async () => refuse(),
  close: () => Promise.resolve(),
}
