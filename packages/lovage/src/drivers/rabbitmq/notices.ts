/** Events and control: to all who listen now, on exchanges that are Celery's where the address is. */
import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import type { Notice } from '../../broker.ts'
import type { WireMessage } from '../../core/wire.ts'
import type { RabbitConnection } from './connection.ts'
import { callListener, closeChannel } from './link.ts'
import type { Link } from './link.ts'
import { toBody, toProperties, toWireMessage } from './message.ts'
import { matchesPattern, noticeListener, noticeRoute } from './names.ts'
import { Publisher } from './publisher.ts'
import type { RabbitSession } from './session.ts'
import type { Topology } from './topology.ts'

const openMs = 10_000
const reopenMs = 200

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
    const listener = new Listener(this.#consuming, pattern, onNotice)
    await listener.start()
    const release = this.#consuming.hold()
    const end = async (): Promise<void> => {
      if (!this.#endings.delete(end)) return
      release()
      await listener.end()
    }
    this.#endings.add(end)
    return end
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#endings, end => end()))
  }
}

/**
 * A queue of one's own on each link, until `end`. One that is deleted, or whose channel the broker closes, is followed
 * by another one: a worker that hears no command any more would not know.
 */
class Listener {
  readonly #connection: RabbitConnection
  readonly #pattern: string
  readonly #onNotice: (notice: Notice) => void
  #channel: Channel | undefined
  #isOver = false
  #forget: () => void = () => undefined

  constructor(connection: RabbitConnection, pattern: string, onNotice: (notice: Notice) => void) {
    this.#connection = connection
    this.#pattern = pattern
    this.#onNotice = onNotice
  }

  async start(): Promise<void> {
    await this.#open(await this.#connection.link(openMs))
    this.#forget = this.#connection.onConnect(link => this.#open(link))
  }

  async end(): Promise<void> {
    this.#isOver = true
    this.#forget()
    if (this.#channel !== undefined) await closeChannel(this.#channel)
  }

  async #open(link: Link): Promise<void> {
    // a name of its own: while the broker has not noticed that the last link is gone, that one's queue is still locked
    const { exchange, type, durable, queue, options, bindingKey, toAddress } = noticeListener(
      this.#pattern,
      randomUUID(),
    )
    let isListening = false
    const channel = await link.channel(() => {
      if (isListening) this.#openLater(link)
    })
    await channel.assertExchange(exchange, type, { durable })
    await channel.assertQueue(queue, options)
    await channel.bindQueue(queue, exchange, bindingKey)
    const onMessage = (message: ConsumeMessage | null): void => {
      if (message === null) return void closeChannel(channel)
      this.#tell(toAddress(message.fields.routingKey), message)
    }
    await channel.consume(queue, onMessage, { noAck: true, exclusive: true })
    this.#channel = channel
    isListening = true
    if (this.#isOver) await closeChannel(channel)
  }

  #tell(address: string, message: ConsumeMessage): void {
    if (this.#isOver || !matchesPattern(address, this.#pattern)) return
    callListener(() => this.#onNotice({ address, message: toWireMessage(message) }))
  }

  /** The next link opens it by itself. */
  #openLater(link: Link): void {
    this.#channel = undefined
    this.#connection.clock.after(reopenMs, () => {
      if (this.#isOver || link.isLost) return
      this.#open(link).catch(() => this.#openLater(link))
    })
  }
}
