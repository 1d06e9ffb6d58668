/** A connection of the driver with the ways tests look at it. */
import type { Broker, Delivery, Subscription } from '../../../src/broker.ts'
import type { Coordination } from '../../../src/coordination.ts'
import type { Clock } from '../../../src/core/clock.ts'
import { RabbitBroker } from '../../../src/drivers/rabbitmq/broker.ts'
import { RabbitCoordination } from '../../../src/drivers/rabbitmq/coordination.ts'
import { parseLocation } from '../../../src/drivers/rabbitmq/location.ts'
import { RabbitSession } from '../../../src/drivers/rabbitmq/session.ts'
import type { RabbitControl } from '../../../../../test-support/rabbitmq-server.ts'
import { publication } from '../../../src/testing/conformance/fixtures.ts'

export interface Peer extends AsyncDisposable {
  readonly session: RabbitSession
  readonly broker: Broker
  readonly coordination: Coordination
  close(): Promise<void>
}

/** Opened; closed at the end of the test. */
export async function openPeer(
  url: string,
  {
    roundMs,
    consumerTimeoutMs,
    clock,
  }: { readonly roundMs?: number; readonly consumerTimeoutMs?: number; readonly clock?: Clock } = {},
): Promise<Peer> {
  const location = parseLocation(url)
  const session = new RabbitSession(consumerTimeoutMs === undefined ? location : { ...location, consumerTimeoutMs }, {
    clock,
  })
  const coordination = new RabbitCoordination(session)
  const register = { note: (queue: string) => coordination.note(queue), list: () => coordination.queues() }
  const broker = new RabbitBroker(session, { register, signs: coordination, roundMs })
  await broker.open()
  const close = async (): Promise<void> => {
    await Promise.all([broker.close(), coordination.close()])
    await session.close()
  }
  return { session, broker, coordination, close, [Symbol.asyncDispose]: close }
}

export interface Sink {
  readonly subscription: Subscription
  /** Everything that was delivered. */
  readonly seen: Delivery[]
  readonly ids: Set<string>
}

/** Consumes and acknowledges everything at once, unless told to hold it. */
export async function drain(
  broker: Broker,
  {
    queue = 'queue',
    prefetch = 50,
    hold = false,
  }: { readonly queue?: string; readonly prefetch?: number; readonly hold?: boolean } = {},
): Promise<Sink> {
  const seen: Delivery[] = []
  const ids = new Set<string>()
  const subscription = await broker.consume([queue], {
    prefetch,
    consumer: 'sink@test',
    onDeliveries(batch) {
      for (const delivery of batch) {
        seen.push(delivery)
        ids.add(String(delivery.message.headers['id']))
        if (!hold) void broker.settle({ delivery, disposition: { kind: 'ack' } }).catch(() => undefined)
      }
    },
  })
  return { subscription, seen, ids }
}

/** Publishes until `stop`, a few at a time; what was confirmed, and what may have been. */
export class Load {
  readonly accepted = new Set<string>()
  readonly unknown = new Set<string>()
  readonly #broker: Broker
  readonly #running: Promise<void>
  #isOver = false
  #count = 0

  constructor(broker: Broker, { writers = 4, batch = 5 }: { readonly writers?: number; readonly batch?: number } = {}) {
    this.#broker = broker
    this.#running = Promise.all(Array.from({ length: writers }, () => this.#write(batch))).then(() => undefined)
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }

  async #write(batch: number): Promise<void> {
    while (!this.#isOver) {
      const publications = Array.from({ length: batch }, () => publication(`m${this.#count++}`))
      const outcomes = await this.#broker.publish(publications)
      for (const [index, { id }] of publications.entries()) {
        const accepted = outcomes[index]?.accepted
        if (accepted === 'yes') this.accepted.add(id)
        if (accepted === 'unknown') this.unknown.add(id)
      }
    }
  }
}

/** What the queue has handed out and not had acknowledged. */
export async function unacknowledged(server: RabbitControl, queue = 'queue'): Promise<number> {
  const lines = await server.ctl(['list_queues', 'name', 'messages_unacknowledged', '--no-table-headers'])
  const found = lines.split('\n').find(line => line.startsWith(`${queue}\t`))
  return Number(found?.split('\t')[1])
}
