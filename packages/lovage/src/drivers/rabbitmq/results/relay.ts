/**
 * Takes part in relaying: consumes the inbox, of which the broker lets one process at a time have messages, and takes
 * it up again on each link and after each fault.
 */
import { randomUUID } from 'node:crypto'
import { isMainThread } from 'node:worker_threads'
import type { ConsumeMessage } from 'amqplib'
import { sleep } from '../../../core/clock.ts'
import { closeChannel } from '../link.ts'
import type { Link } from '../link.ts'
import type { RabbitConnection } from '../connection.ts'
import type { Publisher } from '../publisher.ts'
import { decodeStreamMessage, encodeStreamMessage } from './entries.ts'
import type { StreamMessage } from './entries.ts'
import type { Answer, Put } from './inbox.ts'
import { declareInbox, declareStream } from './names.ts'
import type { ResultQueues } from './names.ts'
import { keptMarks } from './projection.ts'
import type { Projection } from './projection.ts'
import { Shift } from './shift.ts'
import { offsetOf } from './tail.ts'
import type { Tail } from './tail.ts'

export interface RelayParts {
  readonly connection: RabbitConnection
  readonly queues: ResultQueues
  readonly projection: Projection
  readonly tail: Tail
  readonly publisher: Publisher
  /** How many messages before the end of the stream a process reads that begins. */
  readonly lookBack: number
  readonly markInbox: (token: string) => Promise<void>
}

const pauseMs = 200
/** More than older relays may still have under way. */
const findPrefetch = 1000
/** A stream that does not take the start of a term for so long is left to another relay. */
const takeOverMs = 30_000
const writeAgainMs = 300

export class Relay {
  readonly #parts: RelayParts
  #shift: Shift | undefined
  #link: Link | undefined
  #isClosed = false
  /** Ends the taking of the inbox that is under way. */
  #endShift: () => void = () => undefined
  readonly #over = new AbortController()
  /** Starts of terms that are waited for, by token. */
  readonly #starts = new Map<string, (offset: number) => void>()

  constructor(parts: RelayParts) {
    this.#parts = parts
  }

  /** On each link; once more for the same one does nothing. */
  restore(link: Link): void {
    if (this.#link === link) return
    this.#link = link
    void this.#listen(link)
  }

  /** Puts, without the way through the inbox; undefined, at once or later: it has to be taken. */
  ask(puts: readonly Put[]): Promise<Answer | undefined> | undefined {
    return this.#shift?.ask(puts)
  }

  /** What a message of the stream says, when it comes from here and is waited for. */
  recognize(body: Buffer): StreamMessage | undefined {
    return this.#shift?.recognize(body)
  }

  /** The next message of the stream, after the projection has taken it. */
  onStream(offset: number, message: StreamMessage): void {
    if (message.kind === 'term') this.#starts.get(message.token)?.(offset)
    this.#shift?.onStream(offset, message)
  }

  /** The stream is another one: what is under way is judged once more, in a term of its own. */
  onRestart(): void {
    this.#shift?.giveUp()
  }

  /** Takes and writes nothing more. The channel ends with its connection. */
  close(): void {
    this.#isClosed = true
    this.#over.abort()
    this.#endShift()
    this.#shift?.end()
  }

  async #listen(link: Link): Promise<void> {
    const { clock } = this.#parts.connection
    while (!this.#isClosed && !link.isLost) {
      await this.#consume(link).catch(() => undefined)
      await sleep(clock, pauseMs, this.#over.signal).catch(() => undefined)
    }
  }

  /** Resolves when the channel is closed. */
  async #consume(link: Link): Promise<void> {
    const { queues, connection, projection, publisher, markInbox } = this.#parts
    const { promise: closed, resolve: onClose } = Promise.withResolvers<void>()
    this.#endShift = onClose
    const channel = await link.channel(() => onClose())
    const shift = new Shift(
      {
        clock: connection.clock,
        queues,
        projection,
        publisher,
        takeOver: token => this.#takeOver(link, token),
        markInbox,
      },
      channel,
    )
    this.#shift = shift
    await declareInbox(channel, queues)
    await channel.prefetch(keptMarks)
    const onMessage = (message: ConsumeMessage | null): void => {
      if (message === null) return shift.giveUp()
      shift.receive(message)
      if (shift.isOver) shift.giveUp()
    }
    // a task's thread is busy with the task: it relays where nobody else does
    await channel.consume(queues.inbox, onMessage, { priority: isMainThread ? 0 : -1 })
    await closed
    shift.end()
    await closeChannel(channel).catch(() => undefined)
  }

  /** Writes the start of a term, and resolves to its place once everything before it was read here. */
  async #takeOver(link: Link, token: string): Promise<number> {
    const { tail, lookBack } = this.#parts
    if (!tail.isStarted) {
      const end = await this.#findEnd(link)
      tail.start(Math.max(0, end + 1 - lookBack))
    }
    return await this.#writeStart(token)
  }

  /** Where the stream ends now: a start of a term is written, and seen by a consumer of what comes next. */
  async #findEnd(link: Link): Promise<number> {
    const token = randomUUID()
    const { connection, queues } = this.#parts
    for (;;) {
      if (this.#isClosed || link.isLost) throw new Error('The link was lost')
      const channel = await link.channel()
      const { promise, resolve } = Promise.withResolvers<number>()
      try {
        await declareStream(channel, queues)
        await channel.prefetch(findPrefetch)
        const onDelivery = (message: ConsumeMessage | null): void => {
          const start = message === null ? undefined : decodeStreamMessage(message.content)
          if (message !== null && start?.kind === 'term' && start.token === token) resolve(offsetOf(message))
        }
        await channel.consume(queues.stream, onDelivery, { arguments: { 'x-stream-offset': 'next' } })
        return await this.#writeUntil(token, promise)
      } catch {
        await sleep(connection.clock, pauseMs, this.#over.signal)
      } finally {
        await closeChannel(channel).catch(() => undefined)
      }
    }
  }

  async #writeStart(token: string): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#starts.set(token, resolve)
    try {
      return await this.#writeUntil(token, promise)
    } finally {
      this.#starts.delete(token)
    }
  }

  /** Right after its start the broker drops what it confirms, so it is written again until it is seen. */
  async #writeUntil(token: string, seen: Promise<number>): Promise<number> {
    const { publisher, queues, connection } = this.#parts
    const { clock } = connection
    const until = clock.monotonic() + takeOverMs
    const body = encodeStreamMessage({ kind: 'term', token })
    for (let attempt = 1; clock.monotonic() < until; attempt++) {
      if (attempt > 2) publisher.renew()
      void publisher.publish([{ exchange: '', routingKey: queues.stream, body, properties: {} }]).catch(() => undefined)
      const offset = await Promise.race([seen, sleep(clock, writeAgainMs, this.#over.signal)])
      if (offset !== undefined) return offset
    }
    throw new Error('The stream takes no message')
  }
}
