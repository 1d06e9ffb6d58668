/**
 * One taking of the inbox by one channel of this process, which relays while the broker gives it messages: judges what
 * comes, and what this process itself puts meanwhile, writes what is news to the stream, reads it back from there, and
 * only then acknowledges and answers. Read back, because right after a broker's start a stream confirms what it drops
 * (docs/decisions/0012).
 *
 *   waiting → beginning   the first message comes: this process is the relay now
 *   beginning → relaying  the start of its term has been read in the stream, and so all that older relays wrote
 *   any → over            the channel or link is lost, another term has begun, or it was closed: what is not
 *                         acknowledged goes to the next relay
 */
import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { endOfTurn } from '../../../core/clock.ts'
import type { Clock, Timer } from '../../../core/clock.ts'
import { isReadyState } from '../../../core/states.ts'
import { withoutValue } from '../../../protocol/too-large.ts'
import { closeChannel } from '../link.ts'
import { largestBodyBytes } from '../publisher.ts'
import type { Publisher } from '../publisher.ts'
import { judge, Replays } from './decide.ts'
import type { Arrival } from './decide.ts'
import { encodeStreamMessage } from './entries.ts'
import type { Batch, Entry, StreamMessage } from './entries.ts'
import { answerType, decodeInbox } from './inbox.ts'
import type { Answer, Put, Question, ReturnAddress } from './inbox.ts'
import type { ResultQueues } from './names.ts'
import { keptMarks } from './projection.ts'
import type { Known, Projection } from './projection.ts'

export interface ShiftParts {
  readonly clock: Clock
  readonly queues: ResultQueues
  readonly projection: Projection
  /** Of the relay alone: what it sends stays in order. */
  readonly publisher: Publisher
  /** Has everything read that is in the stream now; resolves to the term this process begins with that. */
  readonly takeOver: (token: string) => Promise<number>
  /** Puts a mark at the inbox's end. */
  readonly markInbox: (token: string) => Promise<void>
}

/** One message of the inbox, or some puts of this process, held until what came of it has been read back. */
interface Item {
  readonly message: ConsumeMessage | undefined
  /** The last batch to be read back, with all before it; undefined: none. */
  readonly batch: number | undefined
  readonly from: ReturnAddress | undefined
  /** A fence's position is known only when its turn comes. */
  readonly answer: Answer | 'position' | undefined
  /** Of puts of this process; undefined: the shift is over, and somebody else is to be asked. */
  readonly tell?: (answer: Answer | undefined) => void
}

interface Unread {
  readonly body: Buffer
  /** What the body says. */
  readonly written: Batch
  /** Monotonic ms when the broker last had its say about it; undefined: it has not yet. */
  saidAt: number | undefined
  sendCount: number
}

/** What was said to be taken, and was not read back by then, is written again. */
const readBackMs = 300
const checkMs = 100
/** Of one message of the stream; larger ones only with a single large entry. */
const batchBytes = 256 * 1024

export class Shift {
  readonly #parts: ShiftParts
  readonly #channel: Channel
  #state: 'waiting' | 'beginning' | 'relaying' | 'over' = 'waiting'
  #term = -1
  readonly #beginToken = randomUUID()
  /** Until the mark of the begin comes round: what waited in the inbox may be in the stream already. */
  #replays: Replays | undefined = new Replays()
  /** Came while the shift began. */
  #backlog: ConsumeMessage[] = []
  /** In the order they were taken. */
  readonly #items: Item[] = []
  readonly #unread = new Map<number, Unread | 'draft'>()
  /** What was judged and not yet read back, by task; null: forgotten. */
  readonly #ahead = new Map<string, { readonly known: Known | null; readonly batch: number }>()
  #batch = 0
  #draft: Entry[] = []
  #draftBytes = 0
  #isTurnWaitedFor = false
  #lastBorn = 0
  #checks: Timer | undefined

  constructor(parts: ShiftParts, channel: Channel) {
    this.#parts = parts
    this.#channel = channel
  }

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** The next message of the inbox. */
  receive(message: ConsumeMessage): void {
    switch (this.#state) {
      case 'waiting':
        this.#backlog.push(message)
        return void this.#begin()
      case 'beginning':
        return void this.#backlog.push(message)
      case 'relaying':
        return this.#take(message)
      case 'over':
        return
    }
  }

