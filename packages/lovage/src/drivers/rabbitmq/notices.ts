/** Events and control: to all who listen now, on exchanges that are Celery's where the address is. */
import { randomUUID } from 'node:crypto'
import type { Notice } from '../../broker.ts'
import type { WireMessage } from '../../core/wire.ts'
import type { RabbitConnection } from './connection.ts'
import { callListener, closeChannel } from './link.ts'
import type { Link } from './link.ts'
import { toBody, toProperties, toWireMessage } from './message.ts'
import { matchesPattern, noticeListener, noticeRoute } from './names.ts'
import type { NoticeListener } from './names.ts'
import { Publisher } from './publisher.ts'
import type { RabbitSession } from './session.ts'
import type { Topology } from './topology.ts'

const openMs = 10_000

export class Notices {
  readonly #consuming: RabbitConnection
  readonly #topology: Topology
  /** A channel apart from the tasks': what goes wrong with an event is no task's affair. */
  readonly #publisher: Publisher
  readonly #endings = new Set<() => Promise<void>>()

  constructor(session: RabbitSession, topology: Topology) {
    this.#consuming = session.consuming
    this.#topology = topology
    this.#publisher = new Publisher(session.publishing)
  }

  /** @throws what kept it from being sent; never that nobody listens. */
  async send(address: string, message: WireMessage): Promise<void> {
    const route = noticeRoute(address)
    if (!this.#topology.hasExchange(route.exchange)) await this.#topology.exchange(route)
    const properties = { ...toProperties(message), deliveryMode: 1, persistent: false }
    const { exchange, routingKey } = route
    const [outcome] = await this.#publisher.publish([
      { exchange, routingKey, body: toBody(message), properties, mandatory: false },
    ])
    if (outcome === undefined || outcome.accepted === 'yes') return
    // perhaps its exchange was deleted
    this.#topology.forgetAll()
    throw outcome.error
  }

  /** Declared and bound when it resolves; again on every new link. What was sent meanwhile is missed. */
  async listen(pattern: string, onNotice: (notice: Notice) => void): Promise<() => Promise<void>> {
    const listener = noticeListener(pattern, randomUUID())
    const receive = (routingKey: string, message: WireMessage): void => {
      const address = listener.toAddress(routingKey)
      if (!isOver && matchesPattern(address, pattern)) callListener(() => onNotice({ address, message }))
    }
    let isOver = false
    let close = await openListener(await this.#consuming.link(openMs), listener, receive)
    const forget = this.#consuming.onConnect(async link => {
      close = await openListener(link, listener, receive)
    })
    const release = this.#consuming.hold()
    const end = async (): Promise<void> => {
      if (isOver) return
      isOver = true
      this.#endings.delete(end)
      forget()
      release()
      await close()
    }
    this.#endings.add(end)
    return end
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#endings, end => end()))
  }
}

async function openListener(
  link: Link,
  { exchange, type, durable, queue, options, bindingKey }: NoticeListener,
  receive: (routingKey: string, message: WireMessage) => void,
): Promise<() => Promise<void>> {
  const channel = await link.channel()
  await channel.assertExchange(exchange, type, { durable })
  await channel.assertQueue(queue, options)
  await channel.bindQueue(queue, exchange, bindingKey)
  await channel.consume(
    queue,
    message => {
      if (message !== null) receive(message.fields.routingKey, toWireMessage(message))
    },
    { noAck: true, exclusive: true },
  )
  return async () => {
    if (!link.isLost) await closeChannel(channel)
  }
}
