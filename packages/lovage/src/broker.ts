/**
 * The broker seam: transports messages from those who send tasks to the workers that run them.
 * At least once is the contract: what was accepted is delivered until it is settled. Drivers carry bytes and headers;
 * nothing outside `drivers/` asks which driver it has, it asks a capability. The contract is the conformance suite
 * in `testing/conformance/broker/`; these comments say what it checks.
 */
import type { StateRecord } from './core/record.ts'
import type { WireMessage } from './core/wire.ts'

/** Facts about a driver, fixed after construction. */
export interface BrokerCapabilities {
  /**
   * `publish` takes `notBefore` of any distance; without it, the worker's DueQueue waits. `'seconds'`: in whole seconds,
   * rounded down, so that a message may come up to a second early and the worker waits for the rest.
   */
  readonly delay: boolean | 'seconds'
  /** 0 = none, else the highest, which goes first. Where it is more than 9, the rest is for what others send. */
  readonly priorities: number
  /** Messages can be published inside the caller's own database transaction. */
  readonly transactions: boolean
  /** How an unsettled delivery comes back when its worker is gone. */
  readonly redelivery: 'connection' | 'lease'
  /**
   * `'counted'`: `deliveryCount` and `crashCount` are exact. `'flagged'`: it is known only that a message was handed over
   * before, and of crashes only those that a `requeue` tells of.
   */
  readonly handOvers: 'counted' | 'flagged'
  /** A message given back without a delay is the next again; else others may pass it. */
  readonly keepsPlace: boolean
  /** `stats` tells what is delayed and unsettled, too. */
  readonly counts: boolean
  /** `publish` and `settle` write the given records in the same transaction. */
  readonly atomicSettle: boolean
}

/** A message to send. */
export interface Publication {
  /** The task's id. Several messages may carry the same one: a retry does. */
  readonly id: string
  readonly queue: string
  readonly message: WireMessage
  /** 0–9, 9 first. @default 0 */
  readonly priority?: number | undefined
  /** Epoch milliseconds before which it is delivered to nobody. */
  readonly notBefore?: number | undefined
  /** Written together with the message where the driver has `atomicSettle`; ignored elsewhere. */
  readonly record?: StateRecord | undefined
}

/** What became of one publication. */
export type PublishOutcome =
  | { readonly accepted: 'yes' }
  /** `'unknown'`: it may be in the queue. Sent again with the same id it is the same task, which may run twice. */
  | { readonly accepted: 'no' | 'unknown'; readonly error: Error }

/** One hand-over of a message to one worker, to be settled exactly once. Plain data. */
export interface Delivery {
  /** The driver's own key: give it back as it came. It names this hand-over, not the message: the fencing token. */
  readonly token: string
  readonly queue: string
  readonly message: WireMessage
  /** Hand-overs of this message so far, this one included: 1 at first. */
  readonly deliveryCount: number
  /** Whether it was handed to somebody before. A redelivery is not a crash. */
  readonly redelivered: boolean
  /** Workers that died while they held it and may have been running it. */
  readonly crashCount: number
}

/** How a delivery ends. */
export type Disposition =
  | { readonly kind: 'ack' }
  /**
   * Back to its place in the queue; with a delay, not before that many milliseconds from now.
   * `crashed`: the thread or process it ran in died, which counts as a crash. `headers`: with a delay, added to the
   * message's, for whoever gets it next.
   */
  | {
      readonly kind: 'requeue'
      readonly delayMs?: number | undefined
      readonly crashed?: boolean | undefined
      readonly headers?: Readonly<Record<string, unknown>> | undefined
    }
  /** Out of the queue into the dead letters, with the reason. */
  | { readonly kind: 'park'; readonly reason: string }

export interface Settlement {
  readonly delivery: Delivery
  readonly disposition: Disposition
  /** Messages that follow from it: a retry, a chain's next. Published before the delivery is given up. */
  readonly successors?: readonly Publication[] | undefined
  /** The state it leaves behind. Only where `atomicSettle`: elsewhere `Backend.settle` stores it first. */
  readonly record?: StateRecord | undefined
  /** Final states of other tasks: the rest of a chain that will not be called any more. `Backend.settle` stores them. */
  readonly ended?: readonly StateRecord[] | undefined
  /** What foreign clients are told of it. `Backend.settle` sends them, where the broker has `reply`. */
  readonly replies?: readonly Reply[] | undefined
}

/** A state of a task, for the queue that a foreign client waits at. */
export interface Reply {
  readonly address: string
  readonly message: WireMessage
}

/**
 * `settled`: it is done. `lost`: the delivery was no longer this worker's, nothing was published or given back;
 * a final record is still taken when the task had none.
 * `overtaken`: what was to follow from this record would not follow from the state that is stored, because that is
 * final already, or further. Nothing was done: ask the store, and settle with what follows from its state.
 */
