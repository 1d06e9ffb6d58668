/**
 * Asks the relay, whichever process it is, and gets its answers: questions go through the inbox, so each is answered
 * with all that came before it in mind; answers come to a queue of this process's own. Puts of the process that relays
 * are answered by itself, if it can.
 */
import { randomUUID } from 'node:crypto'
import type { ConsumeMessage } from 'amqplib'
import type { PublishOutcome } from '../../../broker.ts'
import { sleep } from '../../../core/clock.ts'
import { IllegalStateError } from '../../../core/errors.ts'
import type { RabbitConnection } from '../connection.ts'
import { closeChannel } from '../link.ts'
import type { Link } from '../link.ts'
import { isUnroutable } from '../publisher.ts'
import type { Publisher } from '../publisher.ts'
import { parseMap } from './entries.ts'
import { questionType } from './inbox.ts'
import type { Answer, Put, Question } from './inbox.ts'
import { declareInbox } from './names.ts'
import type { ResultQueues } from './names.ts'

/** A relay that died took the answer with it: its successor is asked again. */
const askAgainMs = 1000

/** What a result store sends and reads with. */
export interface Lines {
  readonly publishing: RabbitConnection
  readonly publisher: Publisher
  /** Its own: while a stream comes up, the broker ends connections that ask for it. */
  readonly reading: RabbitConnection
  /** Asks the relay of this process. Undefined, at once or later: the way is through the inbox. */
  readonly askHere: (puts: readonly Put[]) => Promise<Answer | undefined> | undefined
}

export interface AskOptions {
  readonly timeoutMs: number
  /** Kept on the broker's disk until it is answered. */
  readonly persistent: boolean
}

interface Asked {
  readonly here: Promise<Answer | undefined> | undefined
  /** Monotonic ms. */
  readonly until: number
  readonly number: string
  readonly persistent: boolean
  readonly signal: AbortSignal
}

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

export class Mailbox {
  readonly #lines: Lines
  readonly #queues: ResultQueues
  /** By number. */
  readonly #waiting = new Map<string, Waiting>()
  #lastNumber = 0
  /** Where answers come to; another one with each link. */
  #address = ''
  #isClosed = false

  constructor(lines: Lines, queues: ResultQueues) {
    this.#lines = lines
    this.#queues = queues
  }

