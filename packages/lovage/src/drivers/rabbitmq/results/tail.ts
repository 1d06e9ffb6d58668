/**
 * Follows the stream from some place on, over lost links and restarted brokers, and never skips.
 *
 * State: unstarted → following (`start`) → closed. While following it may be without a channel: the link is lost, or
 * the broker does not have the stream yet (404 and 541 for a while after its start) and is asked again.
 */
import { createHash } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { sleep } from '../../../core/clock.ts'
import type { Timer } from '../../../core/clock.ts'
import { BrokerTimeoutError } from '../../../core/errors.ts'
import type { RabbitConnection } from '../connection.ts'
import { closeChannel } from '../link.ts'
import type { Link } from '../link.ts'
import { declareStream } from './names.ts'
import type { ResultQueues } from './names.ts'

export interface TailParts {
  readonly connection: RabbitConnection
  readonly queues: ResultQueues
  /** In order. */
  readonly onMessage: (offset: number, body: Buffer) => void
  /** It is read on after a break. */
  readonly onResume: () => void
  /** The stream was deleted, and another one is read from its beginning. */
  readonly onRestart: () => void
}

/** What the broker may send ahead; acknowledged by the quarter. */
const prefetch = 400
const ackEvery = 100
const firstPauseMs = 20
const longestPauseMs = 1000
/** A link that comes later is told of by its set-up. */
const longestWaitMs = 60_000

/** The oldest message that a stream has. */
interface Oldest {
  readonly offset: number
  readonly digest: string
}

interface Waiter {
  readonly position: number
  readonly resolve: () => void
}

export class Tail {
  readonly #parts: TailParts
  #state: 'unstarted' | 'following' | 'closed' = 'unstarted'
  /** The offset that comes next. */
  #next = 0
  /** Where this process began to read. */
  #from = 0
  #link: Link | undefined
  #channel: Channel | undefined
  /** Its oldest messages as they were seen at each attaching, their digests by offset: what is told from another stream. */
  readonly #oldest = new Map<number, string>()
  /** Since it was last attached it is known to be the stream that was read. */
  #isSame = false
  readonly #over = new AbortController()
  #unacked = 0
  readonly #waiters = new Set<Waiter>()

  constructor(parts: TailParts) {
    this.#parts = parts
  }

  get isStarted(): boolean {
    return this.#state !== 'unstarted'
  }

  /** The first offset that was asked for. */
  get from(): number {
    return this.#from
  }

  /** @param from the first offset to read; one that is gone stands for the oldest there is */
  start(from: number): void {
    if (this.#state !== 'unstarted') return
    this.#state = 'following'
    this.#from = from
    this.#next = from
    void this.#parts.connection.link(longestWaitMs).then(
      link => this.restore(link),
      () => undefined,
    )
  }

  /** On each link; once more for the same one does nothing. */
  restore(link: Link): void {
    if (this.#state !== 'following' || this.#link === link) return
    this.#link = link
    void this.#attach(link)
  }

  /** Resolves when everything up to an offset was handed on. @throws {BrokerTimeoutError} */
  async reached(position: number, timeoutMs: number): Promise<void> {
    if (this.#isSame && this.#next > position) return
    const { clock } = this.#parts.connection
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { position, resolve }
    const timer: Timer = clock.after(timeoutMs, () =>
      reject(new BrokerTimeoutError(`The stream "${this.#parts.queues.stream}" was not read within ${timeoutMs} ms`)),
    )
    this.#waiters.add(waiter)
    try {
      await promise
    } finally {
      timer.cancel()
      this.#waiters.delete(waiter)
    }
  }

  /** Reads nothing more. The channel ends with its connection. */
  close(): void {
    this.#state = 'closed'
    this.#over.abort()
    this.#channel = undefined
  }

  async #attach(link: Link): Promise<void> {
    const { connection } = this.#parts
    for (let pauseMs = firstPauseMs; this.#isWanted(link); pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        return await this.#consume(link)
      } catch {
        // not there yet, or it was lost meanwhile
        await sleep(connection.clock, pauseMs, this.#over.signal).catch(() => undefined)
      }
    }
  }

  #isWanted(link: Link): boolean {
    return this.#state === 'following' && !link.isLost
  }

