/**
 * A connection to RabbitMQ that heals: reconnects for ever, with full jitter, and runs what was registered with
 * `onConnect` on every link before anybody else gets it, so that topology and consumers are there again.
 *
 * State: idle → connecting (`open`) → connected → waiting (the link is lost, a reconnect is due) → connecting → …;
 * from all of them → closed, for good. A failed `open` goes back to idle.
 */
import type { Channel } from 'amqplib'
import { systemClock } from '../../core/clock.ts'
import type { Clock, Timer } from '../../core/clock.ts'
import { BrokerConnectionError, BrokerTimeoutError, coerceError, IllegalStateError } from '../../core/errors.ts'
import { noHostAnswers } from './faults.ts'
import { Link } from './link.ts'
import type { Location } from './location.ts'

export type ConnectionState = 'idle' | 'connecting' | 'connected' | 'waiting' | 'closed'

/** Restores something on a new link. Its throw drops the link, and the next attempt begins. */
export type Setup = (link: Link) => Promise<void>

export interface ConnectionOptions {
  readonly location: Location
  /** How it is called in the broker's list of connections. */
  readonly name: string
  readonly clock?: Clock | undefined
  /** 0 ≤ random < 1 */
  readonly random?: (() => number) | undefined
}

const firstDelayMs = 200
/** A broker that is back is found within this and a connect. */
const longestDelayMs = 3000
/** How long a broker that is frozen may take to say goodbye. */
const closeGraceMs = 1000

export class RabbitConnection {
  readonly location: Location
  readonly clock: Clock
  readonly #name: string
  readonly #random: () => number
  readonly #setups = new Set<Setup>()
  readonly #waiters = new Set<{ readonly resolve: (link: Link) => void; readonly reject: (error: Error) => void }>()
  readonly #lostListeners = new Set<(error: Error) => void>()
  readonly #retryListeners = new Set<(error: Error) => void>()
  #state: ConnectionState = 'idle'
  #link: Link | undefined
  #opening: Promise<void> | undefined
  #generation = 0
  #failureCount = 0
  #lastError: Error | undefined
  #timer: Timer | undefined
  /** How many want the process kept alive. */
  #holdCount = 0

