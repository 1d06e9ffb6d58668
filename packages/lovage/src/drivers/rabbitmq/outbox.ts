/**
 * What goes out: messages for task queues, now or later, and dead letters. Sees to it that what they are to end up in is
 * there, once for each link.
 */
import type { Publication, PublishOutcome } from '../../broker.ts'
import { crashPoint } from '../../core/crash-point.ts'
import { BrokerError, coerceError, IllegalStateError } from '../../core/errors.ts'
import { within } from './connection.ts'
import { toOutgoing } from './message.ts'
import { delayedExchange, delayedRoutingKey } from './names.ts'
import { isUnroutable, Publisher } from './publisher.ts'
import type { Outgoing } from './publisher.ts'
import type { RabbitSession } from './session.ts'
import type { Topology } from './topology.ts'

/** Where queues are written down, because AMQP has no way to list them. */
export interface QueueRegister {
  note(queue: string): Promise<void>
  list(): Promise<readonly string[]>
}

/** How long a first message waits until its queue is written down. */
const noteMs = 1000

interface Draft {
  readonly publication: Publication
  readonly outgoing: Outgoing
  /** Whole; 0: at once. */
  readonly delayS: number
}

export class Outbox {
  readonly #session: RabbitSession
  readonly #topology: Topology
  readonly #register: QueueRegister
  /** A channel apart: what goes wrong with the delay's exchanges is no other message's affair. */
  readonly #delaying: Publisher
  /** Queues written down, or tried. */
  readonly #noted = new Map<string, Promise<void>>()
  readonly #known = new Set<string>()

  constructor(session: RabbitSession, topology: Topology, register: QueueRegister) {
    this.#session = session
    this.#topology = topology
    this.#register = register
    this.#delaying = new Publisher(session.publishing)
  }

  /** One outcome each, in order. @throws {IllegalStateError} the connection is closed. */
  async publish(batch: readonly Publication[]): Promise<readonly PublishOutcome[]> {
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

  /** @throws {ConfigurationError} it is there, declared otherwise. */
  async declare(queue: string): Promise<void> {
    await this.#topology.queue(queue)
    await this.note(queue)
  }

  /** Once per process. That it cannot be written down keeps no message from its queue. */
  note(queue: string): Promise<void> {
    const noting = this.#noted.get(queue)
    if (noting !== undefined) return noting
    const work = this.#register.note(queue)
    const noted = within(this.#session.publishing.clock, noteMs, { what: 'write down a queue', work })
    const begun = noted.catch(() => undefined).then(() => void this.#known.add(queue))
    this.#noted.set(queue, begun)
    return begun
  }

  /** A message that has its note. */
  async park(outgoing: Outgoing): Promise<PublishOutcome> {
    await this.#topology.parked()
    const [outcome = accepted] = await this.#session.publisher.publish([outgoing])
    if (isUnroutable(outcome)) this.#topology.forgetAll()
    return outcome
  }

  /** One message for a queue, not before `delayMs` from now. */
  async send(outgoing: Outgoing, queue: string, delayMs: number): Promise<PublishOutcome> {
    // a delay there is to be: rounded down, but not to none
    const delayed = this.#delayed(outgoing, queue, delayMs > 0 ? Math.max(1000, delayMs) : 0)
    await (delayed.delayS > 0 ? this.#topology.delay(queue) : this.#topology.queue(queue))
    const publisher = delayed.delayS > 0 ? this.#delaying : this.#session.publisher
    const [outcome = accepted] = await publisher.publish([delayed.outgoing])
    if (isUnroutable(outcome)) this.#topology.forget(queue)
    return outcome
  }

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
      const outcome = outcomes.get(draft)
      if (outcome !== undefined) return outcome
      const error = refusals.get(draft.publication.queue) ?? new BrokerError('The message was not sent')
      return { accepted: 'no', error }
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
      const declaring = delayS > 0 ? this.#topology.delay(queue) : this.declare(queue)
      await declaring.catch((error: unknown) => {
        if (error instanceof IllegalStateError) throw error
        refusals.set(queue, coerceError(error))
      })
    }
    return refusals
  }

  #now(): number {
    return this.#session.publishing.clock.now()
  }
}

const accepted: PublishOutcome = { accepted: 'yes' }

function isDraft(draft: Draft | PublishOutcome): draft is Draft {
  return 'outgoing' in draft
}