  async #consume(link: Link): Promise<void> {
    this.#isSame = false
    await link.withChannel('declare the stream', channel => declareStream(channel, this.#parts.queues))
    this.#compare(await this.#readOldest(link))
    let isConsuming = false
    const channel = await link.channel(() => {
      if (this.#channel !== channel) return
      this.#channel = undefined
      this.#isSame = false
      if (isConsuming) void this.#attach(link)
    })
    this.#channel = channel
    this.#unacked = 0
    this.#parts.onResume()
    await channel.prefetch(prefetch)
    const wanted = this.#next
    await channel.consume(
      this.#parts.queues.stream,
      message => {
        if (this.#channel !== channel) return
        // it was deleted: the channel ends, and with the next one comes another stream
        if (message === null) return end(channel)
        this.#take(message)
        this.#ack(channel, message)
      },
      { arguments: { 'x-stream-offset': wanted } },
    )
    isConsuming = true
    if (this.#state === 'closed') await closeChannel(channel)
    else if (this.#channel !== channel) throw new Error('The channel was closed at once')
  }

  #take(message: ConsumeMessage): void {
    const offset = offsetOf(message)
    if (offset < this.#next) return
    this.#next = offset + 1
    this.#parts.onMessage(offset, message.content)
    this.#tellWaiters()
  }

  #tellWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.position < this.#next) waiter.resolve()
  }

  /** Of an empty stream: as soon as something is in it. @throws it cannot be read, or is deleted meanwhile */
  async #readOldest(link: Link): Promise<Oldest> {
    const { promise, resolve, reject } = Promise.withResolvers<Oldest>()
    promise.catch(() => undefined)
    const channel = await link.channel(() => reject(new Error('The channel was closed')))
    const onMessage = (message: ConsumeMessage | null): void =>
      message === null ? reject(new Error('The stream was deleted')) : resolve(oldestOf(message))
    try {
      await channel.prefetch(1)
      await channel.consume(this.#parts.queues.stream, onMessage, { arguments: { 'x-stream-offset': 'first' } })
      return await promise
    } finally {
      end(channel)
    }
  }

  /**
   * Whether it is still the stream that was read. One that was made since has other messages at the same offsets, and the
   * broker holds back all that is below the place that is asked for. Old ones go, so that the oldest moves up; on another
   * node of a cluster it may be a lower one. Another stream begins at 0.
   */
  #compare({ offset, digest }: Oldest): void {
    const known = this.#oldest.get(offset)
    const isAnother = known === undefined ? offset === 0 && this.#oldest.size > 0 : known !== digest
    if (isAnother) {
      this.#oldest.clear()
      this.#next = 0
      this.#from = 0
      this.#parts.onRestart()
    }
    this.#oldest.set(offset, digest)
    this.#isSame = true
    this.#tellWaiters()
  }

  #ack(channel: Channel, message: ConsumeMessage): void {
    this.#unacked++
    if (this.#unacked < ackEvery) return
    this.#unacked = 0
    try {
      channel.ack(message, true)
    } catch {
      // the channel is closing: its end will be told
    }
  }
}

/** Nobody waits for it. */
function end(channel: Channel): void {
  closeChannel(channel).catch(() => undefined)
}

function oldestOf(message: ConsumeMessage): Oldest {
  return { offset: offsetOf(message), digest: createHash('sha256').update(message.content).digest('hex') }
}

/** A message's place in the stream. */
export function offsetOf({ properties }: ConsumeMessage): number {
  const offset: unknown = properties.headers?.['x-stream-offset']
  return typeof offset === 'number' ? offset : Number(offset)
}
