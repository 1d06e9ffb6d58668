/** Declares queues and exchanges, each once per link: what is known of a lost link is forgotten. */
import type { Channel } from 'amqplib'
import { ConfigurationError } from '../../core/errors.ts'
import { within } from './connection.ts'
import type { RabbitConnection } from './connection.ts'
import { isNotFound } from './faults.ts'
import type { Link } from './link.ts'
import type { Location } from './location.ts'
import {
  delayedBindingKey,
  delayedExchange,
  delayLevels,
  deliveryExchange,
  parkedQueue,
  queueArguments,
} from './names.ts'
import type { NoticeExchange } from './names.ts'

/** Longer than the broker takes for any of these. */
const timeoutMs = 10_000

export class Topology {
  readonly #connection: RabbitConnection
  #link: Link | undefined
  /** By what was declared; a failure is forgotten. */
  readonly #done = new Map<string, Promise<void>>()
  /** What of it has succeeded. */
  readonly #known = new Set<string>()

  constructor(connection: RabbitConnection) {
    this.#connection = connection
  }

  /** Whether the queue was declared on the present link: there is no need to wait. */
  hasQueue(queue: string): boolean {
    return this.#isCurrent() && this.#known.has(`queue ${queue}`)
  }

  hasExchange(exchange: string): boolean {
    return this.#isCurrent() && this.#known.has(`exchange ${exchange}`)
  }

  hasDelay(queue: string): boolean {
    return this.#isCurrent() && this.#known.has(`delay ${queue}`)
  }

  /** @throws {ConfigurationError} it is there, declared otherwise. */
  queue(queue: string): Promise<void> {
    return this.#once(`queue ${queue}`, link => declareTaskQueue(link, queue, this.#connection.location))
  }

  /** The levels of the delay, and that what has waited finds this queue. */
  async delay(queue: string): Promise<void> {
    await this.queue(queue)
    await this.#levels()
    await this.#once(
      `delay ${queue}`,
      on(`bind ${queue} to ${deliveryExchange}`, async channel => {
        await channel.bindQueue(queue, deliveryExchange, delayedBindingKey(queue))
      }),
    )
  }

  parked(): Promise<void> {
    return this.#once(
      parkedQueue,
      on(`declare the queue ${parkedQueue}`, async channel => {
        await channel.assertQueue(parkedQueue, { durable: true })
      }),
    )
  }

  exchange({ exchange, type, durable }: NoticeExchange): Promise<void> {
    return this.#once(
      `exchange ${exchange}`,
      on(`declare the exchange ${exchange}`, async channel => {
        await channel.assertExchange(exchange, type, { durable })
      }),
    )
  }

  /** It turned out not to be there any more. */
  forget(queue: string): void {
    for (const key of [`queue ${queue}`, `delay ${queue}`]) {
      this.#done.delete(key)
      this.#known.delete(key)
    }
  }

  forgetAll(): void {
    this.#done.clear()
    this.#known.clear()
  }

  /** Who came first decided how the level queues are declared; they are left as they are. */
  async #levels(): Promise<void> {
    const isThere = await this.#once(
      'delay?',
      on(`look for ${delayedExchange}`, async channel => {
        await channel.checkExchange(delayedExchange)
      }),
    ).then(
      () => true,
      () => false,
    )
    if (!isThere) await this.#once('delay levels', on('declare the levels of the delay', declareDelay))
  }

  #once(what: string, declare: (link: Link) => Promise<void>): Promise<void> {
    this.#isCurrent()
    const known = this.#done.get(what)
    if (known !== undefined) return known
    const declaring = this.#declare(what, declare)
    this.#done.set(what, declaring)
    declaring.then(
      () => this.#done.get(what) === declaring && this.#known.add(what),
      () => this.#done.get(what) === declaring && this.#done.delete(what),
    )
    return declaring
  }

  /** On the next link if this one is lost in the middle. */
  async #declare(what: string, declare: (link: Link) => Promise<void>): Promise<void> {
    const { clock } = this.#connection
    const until = clock.monotonic() + timeoutMs
    for (;;) {
      const link = await this.#connection.link(until - clock.monotonic())
      try {
        return await within(clock, timeoutMs, { what: `declare ${what}`, work: declare(link) })
      } catch (error) {
        if (!link.isLost || clock.monotonic() > until) throw error
      }
    }
  }

  #isCurrent(): boolean {
    const link = this.#connection.current
    if (this.#link !== link) {
      this.#link = link
      this.#done.clear()
      this.#known.clear()
    }
    return link !== undefined
  }
}

function on(what: string, use: (channel: Channel) => Promise<void>): (link: Link) => Promise<void> {
  return link => link.withChannel(what, use)
}

/**
 * The queue alone. Celery also declares an exchange of the same name, whose type is its own to choose (direct, or topic
 * for delays), and publishes to the default exchange as we do: whoever declared that first would be in the other's way.
 * @throws {ConfigurationError}
 */
export async function declareTaskQueue(link: Link, queue: string, location: Location): Promise<void> {
  if (location.queueType === 'existing') return await findTaskQueue(link, queue)
  await link.withChannel(`declare the queue "${queue}"`, async channel => {
    await channel.assertQueue(queue, { durable: true, arguments: queueArguments(location) })
  })
}

/** @throws {ConfigurationError} it is not there. */
async function findTaskQueue(link: Link, queue: string): Promise<void> {
  try {
    await link.withChannel(`look for the queue "${queue}"`, async channel => void (await channel.checkQueue(queue)))
  } catch (error) {
    if (!isNotFound(causeOf(error))) throw error
    throw new ConfigurationError(
      `There is no queue "${queue}", and by ?queueType=existing none is declared here: start who declares it (Celery's worker does), or declare it yourself`,
      { cause: error },
    )
  }
}

/** On a channel of its own: whether the delayed messages of others come out on this virtual host. */
export async function bindToDelay(link: Link, queue: string): Promise<void> {
  await link
    .withChannel('look for delayed delivery', async channel => {
      await channel.checkExchange(deliveryExchange)
      await channel.bindQueue(queue, deliveryExchange, delayedBindingKey(queue))
    })
    .catch((error: unknown) => {
      // nobody has delayed anything here yet; who does will bind it
      if (!isNotFound(causeOf(error))) throw error
    })
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : error
}

/** From the last level up, so that no message waits at a level that leads nowhere. */
async function declareDelay(channel: Channel): Promise<void> {
  await channel.assertExchange(deliveryExchange, 'topic', { durable: true })
  for (const level of delayLevels.toReversed()) {
    await channel.assertExchange(level.name, 'topic', { durable: true })
    await channel.assertQueue(level.name, { durable: true, arguments: level.queueArguments })
    await channel.bindQueue(level.name, level.name, level.waits)
    await channel.bindExchange(level.next, level.name, level.passes)
  }
}
