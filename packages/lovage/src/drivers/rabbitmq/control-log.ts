/**
 * The control stream: what coordination is made of here. Every process appends entries and reads all of them, in the one
 * order the stream has; an entry's own writer waits until it has read it back, which also proves that it is kept: for
 * the first second after a broker start a stream confirms what it then drops.
 */
import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import type { KeyChange } from '../../coordination.ts'
import { sleep } from '../../core/clock.ts'
import type { Timer } from '../../core/clock.ts'
import { BrokerTimeoutError, IllegalStateError, LovageError, coerceError } from '../../core/errors.ts'
import { within } from './connection.ts'
import { ControlState, parseEntry } from './control-state.ts'
import type { ControlAnswer, ControlEntry, ControlOp } from './control-state.ts'
import { replyCode } from './faults.ts'
import { closeChannel } from './link.ts'
import type { Link } from './link.ts'
import { Publisher } from './publisher.ts'
import type { RabbitSession } from './session.ts'

const controlStream = 'lovage.control'

const streamArguments = {
  'x-queue-type': 'stream',
  // a newcomer reads all of it
  'x-max-length-bytes': 16_000_000,
  'x-stream-max-segment-size-bytes': 2_000_000,
}
/** A key written so many bytes ago is written again, before its segment goes. */
const refreshBytes = 6_000_000
/**
 * How long a confirm is waited for. When a stream's process has died, a channel may have sent an entry to the dead one,
 * and does not know it before it sends the next.
 */
const confirmMs = 1000
/** An entry that is not read back so long after its confirm, or the wait for it, is written again. */
const readBackMs = 1000
/** The channel that entries are written over is given up no oftener. */
const renewMs = 3000
const deadlineMs = 10_000
const sweepMs = 500
const retryMs = 500
const window = 500

interface Waiting {
  readonly entry: ControlEntry
  /** Whether it is still to be written; asked before each time. */
  readonly isWanted: () => boolean
  /** Undefined: nobody asks, it is a repair. */
  readonly resolve: (answer: ControlAnswer) => void
  readonly reject: (error: Error) => void
}

export class ControlLog {
  readonly #session: RabbitSession
  /** Of its own: its channel may have to be given up. */
  readonly #publisher: Publisher
  /** Monotonic ms. */
  #renewedAt = -Infinity
  readonly #onChanges: (changes: readonly KeyChange[]) => void
  #state: ControlState = new ControlState()
  /** By nonce: written, or to be written, and not yet read. */
  readonly #waiting = new Map<string, Waiting>()
  #opening: Promise<void> | undefined
  #isClosed = false
  #reader: { readonly link: Link; readonly channel: Channel } | undefined
  /** Grows with each link, and with the end: who follows for an older one gives up. */
  #turn = 0
  /** Settled when everything has been read for the first time; undefined: it has been, or nobody waits for it. */
  #firstRead: PromiseWithResolvers<void> | undefined
  /** Why the stream could not be read the last time. */
  #refusal: unknown
  /** What living keys were before the link was lost; undefined: all is read. */
  #before: ControlState | undefined
  #bytesRead = 0
  /** By living key, where its value was read; while all is read anew, removed ones too. */
  readonly #writtenAtBytes = new Map<string, number>()
  #sweeper: Timer | undefined
  #forget: () => void = () => undefined

  constructor(session: RabbitSession, onChanges: (changes: readonly KeyChange[]) => void) {
    this.#session = session
    this.#publisher = new Publisher(session.publishing, { timeoutMs: confirmMs })
    this.#onChanges = onChanges
  }