  /**
   * Puts of this very process, which need not travel through the inbox: whoever asks has nothing until it is answered, and
   * asks elsewhere when it is not. Not for fences, which have to come after all that is in the inbox.
   * @returns undefined, at once or later: this is not the place to ask.
   */
  ask(puts: readonly Put[]): Promise<Answer | undefined> | undefined {
    if (this.#state !== 'relaying' || this.#isStreamStuck()) return undefined
    const answer = this.#put(puts)
    const { promise, resolve: tell } = Promise.withResolvers<Answer | undefined>()
    this.#hold({ message: undefined, batch: this.#batchNow(), from: undefined, answer, tell })
    return promise
  }

  /** What a message of the stream says, when it is the one this shift waits for; undefined: it has to be read. */
  recognize(body: Buffer): Batch | undefined {
    const [oldest] = this.#unread.values()
    return oldest !== undefined && oldest !== 'draft' && oldest.body.equals(body) ? oldest.written : undefined
  }

  /** The next message of the stream, after the projection has taken it. */
  onStream(offset: number, message: StreamMessage): void {
    if (this.#state !== 'relaying') return
    if (message.kind === 'term') return offset > this.#term ? this.giveUp() : undefined
    if (message.term !== this.#term || !this.#unread.delete(message.number)) return
    for (const entry of message.entries) {
      const id = entry.kind === 'state' ? entry.state.id : entry.id
      if (this.#ahead.get(id)?.batch === message.number) this.#ahead.delete(id)
    }
    this.#drain()
  }

  /** Idempotent. Gives up; the channel is whoever made it's to close. */
  end(): void {
    this.#state = 'over'
    this.#checks?.cancel()
    this.#backlog = []
    for (const { tell } of this.#items.splice(0)) tell?.(undefined)
    this.#unread.clear()
    this.#ahead.clear()
  }

  async #begin(): Promise<void> {
    this.#state = 'beginning'
    try {
      this.#term = await this.#parts.takeOver(randomUUID())
      await this.#parts.markInbox(this.#beginToken)
    } catch {
      // the channel stays: closing it is what gives the messages to another relay
      this.giveUp()
    }
    if (this.#isEnded()) return
    if (this.#parts.projection.term !== this.#term) return this.giveUp()
    this.#state = 'relaying'
    this.#lastBorn = this.#parts.projection.lastBorn
    this.#checks = this.#parts.clock.every(checkMs, () => this.#writeAgain())
    for (const message of this.#backlog.splice(0)) this.#take(message)
  }

  /** A method, because the state changes while `#begin` waits. */
  #isEnded(): boolean {
    return this.#state === 'over'
  }

  /** Ends, and leaves what is held to whoever relays next. */
  giveUp(): void {
    this.end()
    void closeChannel(this.#channel).catch(() => undefined)
  }

  #take(message: ConsumeMessage): void {
    const content = decodeInbox(message)
    switch (content.kind) {
      case 'document':
        this.#judge(content.arrival)
        return this.#hold({ message, batch: this.#batchNow(), from: undefined, answer: undefined })
      case 'question': {
        const answer = this.#answer(content.question)
        return this.#hold({ message, batch: this.#batchNow(), from: content.from, answer })
      }
      case 'rubbish':
        return this.#hold({ message, batch: undefined, from: undefined, answer: undefined })
    }
  }

  #hold(item: Item): void {
    this.#items.push(item)
    if (this.#draftBytes > batchBytes) this.#write()
    if (this.#isTurnWaitedFor) return
    this.#isTurnWaitedFor = true
    endOfTurn(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#isTurnWaitedFor = false
    if (this.#state !== 'relaying') return
    this.#write()
    this.#drain()
  }

  /** What must be read back before all that was taken so far is done. */
  #batchNow(): number | undefined {
    return this.#draft.length > 0 ? this.#batch : undefined
  }

  #answer(question: Question): Answer | 'position' | undefined {
    switch (question.kind) {
      case 'put':
        return this.#put(question.puts)
      case 'forget':
        return { count: question.ids.filter(id => this.#forget(id)).length }
      case 'fence':
        return 'position'
      case 'begin':
        if (question.token === this.#beginToken) this.#replays = undefined
        return undefined
    }
  }

  #put(puts: readonly Put[]): Answer {
    return { kept: puts.map(({ mark, record }) => this.#judge({ record, mark, isVersioned: true })) }
  }

  /** What was written before is not there, and was written again: more would only wait behind it. */
  #isStreamStuck(): boolean {
    const [oldest] = this.#unread.values()
    return oldest !== undefined && oldest !== 'draft' && oldest.sendCount > 1
  }

  /** Whether it was kept. */
  #judge(arrival: Arrival): boolean {
    const { id } = arrival.record
    const known = this.#find(id)
    const isReplay =
      !arrival.isVersioned &&
      this.#replays !== undefined &&
      this.#replays.isReplay(id, arrival.mark, known?.marks ?? [])
    if (isReplay) return false
    const { entry, isKept } = judge(arrival, known, {
      now: this.#parts.clock.now(),
      nextBorn: this.#lastBorn + 1,
      wasReady: this.#ahead.has(id) ? known === undefined : this.#parts.projection.wasReady(id),
    })
    if (entry === undefined) return isKept
    this.#lastBorn = Math.max(this.#lastBorn, entry.born)
    const marks = [...(known?.marks.slice(1 - keptMarks) ?? []), entry.mark]
    this.#append(id, { entry, known: { state: entry.state, born: entry.born, marks } })
    return isKept
  }

  #forget(id: string): boolean {
    const known = this.#find(id)
    const isReady =
      known === undefined ? this.#parts.projection.placeOf(id) !== undefined : isReadyState(known.state.state)
    if (!isReady || this.#ahead.get(id)?.known === null) return false
    this.#append(id, { entry: { kind: 'forget', id }, known: null })
    return true
  }

  #find(id: string): Known | undefined {
    const ahead = this.#ahead.get(id)
    return ahead === undefined ? this.#parts.projection.find(id) : (ahead.known ?? undefined)
  }

  #append(id: string, { entry, known }: { readonly entry: Entry; readonly known: Known | null }): void {
    const bytes = entry.kind === 'state' ? 300 + (entry.state.value?.length ?? 0) : 100
    // a large one travels alone
    if (this.#draftBytes > 0 && this.#draftBytes + bytes > batchBytes) this.#write()
    this.#draft.push(entry)
    this.#draftBytes += bytes
    this.#unread.set(this.#batch, 'draft')
    this.#ahead.set(id, { known, batch: this.#batch })
  }

  #write(): void {
    if (this.#draft.length === 0) return
    const [number, entries] = [this.#batch++, this.#draft]
    this.#draft = []
    this.#draftBytes = 0
    const unread: Unread = { ...this.#encode(number, entries), saidAt: undefined, sendCount: 0 }
    this.#unread.set(number, unread)
    void this.#send(unread)
  }

  /** What the broker does not take is told instead of it: to wait for it would be to wait for ever. */
  #encode(number: number, entries: readonly Entry[]): Pick<Unread, 'body' | 'written'> {
    const written: Batch = { kind: 'batch', term: this.#term, number, entries }
    const body = encodeStreamMessage(written)
    if (body.length <= largestBodyBytes) return { body, written }
    const why = `what it returned takes ${body.length} bytes on its way and rpc:// results take 16 MiB`
    const smaller = entries.map(entry =>
      entry.kind === 'state' ? { ...entry, state: withoutValue(entry.state, why) } : entry,
    )
    return { body: encodeStreamMessage({ ...written, entries: smaller }), written: { ...written, entries: smaller } }
  }

  async #send(unread: Unread): Promise<void> {
    unread.saidAt = undefined
    unread.sendCount++
    const { publisher, queues, clock } = this.#parts
    const message = { exchange: '', routingKey: queues.stream, body: unread.body, properties: {} }
    // whatever it says: what counts is that it can be read
    await publisher.publish([message]).catch(() => undefined)
    unread.saidAt = clock.monotonic()
  }

  #writeAgain(): void {
    const before = this.#parts.clock.monotonic() - readBackMs
    const overdue = [...this.#unread.values()].filter(
      (unread): unread is Unread => unread !== 'draft' && unread.saidAt !== undefined && unread.saidAt < before,
    )
    // once may be the broker's slowness; a channel that drops what it confirms is not mended by waiting
    if (overdue.some(({ sendCount }) => sendCount > 1)) this.#parts.publisher.renew()
    for (const unread of overdue) void this.#send(unread)
  }

  /** Everything up to the first message that waits is done: acknowledged as one, and answered. */
  #drain(): void {
    // one question may have filled several batches, and the broker may drop the first of them alone
    const [oldest = Infinity] = this.#unread.keys()
    const waiting = this.#items.findIndex(({ batch }) => batch !== undefined && batch >= oldest)
    const done = this.#items.splice(0, waiting < 0 ? this.#items.length : waiting)
    for (const { tell, answer } of done) if (answer !== 'position') tell?.(answer)
    const last = done.findLast(({ message }) => message !== undefined)?.message
    if (last === undefined) return
    try {
      this.#channel.ack(last, true)
    } catch {
      return this.end()
    }
    this.#reply(done)
  }

  #reply(done: readonly Item[]): void {
    const { position } = this.#parts.projection
    const byQueue = new Map<string, [string, Answer][]>()
    for (const { from, answer } of done) {
      if (from === undefined || answer === undefined) continue
      const answers = byQueue.get(from.queue) ?? []
      byQueue.set(from.queue, answers)
      answers.push([from.number, answer === 'position' ? { position } : answer])
    }
    const messages = [...byQueue].map(([queue, answers]) => ({
      exchange: '',
      routingKey: queue,
      body: Buffer.from(JSON.stringify({ answers })),
      properties: { type: answerType, persistent: false },
      mandatory: false,
    }))
    // who asked may be gone, or asks again
    void this.#parts.publisher.publish(messages).catch(() => undefined)
  }
}