export type SettleOutcome = 'settled' | 'lost' | 'overtaken'

export interface ConsumeOptions {
  /** Never more unsettled deliveries than this. May be changed later. */
  readonly prefetch: number
  /** The worker's node name, `name@host`: who holds what, for people. */
  readonly consumer: string
  /** Called with every batch. Its throw is a bug and closes the subscription. */
  readonly onDeliveries: (batch: readonly Delivery[]) => void
  /** Nothing comes for now, and why; the driver sees to it by itself. Undefined: it comes again. */
  readonly onInterruption?: ((reason: Error | undefined) => void) | undefined
  /** The subscription ended by itself: the broker is gone for good. */
  readonly onEnd?: ((error: Error) => void) | undefined
}

export interface Subscription {
  /** Takes effect for what is fetched from now on. */
  setPrefetch(prefetch: number): void
  /** Stops fetching from one of the queues, or takes it up again. What is held stays. */
  setPaused(queue: string, paused: boolean): void
  /** Fetches no more. `onDeliveries` is not called after this resolves; what is held stays to be settled. Idempotent. */
  close(): Promise<void>
}

export interface QueueStats {
  readonly queue: string
  readonly ready: number
  /** Waiting for their time; undefined: the broker does not tell. */
  readonly delayed: number | undefined
  /** Handed to workers, not yet settled; undefined: the broker does not tell. */
  readonly unsettled: number | undefined
}

/** A message out of the queues, kept for a look. */
export interface ParkedMessage {
  /** The driver's own id of the parked message. */
  readonly parkedId: string
  /** The task's id, as its publication said. */
  readonly id: string
  readonly queue: string
  readonly reason: string
  /** Epoch milliseconds. */
  readonly parkedAt: number
  readonly message: WireMessage
}

export interface Page<T> {
  readonly items: readonly T[]
  /** Give it back for the next page; undefined: this was the last. */
  readonly cursor?: string | undefined
}

/** What was sent to an address: events and control. At most once, only to those listening then, in order per sender. */
export interface Notice {
  readonly address: string
  readonly message: WireMessage
}

export interface Broker {
  readonly capabilities: BrokerCapabilities
  /**
   * Opens it: on return everything below works. Idempotent. Later drops are repaired inside.
   * @throws {BrokerConnectionError | StorageError} when it cannot be opened.
   */
  open(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Makes the queues known. Idempotent; publishing and consuming declare by themselves. */
  declare(queues: readonly string[]): Promise<void>
  /**
   * Hands messages over; one outcome each, in order. Resolves when the broker has taken responsibility: it never rejects
   * for a message. All calls of one turn of the event loop travel as one batch.
   */
  publish(batch: readonly Publication[]): Promise<readonly PublishOutcome[]>
  consume(queues: readonly string[], options: ConsumeOptions): Promise<Subscription>
  /**
   * Notes that these deliveries begin to run now, durably against the death of this process. On the first hand-over
   * it is implied; a delivery with a `crashCount` is blamed for another crash only if this was called for it.
   * Resolves to the deliveries among them that are this worker's no more.
   */
  markStarted(deliveries: readonly Delivery[]): Promise<readonly Delivery[]>
  /** Ends a delivery: successors, record and disposition in one step where the driver can. Calls of one turn are one batch. */
  settle(settlement: Settlement): Promise<SettleOutcome>
  /** Puts a message that is in no queue among the dead letters. */
  park(publication: Publication, reason: string): Promise<void>
  /** The dead letters, newest first. */
  parked(options?: {
    readonly queue?: string | undefined
    readonly cursor?: string | undefined
    readonly limit?: number | undefined
  }): Promise<Page<ParkedMessage>>
  /** Removes one from the dead letters and gives it; undefined: there is none of that id. */
  takeParked(parkedId: string): Promise<ParkedMessage | undefined>
  /**
   * Tells a foreign client the state of its task, at the address its message names; absent: this broker knows no such
   * addresses. Resolves when the broker has it, also when nobody waits there any more, or when the address is our own,
   * whose states are in the store.
   */
  reply?(reply: Reply): Promise<void>
  /** Sends to all who listen now. Never an error that nobody does. */
  send(address: string, message: WireMessage): Promise<void>
  /** @param pattern an address, or a prefix ending in `*`. Resolves to the function that ends it. */
  listen(pattern: string, onNotice: (notice: Notice) => void): Promise<() => Promise<void>>
  /** The queues there are. */
  queues(): Promise<readonly string[]>
  stats(queue: string): Promise<QueueStats>
  /**
   * Removes what is ready, and what is delayed where that is in the queue, not what is held; how many. Their records
   * become REVOKED where `atomicSettle`.
   */
  purge(queue: string): Promise<number>
  /** Idempotent. What is held and unsettled becomes available to others at once; leaves no timer, thread or file handle. */
  close(): Promise<void>
}
