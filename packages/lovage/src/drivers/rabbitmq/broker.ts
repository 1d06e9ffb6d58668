/** The broker half. Tokens name a subscription, its channel and the delivery tag on it: one of an older channel is void. */
import type { ConsumeMessage } from 'amqplib'
import type {
  Broker,
  BrokerCapabilities,
  ConsumeOptions,
  Delivery,
  Disposition,
  Notice,
  Page,
  ParkedMessage,
  Publication,
  PublishOutcome,
  QueueStats,
  Reply,
  Settlement,
  SettleOutcome,
  Subscription,
} from '../../broker.ts'
import { BrokerError, coerceError, IllegalStateError, isRefusal, PublishError } from '../../core/errors.ts'
import type { WireMessage } from '../../core/wire.ts'
import { isNotFound } from './faults.ts'
import { LongHolds } from './long-holds.ts'
import type { Signs } from './long-holds.ts'
import type { Held } from './holds.ts'
import type { Lane } from './lane.ts'
import type { Location } from './location.ts'
import { again, handOvers, textOf, toBody, toProperties, toWireMessage } from './message.ts'
import { Notices } from './notices.ts'
import { Outbox } from './outbox.ts'
import type { QueueRegister } from './outbox.ts'
import { listParked, parkedAgain, takeParked, toParked, withFewHeaders } from './parked.ts'
import type { ParkedNote } from './parked.ts'
import type { RabbitSession } from './session.ts'
import { RabbitSubscription } from './subscription.ts'
import { Topology } from './topology.ts'

export function rabbitBrokerCapabilities({ maxPriority, queueType }: Location): BrokerCapabilities {
  return {
    delay: 'seconds',
    priorities: queueType === 'quorum' ? 0 : maxPriority,
    transactions: false,
    redelivery: 'connection',
    handOvers: 'flagged',
    // a quorum queue hands out the next one before it has taken one back
    keepsPlace: queueType === 'classic',
    counts: false,
    atomicSettle: false,
  }
}

/** How long the first answer to anything is waited for while the broker is away. */
const patienceMs = 10_000
/** How often a consumer that gets nothing is checked, unless told. */
const defaultCheckMs = 30_000
const defaultRoundMs = 20_000
/** A delivery that is held for so much of the broker's time-out is held by a copy from then on. */
const longShare = 0.8

export interface BrokerParts {
  readonly register: QueueRegister
  readonly signs: Signs
  /** Whose states are in the store already: it is told nothing. */
  readonly ownAddress?: string | undefined
  /** How often a consumer that gets nothing is checked. @default 30000 */
  readonly checkMs?: number | undefined
  /** How often the copy of a task comes round that runs longer than the broker's time-out. @default 20000 */
  readonly roundMs?: number | undefined
}

export class RabbitBroker implements Broker {
  readonly capabilities: BrokerCapabilities
  readonly #session: RabbitSession
  readonly #outbox: Outbox
  readonly #notices: Notices
  readonly #subscriptions = new Map<number, RabbitSubscription>()
  /** Tokens that are being settled. */
  readonly #settling = new Set<string>()
  readonly #register: QueueRegister
  readonly #ownAddress: string | undefined
  readonly #longHolds: LongHolds
  readonly #checkMs: number
  #subscriptionCount = 0
  #isClosed = false