  constructor({ location, name, clock = systemClock, random = Math.random }: ConnectionOptions) {
    this.location = location
    this.clock = clock
    this.#name = name
    this.#random = random
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** The link as it is now; undefined while there is none. */
  get current(): Link | undefined {
    return this.#link
  }

  /** Idempotent. @throws {BrokerConnectionError} the first attempt failed at every host. */
  open(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    options.signal?.throwIfAborted()
    if (this.#state === 'closed') return Promise.reject(this.#closedError())
    if (this.#state !== 'idle') return this.#opening ?? Promise.resolve()
    this.#state = 'connecting'
    this.#opening = this.#connect().catch((error: unknown) => {
      if (this.#state !== 'closed') this.#state = 'idle'
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  /** Runs on every link from the next one on. The function ends it. */
  onConnect(setup: Setup): () => void {
    this.#setups.add(setup)
    return () => void this.#setups.delete(setup)
  }

  /** Told each time a link is lost. The function ends it. */
  onLost(listener: (error: Error) => void): () => void {
    this.#lostListeners.add(listener)
    return () => void this.#lostListeners.delete(listener)
  }

  /** Told each time why it could not be had again. The function ends it. */
  onRetryFailed(listener: (error: Error) => void): () => void {
    this.#retryListeners.add(listener)
    return () => void this.#retryListeners.delete(listener)
  }

  /**
   * The link, waiting for one while there is none.
   * @throws {BrokerConnectionError} there was none for `timeoutMs`. @throws {IllegalStateError} it is closed.
   */
  link(timeoutMs: number): Promise<Link> {
    if (this.#link !== undefined) return Promise.resolve(this.#link)
    if (this.#state === 'closed') return Promise.reject(this.#closedError())
    return new Promise((resolve, reject) => {
      const waiter = {
        resolve: (link: Link) => (end(), resolve(link)),
        reject: (error: Error) => (end(), reject(error)),
      }
      const timer = this.clock.after(timeoutMs, () => waiter.reject(this.#awayError(timeoutMs)))
      const end = (): void => {
        timer.cancel()
        this.#waiters.delete(waiter)
      }
      this.#waiters.add(waiter)
    })
  }

  /** Asks something of the broker on a channel of its own, waiting `timeoutMs` for a link. */
  async withChannel<T>(what: string, use: (channel: Channel) => Promise<T>, timeoutMs = 10_000): Promise<T> {
    const release = this.hold()
    try {
      const link = await this.link(timeoutMs)
      return await within(this.clock, timeoutMs, { what, work: link.withChannel(what, use) })
    } finally {
      release()
    }
  }

  /** Drops the link as if it had been lost: for one that is there, and does not serve. */
  renew(reason: Error): void {
    const link = this.#link
    if (link === undefined) return
    link.destroy()
    this.#lost(link, reason)
  }

  /** Keeps the process alive until the function is called. */
  hold(): () => void {
    this.#setHolds(this.#holdCount + 1)
    let isHeld = true
    return () => {
      if (isHeld) this.#setHolds(this.#holdCount - 1)
      isHeld = false
    }
  }

  /** Idempotent. Resolves when the socket is gone. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#timer?.cancel()
    for (const waiter of this.#waiters) waiter.reject(this.#closedError())
    const link = this.#link
    this.#link = undefined
    if (link === undefined) return
    // who awaits the end must not be ended by it
    link.setRef(true)
    const timer = this.clock.after(closeGraceMs, () => link.destroy())
    await link.close()
    timer.cancel()
  }

  async #connect(): Promise<void> {
    const link = await this.#openLink()
    try {
      for (const setup of this.#setups) await setup(link)
      if (link.isLost) throw new Error('the connection was lost while it was set up')
      if (this.#state === 'closed') throw this.#closedError()
    } catch (error) {
      await link.close()
      throw error
    }
    this.#accept(link)
  }

  /** The first host that answers, beginning with another one each time. */
  async #openLink(): Promise<Link> {
    const { hosts } = this.location
    const faults: Error[] = []
    for (const turn of hosts.keys()) {
      const index = (turn + this.#failureCount) % hosts.length
      const host = hosts[index]
      if (host === undefined) continue
      try {
        return await Link.open({
          location: this.location,
          host,
          name: this.#name,
          generation: ++this.#generation,
        })
      } catch (error) {
        faults[index] = coerceError(error)
      }
    }
    throw noHostAnswers(faults)
  }

  #accept(link: Link): void {
    link.onLost(error => this.#lost(link, error))
    link.setRef(this.#holdCount > 0)
    this.#link = link
    this.#state = 'connected'
    this.#failureCount = 0
    for (const waiter of this.#waiters) waiter.resolve(link)
  }

  #lost(link: Link, error: Error): void {
    if (this.#link !== link) return
    this.#link = undefined
    this.#lastError = error
    for (const listener of this.#lostListeners) listener(error)
    this.#retryLater()
  }

  #retryLater(): void {
    if (this.#state === 'closed') return
    this.#state = 'waiting'
    const ceilingMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(this.#failureCount, 16))
    const keepsAlive = this.#holdCount > 0 || this.#waiters.size > 0
    this.#timer = this.clock.after(this.#random() * ceilingMs, () => void this.#retry(), { ref: keepsAlive })
  }

  async #retry(): Promise<void> {
    if (this.#state !== 'waiting') return
    this.#state = 'connecting'
    try {
      await this.#connect()
    } catch (error) {
      const reason = coerceError(error)
      this.#lastError = reason
      this.#failureCount++
      this.#retryLater()
      for (const listener of this.#retryListeners) listener(reason)
    }
  }

  #setHolds(count: number): void {
    this.#holdCount = count
    this.#link?.setRef(count > 0)
  }

  #awayError(timeoutMs: number): Error {
    const cause = this.#lastError
    return new BrokerConnectionError(
      `RabbitMQ has been away for ${Math.round(timeoutMs)} ms${cause === undefined ? '' : `: ${cause.message}`}`,
      { cause },
    )
  }

  #closedError(): Error {
    return new IllegalStateError('This connection to RabbitMQ is closed')
  }
}

/** What `work` gives, if it does in time. @throws {BrokerTimeoutError} */
export async function within<T>(
  clock: Clock,
  timeoutMs: number,
  { what, work }: { readonly what: string; readonly work: Promise<T> },
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = clock.after(timeoutMs, () =>
    reject(new BrokerTimeoutError(`RabbitMQ did not answer within ${Math.round(timeoutMs)} ms: ${what}`)),
  )
  try {
    return await Promise.race([work, late])
  } finally {
    timer.cancel()
  }
}

/** Resolves when `listen`'s listener is called; it is taken away in any case. @throws {BrokerTimeoutError} */
export async function heard(
  clock: Clock,
  timeoutMs: number,
  { what, listen }: { readonly what: string; readonly listen: (listener: () => void) => () => void },
): Promise<void> {
  const { promise: work, resolve } = Promise.withResolvers<void>()
  const unlisten = listen(resolve)
  try {
    await within(clock, timeoutMs, { what, work })
  } finally {
    unlisten()
  }
}
