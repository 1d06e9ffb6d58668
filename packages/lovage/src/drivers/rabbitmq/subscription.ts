/**
 * A subscription over several queues: one channel at a time (a Lane), renewed with the link.
 *
 * State: opening → open → closed. While open it may be without a lane: the link is lost and will be restored, or the
 * channel was closed by the broker and is opened again.
 */
import type { ConsumeMessage } from 'amqplib'
import type { ConsumeOptions, Delivery, Subscription } from '../../broker.ts'
import type { Timer } from '../../core/clock.ts'
import { BrokerConnectionError, BrokerError, coerceError } from '../../core/errors.ts'
import { within } from './connection.ts'
import type { RabbitConnection } from './connection.ts'
import { DeafCheck } from './deaf-check.ts'
import { channelFault } from './faults.ts'
import { Interruptions } from './interruptions.ts'
import { Lane } from './lane.ts'
import type { Held } from './holds.ts'
import type { Link } from './link.ts'
import { LongDeliveries } from './long-deliveries.ts'
import type { LongHolds } from './long-holds.ts'
import { bindToDelay, declareTaskQueue } from './topology.ts'

export interface SubscriptionParts {
  readonly connection: RabbitConnection
  readonly queues: readonly string[]
  readonly options: ConsumeOptions
  /** Unique in this process. */
  readonly id: number
  /** From a message to what the worker gets. */
  readonly toDelivery: (token: string, held: Held) => Delivery
  /** It is closed, and nothing of it is held any more. */
  readonly onGone: () => void
  /** How often a consumer that gets nothing is checked. */
  readonly checkMs: number
  readonly longHolds: LongHolds
  /** After how long a delivery is held by a copy. */
  readonly longAfterMs: number
}

/**
 * Deliveries over the prefetch, which several queues or an old limit can bring, are given back after this. Not at once:
 * who gets them sees that they were somebody's, and has to ask the store before it may begin.
 */
const longestSpareMs = 1000
/** How long a broker that is back may refuse what it had before: it is still coming up. */
const comingUpMs = 30_000
const reopenMs = 200
const cancelMs = 2000
const muteAfterMs = 10_000

interface Spare {
  readonly tag: number
  readonly held: Held
}

export class RabbitSubscription implements Subscription {
  readonly #parts: SubscriptionParts
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #lane: Lane | undefined
  #laneNumber = 0
  /** What is handed on unsettled. */
  #prefetch: number
  /** What the consumers were told, which may be another figure for a while: `limitFor`. */
  #limit: number
  readonly #paused = new Set<string>()
  /** Received, not yet handed on: in this turn, or because the prefetch is full. */
  #spare: Spare[] = []
  #isHandingOver = false
  /** Set while the worker is full and nothing is fetched. */
  #isFull = false
  #spareTimer: Timer | undefined
  #adjusting: Promise<void> | undefined
  #mustAdjust = false
  #mayGrow = false
  /** By a broker that is back. `since`: monotonic ms; undefined: it did not refuse. */
  #refusal: { readonly error: unknown; readonly since: number } | undefined
  readonly #interruptions: Interruptions
  readonly #deafCheck: DeafCheck
  readonly #long: LongDeliveries
  readonly #endings: (() => void)[] = []
  /** Goes on after a close, while something is held. */
  #extensions: Timer | undefined

  constructor(parts: SubscriptionParts) {
    this.#parts = parts
    this.#prefetch = parts.options.prefetch
    this.#limit = parts.options.prefetch
    this.#interruptions = new Interruptions(parts.connection.clock, parts.options.onInterruption)
    this.#deafCheck = new DeafCheck(parts.connection)
    this.#long = new LongDeliveries(parts, lane => this.#settled(lane))
  }