  constructor(session: RabbitSession, parts: BrokerParts) {
    const { register, signs, ownAddress, checkMs = defaultCheckMs, roundMs = defaultRoundMs } = parts
    this.capabilities = rabbitBrokerCapabilities(session.location)
    this.#session = session
    this.#register = register
    this.#ownAddress = ownAddress
    const topology = new Topology(session.publishing)
    this.#outbox = new Outbox(session, topology, register)
    this.#notices = new Notices(session, topology)
    this.#checkMs = checkMs
    this.#longHolds = new LongHolds({
      clock: session.consuming.clock,
      signs,
      send: (outgoing, queue, delayMs) => this.#outbox.send(outgoing, queue, delayMs),
      roundMs,
    })
  }

  open(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    return this.#session.open(options)
  }

  async declare(queues: readonly string[]): Promise<void> {
    this.#assertOpen()
    for (const queue of new Set(queues)) await this.#outbox.declare(queue)
  }

  async publish(batch: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    this.#assertOpen()
    return await this.#outbox.publish(batch)
  }

  async consume(queues: readonly string[], options: ConsumeOptions): Promise<Subscription> {
    this.#assertOpen()
    const id = ++this.#subscriptionCount
    const subscription = new RabbitSubscription({
      connection: this.#session.consuming,
      queues: [...new Set(queues)],
      options,
      id,
      toDelivery,
      onGone: () => void this.#subscriptions.delete(id),
      checkMs: this.#checkMs,
      longHolds: this.#longHolds,
      longAfterMs: this.#session.location.consumerTimeoutMs * longShare,
    })
    this.#subscriptions.set(id, subscription)
    await subscription.start(patienceMs)
    await Promise.all(queues.map(queue => this.#outbox.note(queue)))
    return subscription
  }

  markStarted(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    this.#assertOpen()
    return Promise.resolve(deliveries.filter(({ token }) => this.#held(token) === undefined))
  }

  /** @throws {PublishError} a successor was not accepted: nothing was given up. Settle again. */
  async settle({ delivery, disposition, successors = [] }: Settlement): Promise<SettleOutcome> {
    this.#assertOpen()
    const { token } = delivery
    const isBack = disposition.kind === 'requeue' && isPlainRequeue(disposition)
    // needs nothing published, and does not wait for what cannot be
    if (isBack && successors.length === 0 && this.#find(token) !== undefined && !this.#longHolds.has(token))
      return (await this.#giveUp(token, disposition)) ? 'settled' : 'lost'
    if (this.#settling.has(token) || this.#held(token) === undefined) return 'lost'
    this.#settling.add(token)
    try {
      if (successors.length > 0) assertAccepted(await this.publish(successors))
      const replacement = this.#replacement(delivery, disposition)
      if (replacement !== undefined) {
        const outcome = await replacement
        // its copy comes round by itself
        if (isBack && outcome.accepted !== 'yes' && this.#longHolds.letGo(token)) return 'settled'
        assertAccepted([outcome])
      }
      return (await this.#giveUp(token, disposition)) ? 'settled' : 'lost'
    } finally {
      this.#settling.delete(token)
    }
  }

  async park(publication: Publication, reason: string): Promise<void> {
    this.#assertOpen()
    assertAccepted([await this.#outbox.park(toParked(publication, reason, this.#now()))])
  }

  async parked(
    options: {
      readonly queue?: string | undefined
      readonly cursor?: string | undefined
      readonly limit?: number | undefined
    } = {},
  ): Promise<Page<ParkedMessage>> {
    this.#assertOpen()
    return await listParked(this.#session.consuming, options)
  }

  async takeParked(parkedId: string): Promise<ParkedMessage | undefined> {
    this.#assertOpen()
    return await takeParked(this.#session.consuming, parkedId)
  }

  async send(address: string, message: WireMessage): Promise<void> {
    this.#assertOpen()
    await this.#notices.send(address, message)
  }

  async listen(pattern: string, onNotice: (notice: Notice) => void): Promise<() => Promise<void>> {
    this.#assertOpen()
    return await this.#notices.listen(pattern, onNotice)
  }

  /** To the queue that a foreign caller waits at. Nobody there: the caller is gone, which is no failure. */
  async reply({ address, message }: Reply): Promise<void> {
    this.#assertOpen()
    if (address === this.#ownAddress) return
    const outgoing = { exchange: '', routingKey: address, body: toBody(message), properties: toProperties(message) }
    assertAccepted(await this.#session.publisher.publish([{ ...outgoing, mandatory: false }]))
  }

  queues(): Promise<readonly string[]> {
    this.#assertOpen()
    return this.#register.list()
  }

  async stats(queue: string): Promise<QueueStats> {
    this.#assertOpen()
    const ready = await this.#orNoQueue(`count "${queue}"`, async () => {
      const what = `count what waits in "${queue}"`
      return await this.#session.publishing.withChannel(what, async c => (await c.checkQueue(queue)).messageCount)
    })
    return { queue, ready: ready ?? 0, delayed: undefined, unsettled: undefined }
  }

  async purge(queue: string): Promise<number> {
    this.#assertOpen()
    const count = await this.#orNoQueue(`purge "${queue}"`, async () => {
      return await this.#session.publishing.withChannel(
        `purge "${queue}"`,
        async c => (await c.purgeQueue(queue)).messageCount,
      )
    })
    return count ?? 0
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#longHolds.close()
    await this.#notices.close()
    await Promise.all(Array.from(this.#subscriptions.values(), subscription => subscription.abandon()))
  }

  // ── settling ──────────────────────────────────────────────────────────────────────────────────────

  /** What is published in its place before it is acknowledged; undefined: nothing. */
  #replacement(delivery: Delivery, disposition: Disposition): Promise<PublishOutcome> | undefined {
    if (disposition.kind === 'ack') return undefined
    const message = this.#held(delivery.token)?.message
    if (message === undefined) return undefined
    const { queue } = delivery
    if (disposition.kind === 'park') {
      const { properties, headers } = delivery.message
      const id = properties.correlationId ?? textOf(headers['id'])
      return this.#park(message, { id, queue, reason: disposition.reason, parkedAt: this.#now() })
    }
    // the original of what is held by a copy is acknowledged: there is nothing to give back
    if (isPlainRequeue(disposition) && !this.#longHolds.has(delivery.token)) return undefined
    const { crashed = false, headers = {}, delayMs = 0 } = disposition
    return this.#outbox.send(again(message, queue, { crashed, headers }), queue, delayMs)
  }

  /** There is no other place for it: what of it cannot be written is left out, and that is said. */
  async #park(message: ConsumeMessage, note: ParkedNote): Promise<PublishOutcome> {
    const copy = again(message, note.queue, { crashed: false, headers: {} })
    const outcome = await this.#outbox.park(parkedAgain(copy, note))
    if (outcome.accepted !== 'no' || !isRefusal(outcome.error)) return outcome
    const reason = `${note.reason} (its long headers are left out here: ${outcome.error.message})`
    return await this.#outbox.park(parkedAgain(withFewHeaders(copy), { ...note, reason }))
  }

  async #giveUp(token: string, disposition: Disposition): Promise<boolean> {
    if (await this.#longHolds.end(token)) return true
    const found = this.#find(token)
    if (found === undefined) return false
    const { lane, held } = found
    const tag = held.message.fields.deliveryTag
    const isBack = disposition.kind === 'requeue' && isPlainRequeue(disposition)
    return isBack ? lane.holds.requeue(tag) : await lane.holds.ack(tag)
  }

  #held(token: string): Held | undefined {
    return this.#find(token)?.held ?? this.#longHolds.find(token)
  }

  #find(token: string): { readonly lane: Lane; readonly held: Held } | undefined {
    const [subscription = 0, lane = 0, tag = 0] = token.split('.').map(Number)
    return this.#subscriptions.get(subscription)?.find(lane, tag)
  }

  async #orNoQueue<T>(what: string, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      if (isNotFound(coerceError(error).cause)) return undefined
      throw error instanceof Error ? error : new BrokerError(what, { cause: error })
    }
  }

  #now(): number {
    return this.#session.publishing.clock.now()
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new IllegalStateError('This broker is closed')
  }
}

function isPlainRequeue({ delayMs = 0, crashed = false }: Extract<Disposition, { kind: 'requeue' }>): boolean {
  return delayMs <= 0 && !crashed
}

function toDelivery(token: string, { message, queue }: Held): Delivery {
  return { token, queue, message: toWireMessage(message), ...handOvers(message) }
}

/** @throws {PublishError} @throws {EncodeError | MessageTooLargeError} to try again cannot help. */
function assertAccepted(outcomes: readonly PublishOutcome[]): void {
  for (const outcome of outcomes) {
    if (outcome.accepted === 'yes') continue
    const { accepted: verdict, error } = outcome
    if (isRefusal(error)) throw error
    throw new PublishError(error.message, { cause: error, accepted: verdict })
  }
}