  /** Resolves when everything written before has been read. Idempotent. */
  open(): Promise<void> {
    if (this.#opening !== undefined) return this.#opening
    // an idle connection does not keep the process alive
    const release = this.#session.consuming.hold()
    this.#opening = this.#open()
      .catch((error: unknown) => {
        this.#opening = undefined
        throw error
      })
      .finally(release)
    return this.#opening
  }

  get(key: string): string | undefined {
    return this.#state.get(key, this.#now())
  }

  keys(): ReturnType<ControlState['keys']> {
    return this.#state.keys(this.#now())
  }

  /** What was written by anybody until now has been read when this resolves. Calls of one turn share one entry. */
  fence(): Promise<unknown> {
    this.#fencing ??= Promise.resolve().then(() => {
      this.#fencing = undefined
      return this.append({ op: 'fence' })
    })
    return this.#fencing
  }
  #fencing: Promise<unknown> | undefined

  /**
   * Appends an entry; resolves with its answer when it has been read back, or with none when it is not wanted any more.
   * @throws {BrokerTimeoutError}
   */
  async append(op: ControlOp, isWanted: () => boolean = always): Promise<ControlAnswer> {
    if (this.#isClosed) throw closedError()
    const entry: ControlEntry = { ...op, nonce: randomUUID(), at: this.#now() }
    const { promise, resolve, reject } = Promise.withResolvers<ControlAnswer>()
    this.#waiting.set(entry.nonce, { entry, isWanted, resolve, reject })
    const { clock } = this.#session.publishing
    const timer = clock.after(deadlineMs, () =>
      reject(new BrokerTimeoutError(`RabbitMQ did not take an entry for ${controlStream} within ${deadlineMs} ms`)),
    )
    const release = this.#session.consuming.hold()
    void this.#write(entry)
    try {
      return await promise
    } finally {
      timer.cancel()
      release()
      this.#waiting.delete(entry.nonce)
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#rest()
    this.#firstRead?.reject(closedError())
    for (const { reject } of this.#waiting.values()) reject(closedError())
    const open = this.#reader
    this.#reader = undefined
    if (open !== undefined && !open.link.isLost) await closeChannel(open.channel)
  }

  /** @throws why it could not be read within ten seconds, over however many links. */
  async #open(): Promise<void> {
    const { consuming } = this.#session
    const link = await consuming.link(deadlineMs)
    const { promise: work } = (this.#firstRead = Promise.withResolvers())
    this.#forget = consuming.onConnect(renewed => Promise.resolve(this.#follow(renewed)))
    this.#sweeper = consuming.clock.every(sweepMs, () => this.#sweep())
    this.#follow(link)
    try {
      await within(consuming.clock, deadlineMs, { what: `read the stream "${controlStream}"`, work })
    } catch (error) {
      this.#rest()
      throw this.#refusal instanceof LovageError && !this.#isClosed ? this.#refusal : error
    } finally {
      this.#firstRead = undefined
    }
  }

  /** Follows no more. */
  #rest(): void {
    this.#turn++
    this.#forget()
    this.#sweeper?.cancel()
  }

  // ── writing ───────────────────────────────────────────────────────────────────────────────────────

  /**
   * Again and again, until it has been read or nobody waits for it any more.
   * @param vain how often it was sent and did not come back
   */
  async #write(entry: ControlEntry, vain = 0): Promise<void> {
    const { clock } = this.#session.publishing
    const body = Buffer.from(JSON.stringify(entry))
    const outgoing = { exchange: '', routingKey: controlStream, body, properties: { contentType: 'application/json' } }
    const waiting = this.#waiting.get(entry.nonce)
    if (waiting?.isWanted() !== true) return waiting?.resolve(undefined)
    // once may be the broker's slowness; a channel that drops what it takes is not mended by waiting
    if (vain > 1) this.#renewPublisher()
    try {
      const [outcome] = await this.#publisher.publish([outgoing])
      if (!this.#waiting.has(entry.nonce)) return
      const isSent = outcome?.accepted !== 'no'
      clock.after(readBackMs, () => void this.#write(entry, vain + (isSent ? 1 : 0)), { ref: false })
    } catch (error) {
      this.#waiting.get(entry.nonce)?.reject(coerceError(error))
    }
  }

  /** All entries share its channel, and a new one is given time to open and to be of use. */
  #renewPublisher(): void {
    const now = this.#session.publishing.clock.monotonic()
    if (now - this.#renewedAt < renewMs) return
    this.#renewedAt = now
    this.#publisher.renew()
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────

  /**
   * As long as the link lasts, and each time from the beginning: a broker that died may have kept less than was read.
   * Nobody waits for it: while the stream is not there yet, tasks are taken all the same.
   */
  #follow(link: Link): void {
    const turn = ++this.#turn
    const { clock } = this.#session.consuming
    const goOn = async (): Promise<void> => {
      while (!this.#isClosed && !link.isLost && turn === this.#turn) {
        const beganAt = clock.monotonic()
        await this.#followOnce(link).catch((error: unknown) => (this.#refusal = error))
        // at once when it was deleted: who opens it meanwhile knows nothing of the keys that are written again here
        if (clock.monotonic() - beganAt < retryMs) await sleep(clock, retryMs)
      }
    }
    void goOn()
  }

  /** Resolves when the reading has ended: the channel is closed, or the stream is gone. @throws what refused it */
  async #followOnce(link: Link): Promise<void> {
    const { promise: ended, resolve: onEnd } = Promise.withResolvers<false>()
    this.#before ??= this.#state
    await this.#read(link, () => onEnd(false))
    // while two processes declare the stream at once, the broker may end the connection that reads it
    const isRead = await Promise.race([this.fence().then(() => true), ended])
    if (!isRead || link.isLost) return
    this.#repair()
    this.#firstRead?.resolve()
    await ended
  }

  async #read(link: Link, onEnd: () => void): Promise<void> {
    const old = this.#reader
    this.#reader = undefined
    if (old !== undefined && !old.link.isLost) await closeChannel(old.channel)
    this.#state = new ControlState()
    this.#bytesRead = 0
    this.#writtenAtBytes.clear()
    await declareControl(link)
    const channel = await link.channel(onEnd)
    this.#reader = { link, channel }
    await channel.prefetch(window)
    const first = { noAck: false, arguments: { 'x-stream-offset': 'first' } }
    const onMessage = (message: ConsumeMessage | null): void =>
      // null: it was deleted, or its process has died
      message === null ? onEnd() : this.#receive(channel, message)
    await channel.consume(controlStream, onMessage, first)
  }

  #receive(channel: Channel, message: ConsumeMessage): void {
    if (this.#reader?.channel !== channel) return
    const entry = parseEntry(message.content)
    const offset = Number(message.properties.headers?.['x-stream-offset'] ?? 0)
    if (message.fields.deliveryTag % (window / 5) === 0 || this.#waiting.size > 0) channel.ack(message, true)
    this.#bytesRead += message.content.length
    if (entry === undefined) return
    const { answer, changes } = this.#state.apply(entry, offset + 1)
    for (const { key, value } of changes)
      if (value !== undefined || this.#before !== undefined) this.#writtenAtBytes.set(key, this.#bytesRead)
      else this.#writtenAtBytes.delete(key)
    if (changes.length > 0 && this.#before === undefined) this.#onChanges(changes)
    this.#waiting.get(entry.nonce)?.resolve(answer)
  }

  /** All is read: what is different from before is told; what is gone though nobody removed it is written again. */
  #repair(): void {
    const before = this.#before
    this.#before = undefined
    if (before === undefined) return
    const now = this.#now()
    const changes: KeyChange[] = this.#state.keys(now).filter(({ key, value }) => before.get(key, now) !== value)
    for (const { key, value, expiresAt } of before.keys(now)) {
      if (this.#state.get(key, now) !== undefined) continue
      if (this.#writtenAtBytes.has(key)) changes.push({ key, value: undefined })
      else this.#writeAgain({ key, value, expiresAt }, now)
    }
    for (const key of this.#writtenAtBytes.keys())
      if (this.#state.get(key, now) === undefined) this.#writtenAtBytes.delete(key)
    if (changes.length > 0) this.#onChanges(changes.map(({ key, value }) => ({ key, value })))
  }

  #sweep(): void {
    if (this.#before !== undefined) return
    const now = this.#now()
    const expired = this.#state.expire(now)
    for (const { key } of expired) this.#writtenAtBytes.delete(key)
    if (expired.length > 0) this.#onChanges(expired)
    for (const kept of this.#state.keys(now)) {
      const writtenAt = this.#writtenAtBytes.get(kept.key) ?? 0
      if (this.#bytesRead - writtenAt > refreshBytes) {
        this.#writtenAtBytes.set(kept.key, this.#bytesRead)
        this.#writeAgain(kept, now)
      }
    }
  }

  /** The same key with the time it has left. Whoever was seen to write it anew or remove it meanwhile wins. */
  #writeAgain(
    { key, value, expiresAt }: { readonly key: string; readonly value: string; readonly expiresAt: number },
    now: number,
  ): void {
    const present = this.#state.get(key, now)
    const op = present === undefined ? 'putIfAbsent' : 'put'
    const isWanted = (): boolean => this.#state.get(key, this.#now()) === present
    this.append({ op, key, value, ttlMs: expiresAt - now }, isWanted).catch(() => undefined)
  }

  #now(): number {
    return this.#session.publishing.clock.now()
  }
}

/** Another version may have declared it with another size: it is taken as it is. */
async function declareControl(link: Link): Promise<void> {
  try {
    await link.withChannel(`declare the stream "${controlStream}"`, async channel => {
      await channel.assertQueue(controlStream, { durable: true, arguments: streamArguments })
    })
  } catch (error) {
    if (replyCode(coerceError(error).cause) !== 406) throw error
    await link.withChannel(`look for the stream "${controlStream}"`, async channel => {
      await channel.checkQueue(controlStream)
    })
  }
}

function always(): boolean {
  return true
}

function closedError(): Error {
  return new IllegalStateError('This coordination is closed')
}