  /** @throws {ConfigurationError} a queue is there, declared otherwise. @throws {BrokerConnectionError} */
  async start(timeoutMs: number): Promise<void> {
    const { connection, checkMs, longAfterMs } = this.#parts
    const link = await connection.link(timeoutMs)
    const checks = connection.clock.every(checkMs, () => void this.#check())
    const extensions = connection.clock.every(longAfterMs / 8, () => this.#extendLong())
    this.#endings.push(
      connection.onConnect(renewed => this.#restore(renewed)),
      connection.onLost(error => this.#lost(error)),
      connection.onRetryFailed(error => this.#retryFailed(error)),
      connection.hold(),
      () => checks.cancel(),
    )
    this.#extensions = extensions
    this.#state = 'open'
    try {
      await this.#openLane(link)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  setPrefetch(prefetch: number): void {
    const grid = onGrid(prefetch)
    if (grid === this.#prefetch) return
    this.#prefetch = grid
    const limit = limitFor(grid, this.#limit)
    this.#mayGrow ||= limit > this.#limit
    this.#limit = limit
    this.#isFull = false
    this.#handOverSoon()
    this.#adjust()
  }

  setPaused(queue: string, paused: boolean): void {
    if (paused) this.#paused.add(queue)
    else this.#paused.delete(queue)
    if (paused) this.#giveBack(({ held }) => held.queue === queue)
    this.#adjust()
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const end of this.#endings) end()
    this.#spareTimer?.cancel()
    // a broker that does not answer must not keep a worker from ending
    const work = this.#cancelAll()
    await within(this.#parts.connection.clock, cancelMs, { what: 'end the consumers', work }).catch(() => undefined)
    this.#giveBack(() => true)
    this.#leaveIfEmpty()
  }

  async #cancelAll(): Promise<void> {
    await this.#adjusting
    await this.#lane?.cancelAll().catch(() => undefined)
  }

  /** Ends the channel: what is held becomes everybody's. */
  async abandon(): Promise<void> {
    await this.close()
    const lane = this.#lane
    this.#lane = undefined
    await lane?.close()
  }

  /** What a token stands for; undefined: it is no longer held here. */
  find(laneNumber: number, tag: number): { readonly lane: Lane; readonly held: Held } | undefined {
    const lane = this.#lane
    const held = laneNumber === this.#laneNumber ? lane?.holds.get(tag) : undefined
    return lane === undefined || held === undefined ? undefined : { lane, held }
  }

  // ── the channel ───────────────────────────────────────────────────────────────────────────────────

  async #openLane(link: Link): Promise<void> {
    const { connection, queues } = this.#parts
    for (const queue of queues) {
      await declareTaskQueue(link, queue, connection.location)
      await bindToDelay(link, queue)
    }
    const opened: { lane?: Lane } = {}
    const channel = await link.channel(refusal => this.#laneEnded(opened.lane, refusal))
    const lane = new Lane(
      { link, channel, clock: connection.clock },
      {
        onMessage: (queue, message) => this.#receive(lane, queue, message),
        onSettled: () => this.#settled(lane),
      },
    )
    opened.lane = lane
    this.#lane = lane
    this.#laneNumber++
    this.#deafCheck.restart()
    this.#refusal = undefined
    this.#adjust()
    await this.#adjusting
    if (this.#lane === lane) this.#interruptions.ended()
  }

  /** Runs on every new link. */
  async #restore(link: Link): Promise<void> {
    if (this.#state !== 'open') return
    try {
      await this.#openLane(link)
    } catch (error) {
      const since = this.#refusal?.since ?? this.#now()
      this.#refusal = { error, since }
      // it may be about what was not yet there again when it was asked
      if (link.isLost || this.#now() - since < comingUpMs) throw error
      this.#end(coerceError(error))
    }
  }

  #retryFailed(error: Error): void {
    // it is away again, or still
    if (error !== this.#refusal?.error) this.#refusal = undefined
    this.#interrupted(error)
  }

  #lost(error: Error): void {
    this.#dropLane()
    this.#interrupted(new BrokerConnectionError(`The connection was lost: ${error.message}`, { cause: error }))
  }

  #interrupted(reason: Error): void {
    if (this.#state === 'open') this.#interruptions.began(reason)
  }

  #dropLane(): void {
    this.#lane?.end()
    this.#lane = undefined
    this.#spare = []
    this.#isFull = false
    if (this.#state !== 'closed') return
    this.#extensions?.cancel()
    this.#parts.onGone()
  }

  /** By the broker, with the link still there: an acknowledgement that came too late, a queue in trouble. */
  #laneEnded(lane: Lane | undefined, refusal: Error | undefined): void {
    if (lane === undefined || this.#lane !== lane) return
    this.#dropLane()
    if (this.#state !== 'open' || lane.link.isLost) return
    const { connection } = this.#parts
    // without one it has most likely ended with its link, which is told next
    if (refusal !== undefined) this.#interrupted(channelFault(refusal, `consume ${this.#parts.queues.join(', ')}`))
    connection.clock.after(reopenMs, () => {
      if (this.#state !== 'open' || this.#lane !== undefined || connection.current !== lane.link) return
      this.#openLane(lane.link).catch((error: unknown) => connection.renew(coerceError(refusal ?? error)))
    })
  }

  #adjust(): void {
    this.#mustAdjust = true
    this.#adjusting ??= this.#adjustAll().finally(() => (this.#adjusting = undefined))
  }

  async #adjustAll(): Promise<void> {
    const name = this.#parts.options.consumer
    while (this.#mustAdjust) {
      this.#mustAdjust = false
      const mayGrow = this.#mayGrow
      this.#mayGrow = false
      for (const queue of this.#parts.queues) {
        const isStopped = this.#state === 'closed' || this.#isFull || this.#paused.has(queue)
        // a channel that ends meanwhile is told of by its own event
        const wanted = isStopped ? 0 : Math.max(0, this.#limit - this.#long.count(queue))
        await this.#lane?.adjust(queue, wanted, { name, mayGrow }).catch(() => undefined)
      }
    }
  }

  // ── what comes ────────────────────────────────────────────────────────────────────────────────────

  #receive(lane: Lane, queue: string, message: ConsumeMessage | undefined): void {
    if (message === undefined) return this.#queueGone(lane, queue)
    const tag = message.fields.deliveryTag
    const held = lane.holds.get(tag)
    if (this.#lane !== lane || held === undefined) return
    this.#deafCheck.heard(queue)
    this.#interruptions.ended()
    if (this.#state === 'closed' || this.#paused.has(queue)) return void lane.holds.requeue(tag)
    if (this.#parts.longHolds.isCopy(message)) return void this.#decide(lane, { tag, held })
    this.#spare.push({ tag, held })
    this.#handOverSoon()
  }

  /** A copy came round: it is handed over only if nobody has the task any more. */
  async #decide(lane: Lane, spare: Spare): Promise<void> {
    const { connection, longHolds } = this.#parts
    const { message, queue } = spare.held
    const decision = await longHolds.decide(message, queue).catch(() => undefined)
    if (this.#lane !== lane) return
    if (decision === 'acknowledge') return void lane.holds.ack(spare.tag)
    if (decision === undefined || this.#state !== 'open')
      return void connection.clock.after(reopenMs, () => lane.holds.requeue(spare.tag))
    this.#spare.push(spare)
    this.#handOverSoon()
  }

  /** Deleted, or its node is gone: declared and consumed again. */
  #queueGone(lane: Lane, queue: string): void {
    if (this.#state !== 'open' || this.#lane !== lane) return
    const { connection } = this.#parts
    declareTaskQueue(lane.link, queue, connection.location)
      .then(() => bindToDelay(lane.link, queue))
      .then(
        () => {
          lane.returned(queue)
          this.#adjust()
        },
        (error: unknown) => connection.renew(coerceError(error)),
      )
  }

  #handOverSoon(): void {
    if (this.#isHandingOver || this.#spare.length === 0) return
    this.#isHandingOver = true
    // all that came in one read is one batch
    queueMicrotask(() => {
      this.#isHandingOver = false
      this.#handOver()
    })
  }

  #handOver(): void {
    const lane = this.#lane
    if (lane === undefined || this.#state !== 'open') return
    const room = this.#prefetch - this.#long.size - (lane.holds.size - this.#spare.length)
    const batch = this.#spare.splice(0, Math.max(0, room))
    if (this.#spare.length > 0) this.#giveBackLater()
    if (batch.length === 0) return
    const { options, toDelivery, id } = this.#parts
    try {
      options.onDeliveries(batch.map(({ tag, held }) => toDelivery(tokenOf(id, this.#laneNumber, tag), held)))
    } catch (error) {
      this.#end(coerceError(error))
    }
  }

  #settled(lane: Lane): void {
    if (this.#lane !== lane) return
    if (this.#state === 'closed') return this.#leaveIfEmpty()
    this.#handOverSoon()
    if (this.#isFull && lane.holds.size < this.#prefetch) this.#isFull = false
    this.#adjust()
  }

  /** Consumers may bring more than the worker wants: others may have it, unless it is wanted soon. */
  #giveBackLater(): void {
    if (this.#spareTimer !== undefined) return
    const newest = this.#spare.at(-1)
    this.#spareTimer = this.#parts.connection.clock.after(longestSpareMs, () => {
      this.#spareTimer = undefined
      if (this.#spare.length === 0 || this.#state !== 'open') return
      if (newest !== undefined && !this.#spare.includes(newest)) return this.#giveBackLater()
      this.#isFull = true
      this.#limit = this.#prefetch
      this.#adjust()
      void this.#adjusting?.then(() => this.#giveBack(() => true))
    })
  }

  #giveBack(isIt: (spare: Spare) => boolean): void {
    const back = this.#spare.filter(isIt)
    this.#spare = this.#spare.filter(spare => !back.includes(spare))
    for (const { tag } of back) this.#lane?.holds.requeue(tag)
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────

  #end(error: Error): void {
    if (this.#state === 'closed') return
    void this.close().then(() => this.#parts.options.onEnd?.(error))
  }

  #leaveIfEmpty(): void {
    const lane = this.#lane
    if (lane !== undefined && lane.holds.size > 0) return
    this.#lane = undefined
    this.#extensions?.cancel()
    this.#parts.onGone()
    void lane?.close()
  }

  async #check(): Promise<void> {
    const lane = this.#lane
    const listening = lane === undefined ? [] : this.#parts.queues.filter(queue => lane.hasRoom(queue))
    const deaf = await this.#deafCheck.find(listening)
    if (lane === undefined || this.#lane !== lane || deaf.length === 0) return
    const where = `Messages wait in ${deaf.join(', ')}, and none is delivered`
    if (lane.holds.size === 0) return this.#parts.connection.renew(new BrokerError(`${where}: connecting anew`))
    // with the connection would go what is held, and would run twice
    this.#interrupted(new BrokerError(`${where}: consuming anew`))
    for (const queue of deaf) lane.distrust(queue)
    this.#adjust()
    await this.#renewIfMute(lane)
  }

  /** A channel that answers nothing takes no acknowledgements either: what is held would be lost with it, sooner or later. */
  async #renewIfMute(lane: Lane): Promise<void> {
    const { connection } = this.#parts
    try {
      await within(connection.clock, muteAfterMs, { what: 'consume anew', work: this.#adjusting ?? Promise.resolve() })
    } catch (error) {
      if (this.#lane === lane) connection.renew(coerceError(error))
    }
  }

  #extendLong(): void {
    const number = this.#laneNumber
    if (this.#lane !== undefined) this.#long.extend(this.#lane, tag => tokenOf(this.#parts.id, number, tag))
  }

  #now(): number {
    return this.#parts.connection.clock.monotonic()
  }
}

function tokenOf(subscription: number, lane: number, tag: number): string {
  return `${subscription}.${lane}.${tag}`
}

/** Small steps of a large prefetch are not worth a new consumer: rounded down to an eighth of its power of two. */
function onGrid(prefetch: number): number {
  if (prefetch < 16) return Math.min(prefetch, 65_535)
  const step = 2 ** (Math.floor(Math.log2(prefetch)) - 3)
  return Math.min(Math.floor(prefetch / step) * step, 65_535)
}

/**
 * What the consumers are told, who have `limit`. To tell them is to end them and begin others: three answers of the
 * broker, in which nothing comes. A prefetch wavers with the pace of quick tasks, so consumers that have much are told
 * of what is much more, and not of less: what comes and is not wanted for a while goes back, and then they are told.
 */
function limitFor(prefetch: number, limit: number): number {
  if (prefetch === 0 || limit < 16) return prefetch
  return prefetch >= 2 * limit ? prefetch : limit
}
