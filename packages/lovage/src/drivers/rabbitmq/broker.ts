/** The broker half. Tokens name a subscription, its channel and the delivery tag on it: one of an older channel is void. */
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
import { crashPoint } from '../../core/crash-point.ts'
import { BrokerError, coerceError, IllegalStateError, PublishError } from '../../core/errors.ts'
import type { WireMessage } from '../../core/wire.ts'
import { isNotFound } from './faults.ts'
import { LongHolds } from './long-holds.ts'
import type { Signs } from './long-holds.ts'
import type { Held } from './holds.ts'
import type { Lane } from './lane.ts'
import type { Location } from './location.ts'
import { again, handOvers, textOf, toBody, toOutgoing, toProperties, toWireMessage } from './message.ts'
import { delayedExchange, delayedRoutingKey } from './names.ts'
import { Notices } from './notices.ts'
import { listParked, parkedAgain, takeParked, toParked } from './parked.ts'
import { isUnroutable, Publisher } from './publisher.ts'
import type { Outgoing } from './publisher.ts'
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

/** Where queues are written down, because AMQP has no way to list them. */
export interface QueueRegister {
  note(queue: string): Promise<void>
  list(): Promise<readonly string[]>
}

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

interface Draft {
  readonly publication: Publication
  readonly outgoing: Outgoing
  /** Whole; 0: at once. */
  readonly delayS: number
}