  /** On each link of the reading connection, before anybody asks. */
  async restore(link: Link): Promise<void> {
    let isOpen = false
    const again = (): void => {
      if (isOpen && !link.isLost && !this.#isClosed) void this.restore(link).catch(() => undefined)
    }
    const channel = await link.channel(again)
    const address = `lovage.answers.${randomUUID()}`
    await channel.assertQueue(address, { exclusive: true, autoDelete: true })
    const onAnswer = (message: ConsumeMessage | null): void => {
      if (message !== null) return this.#take(message.content)
      // somebody deleted it: another one comes with another channel
      void closeChannel(channel).catch(() => undefined)
    }
    await channel.consume(address, onAnswer, { noAck: true })
    this.#address = address
    isOpen = true
  }

  /**
   * The relay's answer; undefined: the question is in the inbox, and nobody answered in time.
   * @throws {BrokerError} the question did not get into the inbox. @throws {IllegalStateError} it was closed meanwhile.
   */
  async ask(question: Question, { timeoutMs, persistent }: AskOptions): Promise<Answer | undefined> {
    const number = String(++this.#lastNumber)
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.#waiting.set(number, { resolve, reject })
    const here = this.#askHere(question)
    if (here !== undefined) {
      // what comes late from here is as good as what comes from the inbox
      void here.then(answer => answer !== undefined && resolve(answer))
    }
    const release = this.#lines.reading.hold()
    const pauses = new AbortController()
    const until = this.#lines.reading.clock.monotonic() + timeoutMs
    try {
      const asking = this.#askUntil(question, { here, until, number, persistent, signal: pauses.signal })
      return await Promise.race([promise, asking])
    } finally {
      this.#waiting.delete(number)
      pauses.abort(answered)
      release()
    }
  }

  /** Into the inbox, and no answer wanted. @throws {BrokerError} it did not get there. */
  async tell(question: Question, options: { readonly persistent: boolean }): Promise<void> {
    const answer = await this.#inTime(this.#askHere(question))
    if (answer === undefined) await this.#publish(question, options)
  }

  /** Whoever waits is told so. */
  close(): void {
    this.#isClosed = true
    for (const { reject } of this.#waiting.values()) reject(closedError())
    this.#waiting.clear()
  }

  #askHere(question: Question): Promise<Answer | undefined> | undefined {
    return question.kind === 'put' && !this.#isClosed ? this.#lines.askHere(question.puts) : undefined
  }

  /** A stream that takes nothing is the inbox's to wait for. */
  async #inTime(answer: Promise<Answer | undefined> | undefined): Promise<Answer | undefined> {
    const { reading } = this.#lines
    if (answer === undefined) return undefined
    const { promise: tooLate, resolve: giveUp } = Promise.withResolvers<undefined>()
    const patience = reading.clock.after(askAgainMs, () => giveUp(undefined))
    const release = reading.hold()
    try {
      return await Promise.race([answer, tooLate])
    } finally {
      patience.cancel()
      release()
    }
  }

  /** Asks again and again; once the question was taken, that it is not taken again changes nothing. */
  async #askUntil(question: Question, asked: Asked): Promise<Answer | undefined> {
    const { clock } = this.#lines.reading
    const answer = await this.#inTime(asked.here)
    if (answer !== undefined) return answer
    let isTaken = false
    while (!asked.signal.aborted) {
      const leftMs = asked.until - clock.monotonic()
      // this process may have stood still all the time: that nobody answered counts once somebody was asked
      if (isTaken && leftMs <= 0) return undefined
      try {
        // the answer's way exists once the link does
        await this.#lines.reading.link(leftMs > 0 ? leftMs : askAgainMs)
        await this.#publish(question, asked)
        isTaken = true
      } catch (error) {
        if (!isTaken) throw error
      }
      const pauseMs = Math.max(0, Math.min(askAgainMs, asked.until - clock.monotonic()))
      await sleep(clock, pauseMs, asked.signal).catch(() => undefined)
    }
    return undefined
  }

  async #publish(
    question: Question,
    { persistent, number }: { readonly persistent: boolean; readonly number?: string },
  ): Promise<void> {
    if (this.#isClosed) throw closedError()
    const message = {
      exchange: '',
      routingKey: this.#queues.inbox,
      body: Buffer.from(JSON.stringify(question)),
      properties: {
        type: questionType,
        contentType: 'application/json',
        persistent,
        ...(number === undefined ? {} : { replyTo: this.#address, correlationId: number }),
      },
    }
    const [outcome = missing] = await this.#lines.publisher.publish([message])
    if (outcome.accepted === 'yes') return
    if (!isUnroutable(outcome)) throw outcome.error
    // somebody deleted it
    await this.#lines.publishing.withChannel('declare the inbox', channel => declareInbox(channel, this.#queues))
    const [second = missing] = await this.#lines.publisher.publish([message])
    if (second.accepted !== 'yes') throw second.error
  }

  /** `{"answers": [["7", {"position": 12}], …]}` */
  #take(body: Buffer): void {
    const answers = parseMap(body.toString('utf8'))?.['answers']
    for (const [number, answer] of (Array.isArray(answers) ? answers : []) as readonly [string, Answer][])
      this.#waiting.get(number)?.resolve(answer)
  }
}

/** Made once: an exception for each question costs a hundredth of a busy worker's time. */
const answered = new Error('It was answered')

const missing: PublishOutcome = { accepted: 'unknown', error: new Error('The publisher gave no outcome') }

function closedError(): IllegalStateError {
  return new IllegalStateError('This result store was closed: open another connection')
}
