/**
 * Publishes with confirms: many messages are under way at once, each gets its own answer. Persistent and mandatory
 * unless told: a message that no queue took is an error, though the broker confirms it.
 */
import type { ConfirmChannel, Message, Options } from 'amqplib'
import type { PublishOutcome } from '../../broker.ts'
import type { Timer } from '../../core/clock.ts'
import { crashPoint } from '../../core/crash-point.ts'
import {
  BrokerConnectionError,
  BrokerError,
  BrokerTimeoutError,
  EncodeError,
  IllegalStateError,
  MessageTooLargeError,
  coerceError,
} from '../../core/errors.ts'
import { heard, within } from './connection.ts'
import type { RabbitConnection } from './connection.ts'
import { channelFault } from './faults.ts'
import { closeChannel } from './link.ts'
import type { Link } from './link.ts'

export interface Outgoing {
  /** `''`: the default exchange, whose routing key is a queue's name. */
  readonly exchange: string
  readonly routingKey: string
  readonly body: Buffer
  /** Headers by `toTable`. Never `expiration`: the broker would drop it and nobody would hear of it. */
  readonly properties: Omit<Options.Publish, 'expiration' | 'mandatory'>
  /** Whether it is an error when no queue takes it. @default true */
  readonly mandatory?: boolean | undefined
  /** The broker handed it out, and takes back whatever size it has. @default false */
  readonly isCopy?: boolean | undefined
}

/** RabbitMQ's own limit since 4.0. */
export const largestBodyBytes: number = 16 * 1024 * 1024

/** What is under way and not yet confirmed; more wait. */
const windowSize = 4096
const windowBytes = 4 * largestBodyBytes

const blocked = 'it is blocked, its memory or disk is short. rabbitmqctl status shows its alarms and limits'

interface Pending {
  readonly message: Outgoing
  /** Idempotent. */
  readonly resolve: (outcome: PublishOutcome) => void
  isReturned: boolean
}

/** What one call publishes. */
interface Batch {
  /** Monotonic ms: how long the broker's next answer is waited for. Later with each one. */
  until: number
  readonly sent: Pending[]
  /** Its time was over. */
  isOver: boolean
}

interface Open {
  readonly link: Link
  readonly channel: ConfirmChannel
  /** What the broker said when it closed the channel. */
  refusal?: Error
}

export class Publisher {
  readonly #connection: RabbitConnection
  readonly #timeoutMs: number
  #open: Open | undefined
  #opening: Promise<Open> | undefined
  /** In the order they were sent. */
  readonly #pending = new Set<Pending>()
  #pendingBytes = 0
  readonly #onRoom = new Set<() => void>()

  /**
   * @param options timeoutMs: how long a publish waits for the broker's next answer to one of its messages, reconnects and
   * blocked brokers included. @default 10000
   */
  constructor(connection: RabbitConnection, options: { readonly timeoutMs?: number } = {}) {
    this.#connection = connection
    this.#timeoutMs = options.timeoutMs ?? 10_000
  }