export class RabbitBroker implements Broker {
  readonly capabilities: BrokerCapabilities
  readonly #session: RabbitSession
  readonly #topology: Topology
  /** A channel apart: what goes wrong with the delay's exchanges is no other message's affair. */
  readonly #delaying: Publisher
  readonly #notices: Notices
  readonly #subscriptions = new Map<number, RabbitSubscription>()
  /** Tokens that are being settled. */
  readonly #settling = new Set<string>()
  readonly #register: QueueRegister
  /** Those written down, and those that are being. */
  readonly #noted = new Map<string, Promise<void>>()
  readonly #known = new Set<string>()
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
    this.#topology = new Topology(session.publishing)
    this.#delaying = new Publisher(session.publishing)
    this.#notices = new Notices(session, this.#topology)
    this.#checkMs = checkMs
    this.#longHolds = new LongHolds({
      clock: session.consuming.clock,
      signs,
      send: (outgoing, queue, delayMs) => this.#sendAgain(outgoing, queue, delayMs),
      roundMs,
    })
  }

  open(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    return this.#session.open(options)
  }

  async declare(queues: readonly string[]): Promise<void> {
    this.#assertOpen()
    for (const queue of new Set(queues)) await this.#declareQueue(queue)
  }

  async publish(batch: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    this.#assertOpen()
    const drafts = batch.map(publication => this.#draft(publication))
    const outcomes = await this.#publishDrafts(drafts)
    if (!outcomes.some(isUnroutable)) return outcomes
    // its queue was deleted since it was declared
    const missing = drafts.filter((draft, index) => isDraft(draft) && isUnroutable(outcomes[index] ?? accepted))
    for (const draft of missing) if (isDraft(draft)) this.#topology.forget(draft.publication.queue)
    const second = await this.#publishDrafts(missing)
    return outcomes.map((outcome, index) => {
      const at = missing.indexOf(drafts[index] ?? accepted)
      return at < 0 ? outcome : (second[at] ?? outcome)
    })
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
    await Promise.all(queues.map(queue => this.#note(queue)))
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
    if (this.#settling.has(token) || this.#held(token) === undefined) return 'lost'
    this.#settling.add(token)
    try {
      assertAccepted(await this.publish(successors))
      const replacement = this.#replacement(delivery, disposition)
      if (replacement !== undefined) assertAccepted([await replacement])
      return (await this.#giveUp(token, disposition)) ? 'settled' : 'lost'
    } finally {
      this.#settling.delete(token)
    }
  }

  async park(publication: Publication, reason: string): Promise<void> {
    this.#assertOpen()
    assertAccepted([await this.#park(toParked(publication, reason, this.#now()))])
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
    return { queue, ready: ready ?? 0, delayed: 0, unsettled: 0 }
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

  // ── publishing ────────────────────────────────────────────────────────────────────────────────────

  #draft(publication: Publication): Draft | PublishOutcome {
    const { queue, notBefore = 0 } = publication
    try {
      return { publication, ...this.#delayed(toOutgoing(publication), queue, notBefore - this.#now()) }
    } catch (error) {
      return { accepted: 'no', error: coerceError(error) }
    }
  }

  /** In whole seconds, rounded down: who gets it early waits for the rest. */
  #delayed(
    outgoing: Outgoing,
    queue: string,
    delayMs: number,
  ): { readonly outgoing: Outgoing; readonly delayS: number } {
    const delayS = Math.max(0, Math.floor(delayMs / 1000))
    if (delayS === 0) return { outgoing, delayS }
    const routingKey = delayedRoutingKey(delayS, queue)
    return { outgoing: { ...outgoing, exchange: delayedExchange, routingKey }, delayS }
  }

  async #publishDrafts(drafts: readonly (Draft | PublishOutcome)[]): Promise<readonly PublishOutcome[]> {
    const refusals = await this.#declareFor(drafts.filter(isDraft))
    const ready = drafts.filter(isDraft).filter(({ publication }) => !refusals.has(publication.queue))
    const [now, later] = [ready.filter(({ delayS }) => delayS === 0), ready.filter(({ delayS }) => delayS > 0)]
    const sending = Promise.all([
      this.#session.publisher.publish(now.map(({ outgoing }) => outgoing)),
      this.#delaying.publish(later.map(({ outgoing }) => outgoing)),
    ])
    crashPoint('P2')
    const [sentNow, sentLater] = await sending
    crashPoint('P3')
    // perhaps an exchange of the delay was deleted
    if (sentLater.some(({ accepted: verdict }) => verdict !== 'yes')) this.#topology.forgetAll()
    const outcomes = new Map<Draft, PublishOutcome | undefined>()
    for (const [index, draft] of now.entries()) outcomes.set(draft, sentNow[index])
    for (const [index, draft] of later.entries()) outcomes.set(draft, sentLater[index])
    return drafts.map(draft => {
      if (!isDraft(draft)) return draft
      const error = refusals.get(draft.publication.queue) ?? new BrokerError('The message was not sent')
      return outcomes.get(draft) ?? { accepted: 'no', error }
    })
  }

  /** The queues that could not be declared, and why. */
  async #declareFor(drafts: readonly Draft[]): Promise<ReadonlyMap<string, Error>> {
    const refusals = new Map<string, Error>()
    const isKnown = ({ publication: { queue }, delayS }: Draft): boolean =>
      delayS > 0 ? this.#topology.hasDelay(queue) : this.#topology.hasQueue(queue) && this.#known.has(queue)
    for (const { publication, delayS } of drafts.filter(draft => !isKnown(draft))) {
      const { queue } = publication
      if (refusals.has(queue)) continue
      const declaring = delayS > 0 ? this.#topology.delay(queue) : this.#declareQueue(queue)
      await declaring.catch((error: unknown) => {
        if (error instanceof IllegalStateError) throw error
        refusals.set(queue, coerceError(error))
      })
    }
    return refusals
  }

  async #declareQueue(queue: string): Promise<void> {
    await this.#topology.queue(queue)
    await this.#note(queue)
  }

  /** Once per process. That it cannot be written down keeps no message from its queue. */
  #note(queue: string): Promise<void> {
    const noting = this.#noted.get(queue)
    if (noting !== undefined) return noting
    const begun = this.#register.note(queue).then(
      () => void this.#known.add(queue),
      () => void this.#noted.delete(queue),
    )
    this.#noted.set(queue, begun)
    return begun
  }

  async #park(outgoing: Outgoing): Promise<PublishOutcome> {
    await this.#topology.parked()
    const [outcome = accepted] = await this.#session.publisher.publish([outgoing])
    if (isUnroutable(outcome)) this.#topology.forgetAll()
    return outcome
  }

  // ── settling ──────────────────────────────────────────────────────────────────────────────────────

  /** What is published in its place before it is acknowledged; undefined: nothing. */
  #replacement(delivery: Delivery, disposition: Disposition): Promise<PublishOutcome> | undefined {
    const message = this.#held(delivery.token)?.message
    if (message === undefined || disposition.kind === 'ack') return undefined
    const { queue } = delivery
    if (disposition.kind === 'park') {
      const { properties, headers } = delivery.message
      const id = properties.correlationId ?? textOf(headers['id'])
      const copy = again(message, queue, { crashed: false, headers: {} })
      return this.#park(parkedAgain(copy, { id, queue, reason: disposition.reason, parkedAt: this.#now() }))
    }
    // the original of what is held by a copy is acknowledged: there is nothing to give back
    if (isPlainRequeue(disposition) && this.#longHolds.find(delivery.token) === undefined) return undefined
    const { crashed = false, headers = {}, delayMs = 0 } = disposition
    return this.#sendAgain(again(message, queue, { crashed, headers }), queue, delayMs)
  }

  async #sendAgain(outgoing: Outgoing, queue: string, delayMs: number): Promise<PublishOutcome> {
    // a delay there is to be: rounded down, but not to none
    const delayed = this.#delayed(outgoing, queue, delayMs > 0 ? Math.max(1000, delayMs) : 0)
    await (delayed.delayS > 0 ? this.#topology.delay(queue) : this.#topology.queue(queue))
    const publisher = delayed.delayS > 0 ? this.#delaying : this.#session.publisher
    const [outcome = accepted] = await publisher.publish([delayed.outgoing])
    if (isUnroutable(outcome)) this.#topology.forget(queue)
    return outcome
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

const accepted: PublishOutcome = { accepted: 'yes' }

function isDraft(draft: Draft | PublishOutcome): draft is Draft {
  return 'outgoing' in draft
}

function isPlainRequeue({ delayMs = 0, crashed = false }: Extract<Disposition, { kind: 'requeue' }>): boolean {
  return delayMs <= 0 && !crashed
}

function toDelivery(token: string, { message, queue }: Held): Delivery {
  return { token, queue, message: toWireMessage(message), ...handOvers(message) }
}

/** @throws {PublishError} */
function assertAccepted(outcomes: readonly PublishOutcome[]): void {
  for (const outcome of outcomes) {
    if (outcome.accepted === 'yes') continue
    const { accepted: verdict, error } = outcome
    throw new PublishError(error.message, { cause: error, accepted: verdict })
  }
}