  /**
   * One outcome each, in order; never rejects for a message. `unknown`: the connection or the time ended before the
   * broker answered. @throws {IllegalStateError} the connection is closed.
   */
  async publish(messages: readonly Outgoing[]): Promise<readonly PublishOutcome[]> {
    if (messages.length === 0) return []
    if (this.#connection.state === 'closed') throw new IllegalStateError('This connection to RabbitMQ is closed')
    const release = this.#connection.hold()
    const batch: Batch = { until: this.#later(), sent: [], isOver: false }
    const patience = this.#expireLater(batch)
    try {
      return await Promise.all(await this.#sendAll(messages, batch))
    } finally {
      patience.cancel()
      release()
    }
  }

  /**
   * Goes on over another channel; what is under way on this one may end as `unknown`. For messages that were confirmed
   * and are not there: when a stream's process has died, a channel that wrote to it may confirm and drop for ever.
   */
  renew(): void {
    const open = this.#open
    this.#open = undefined
    if (open !== undefined) closeChannel(open.channel).catch(() => undefined)
  }

  async #sendAll(messages: readonly Outgoing[], batch: Batch): Promise<Promise<PublishOutcome>[]> {
    const outcomes: Promise<PublishOutcome>[] = []
    let refused: PublishOutcome | undefined
    for (const message of messages) {
      const tooLarge = tooLargeError(message)
      if (tooLarge !== undefined) {
        outcomes.push(Promise.resolve({ accepted: 'no', error: tooLarge }))
        continue
      }
      // nobody would look after what is sent when the time is over
      let open = batch.isOver ? undefined : this.#ready()
      if (open === undefined && refused === undefined) {
        const waited = await this.#whenReady(batch).catch(toRefusal)
        if ('accepted' in waited) refused = waited
        else open = waited
      }
      outcomes.push(open === undefined ? Promise.resolve(refused ?? away) : this.#send(open, message, batch))
    }
    return outcomes
  }

  /** The channel, if it takes a message now. */
  #ready(): Open | undefined {
    const open = this.#open
    const isRoom = this.#pending.size < windowSize && this.#pendingBytes < windowBytes
    return open !== undefined && !open.link.isLost && !open.link.isBlocked && isRoom ? open : undefined
  }

  /** @throws {BrokerConnectionError | BrokerTimeoutError} not until the batch's time is over. */
  async #whenReady(batch: Batch): Promise<Open> {
    const { clock } = this.#connection
    for (;;) {
      const leftMs = batch.until - clock.monotonic()
      if (leftMs <= 0 || batch.isOver)
        throw new BrokerTimeoutError(`RabbitMQ took no message for ${this.#timeoutMs} ms`)
      const link = await this.#connection.link(leftMs)
      const listen = (listener: () => void): (() => void) => link.onUnblocked(listener)
      await heard(clock, leftMs, { what: blocked, listen })
      if (this.#open?.link !== link)
        await within(clock, leftMs, { what: 'open a channel', work: this.#reopen(link) }).catch(ignoreLost(link))
      const open = this.#ready()
      if (open !== undefined && !batch.isOver) return open
      if (this.#open?.link === link && !link.isBlocked)
        await heard(clock, leftMs, { what: 'confirm what is under way', listen: listener => this.#whenRoom(listener) })
    }
  }

  #reopen(link: Link): Promise<Open> {
    this.#opening ??= this.#openOn(link).finally(() => (this.#opening = undefined))
    return this.#opening
  }

  async #openOn(link: Link): Promise<Open> {
    const channel = await link.confirmChannel(() => {
      if (this.#open?.channel === channel) this.#open = undefined
    })
    const open: Open = { link, channel }
    channel.on('error', error => (open.refusal = coerceError(error)))
    channel.on('return', message => this.#returned(message))
    this.#open = open
    return open
  }

  #whenRoom(listener: () => void): () => void {
    this.#onRoom.add(listener)
    return () => void this.#onRoom.delete(listener)
  }

  #later(): number {
    return this.#connection.clock.monotonic() + this.#timeoutMs
  }

  #send(open: Open, message: Outgoing, batch: Batch): Promise<PublishOutcome> {
    const { promise, resolve } = Promise.withResolvers<PublishOutcome>()
    const pending: Pending = { message, resolve: outcome => this.#settle(pending, resolve, outcome), isReturned: false }
    const { exchange, routingKey, body, properties, mandatory = true } = message
    try {
      crashPoint('P5')
      const options = { persistent: true, ...properties, mandatory }
      open.channel.publish(exchange, routingKey, body, options, (error: unknown) => {
        batch.until = this.#later()
        pending.resolve(confirmed(pending, open, error))
      })
    } catch (error) {
      // nothing was written: it has no form on the wire, or the channel has just ended
      resolve({ accepted: 'no', error: isChannelOver(error) ? coerceError(error) : unwritable(message, error) })
      return promise
    }
    this.#pending.add(pending)
    this.#pendingBytes += body.length
    batch.sent.push(pending)
    return promise
  }

  #settle(pending: Pending, resolve: (outcome: PublishOutcome) => void, outcome: PublishOutcome): void {
    if (!this.#pending.delete(pending)) return
    this.#pendingBytes -= pending.message.body.length
    resolve(outcome)
    for (const listener of this.#onRoom) listener()
    this.#onRoom.clear()
  }

  /** A return comes before the confirm of the same message, and in the order of sending. */
  #returned({ fields, properties }: Message): void {
    for (const pending of this.#pending) {
      const { exchange, routingKey, properties: sent, mandatory = true } = pending.message
      const isIt =
        mandatory &&
        !pending.isReturned &&
        exchange === fields.exchange &&
        routingKey === fields.routingKey &&
        (sent.correlationId ?? undefined) === ((properties.correlationId as string | undefined) ?? undefined)
      if (!isIt) continue
      pending.isReturned = true
      return
    }
  }

  /** Slow is not silent: each answer gives the rest of the batch its time anew. */
  #expireLater(batch: Batch): Timer {
    const { clock } = this.#connection
    const check = (): void => {
      const leftMs = batch.until - clock.monotonic()
      if (leftMs > 0) timer = clock.after(leftMs, check)
      else this.#expire(batch)
    }
    let timer = clock.after(this.#timeoutMs, check)
    return { cancel: () => timer.cancel() }
  }

  #expire(batch: Batch): void {
    batch.isOver = true
    const error = new BrokerTimeoutError(`RabbitMQ did not confirm the message within ${this.#timeoutMs} ms`)
    for (const pending of batch.sent) pending.resolve({ accepted: 'unknown', error })
  }
}

const away: PublishOutcome = { accepted: 'no', error: new BrokerConnectionError('RabbitMQ is away') }

function toRefusal(error: unknown): PublishOutcome {
  if (error instanceof IllegalStateError) throw error
  return { accepted: 'no', error: coerceError(error) }
}

/** A link that was lost meanwhile is waited for again. */
function ignoreLost(link: Link): (error: unknown) => void {
  return error => {
    if (!link.isLost) throw error
  }
}

function confirmed({ isReturned, message }: Pending, open: Open, error: unknown): PublishOutcome {
  if (isReturned) return { accepted: 'no', error: unroutable(message) }
  if (error === null || error === undefined) return { accepted: 'yes' }
  if (open.refusal !== undefined)
    return { accepted: 'unknown', error: channelFault(open.refusal, `publish to "${message.routingKey}"`) }
  // the channel ended, with its link or without it: its end is told before the link's
  if (coerceError(error).message !== 'message nacked') {
    const away = new BrokerConnectionError('The connection was lost before the broker confirmed the message')
    return { accepted: 'unknown', error: away }
  }
  const text = `The broker refused a message for "${message.routingKey}": its queue is full, or in trouble. rabbitmqctl list_queues name messages policy arguments state shows which`
  return { accepted: 'no', error: new BrokerError(text, { cause: error }) }
}

/** Marks an outcome's error: no queue took the message. */
const unroutableReason = 'unroutable'

function unroutable({ exchange, routingKey }: Outgoing): BrokerError {
  const target =
    exchange === '' ? `There is no queue "${routingKey}"` : `No queue is bound to "${exchange}" for "${routingKey}"`
  const text = `${target}: somebody deleted it since it was declared. Send again: it is declared anew`
  return new BrokerError(text, { details: { reason: unroutableReason, exchange, routingKey } })
}

/** Whether a message was not accepted because no queue took it. */
export function isUnroutable(outcome: PublishOutcome): boolean {
  return (
    outcome.accepted === 'no' &&
    outcome.error instanceof BrokerError &&
    outcome.error.details['reason'] === unroutableReason
  )
}

/** By the client, whose channel was closed in the same turn. */
function isChannelOver(error: unknown): boolean {
  return error instanceof Error && error.name === 'IllegalOperationError'
}

/** @param error what the client says: most likely that the headers do not fit its 64 KiB. */
function unwritable({ routingKey }: Outgoing, error: unknown): EncodeError {
  const cause = coerceError(error)
  const text = `A message for "${routingKey}" has no form on the wire: ${cause.message}. Pass data as arguments, not as headers`
  return new EncodeError(text, { cause })
}

function tooLargeError({ body, routingKey, isCopy = false }: Outgoing): MessageTooLargeError | undefined {
  if (isCopy || body.length <= largestBodyBytes) return undefined
  const text = `A message for "${routingKey}" has ${body.length} bytes, RabbitMQ takes ${largestBodyBytes}. Send a reference to the data`
  return new MessageTooLargeError(text, { details: { bytes: body.length, limit: largestBodyBytes } })
}
