/**
 * The result store `rpc://`: results are messages, and yet every process answers for every task, again and again.
 * States go into the app's inbox, one process relays them to the stream (relay.ts), all read it (tail.ts) into what
 * they know (projection.ts). A look-up first waits until this process has read whatever was in the inbox before it.
 */
import { randomBytes } from 'node:crypto'
import type { Page } from '../../../broker.ts'
import { endOfTurn } from '../../../core/clock.ts'
import { BrokerTimeoutError, coerceError, IllegalStateError, type LovageError } from '../../../core/errors.ts'
import type { StateRecord, StoredState } from '../../../core/record.ts'
import { isReadyState } from '../../../core/states.ts'
import type {
  ListQuery,
  Lookup,
  LookupOptions,
  PutOptions,
  ResultCapabilities,
  ResultStore,
  WatchOptions,
} from '../../../result-store.ts'
import { hostname } from 'node:os'
import { RabbitConnection } from '../connection.ts'
import type { Link } from '../link.ts'
import { Publisher } from '../publisher.ts'
import type { RabbitSession } from '../session.ts'
import { bringsNothing } from './decide.ts'
import { decodeStreamMessage } from './entries.ts'
import type { Put } from './inbox.ts'
import { Mailbox } from './mailbox.ts'
import type { Lines } from './mailbox.ts'
import { declareInbox, resultQueues } from './names.ts'
import type { ResultQueues } from './names.ts'
import { isOfBroker, OlderStates } from './older-states.ts'
import { Projection } from './projection.ts'
import type { ProjectionLimits } from './projection.ts'
import { Relay } from './relay.ts'
import { Shared } from './shared.ts'
import { Tail } from './tail.ts'
import { Watches } from './watches.ts'
import type { StartedWatch } from './watches.ts'

export const rpcResultCapabilities: ResultCapabilities = { conditional: true, pointRead: false, retention: 'store' }

export interface RpcOptions {
  /** Names the queues: apps of one virtual host are apart. */
  readonly app: string
  /** Of memory. */
  readonly limits?: ProjectionLimits | undefined
  /** Messages of the stream that a process reads when it begins, and once more for a task it does not know. @default 50000 */
  readonly lookBack?: number | undefined
  /** How long a look-up waits for the relay before it answers with what is known here. @default 5000 */
  readonly relayTimeoutMs?: number | undefined
}

const openTimeoutMs = 10_000
/** A relay that is gone has a successor by then; the record is in the inbox all the same. */
const verdictTimeoutMs = 10_000
const triedMs = 300
const showAgainMs = 1000
/** Of one question. */
const putsAtOnce = 100
const putBytesAtOnce = 512 * 1024
/** A publisher for the relay does not wait long: it writes again. */
const relayPublishMs = 1000

interface OpenOptions {
  readonly signal?: AbortSignal | undefined
}

interface Waiting extends Put {
  readonly isVerdictWanted: boolean
  readonly resolve: (isKept: boolean) => void
  readonly reject: (error: Error) => void
}

export class RpcResults implements ResultStore {
  readonly capabilities: ResultCapabilities = rpcResultCapabilities
  /** Where workers are told to send what becomes of our tasks. */
  readonly replyTo: string
  readonly #app: string
  readonly #session: RabbitSession
  readonly #reading: RabbitConnection
  readonly #queues: ResultQueues
  readonly #projection: Projection
  readonly #mailbox: Mailbox
  readonly #tail: Tail
  readonly #older: OlderStates
  readonly #relay: Relay
  readonly #watches: Watches = new Watches()
  readonly #fences: Shared<void>
  readonly #lookBack: number
  readonly #relayTimeoutMs: number
  readonly #endings: (() => void)[] = []
  #puts: Waiting[] = []
  /** Of this process's marks. */
  readonly #markPrefix: string = randomBytes(8).toString('base64url')
  #lastMark = 0
  /** The last look-up had no answer from it. */
  #isRelayAway = false
  /** new → open (by `open`; a failed one goes back) → closed (by `close`). */
  #state: 'new' | 'open' | 'closed' = 'new'
  #opening: Promise<void> | undefined

  /** @throws {ConfigurationError} the app's name is too long. */
  constructor(session: RabbitSession, options: RpcOptions) {
    const queues = resultQueues(options.app)
    this.#app = options.app
    this.#session = session
    this.#queues = queues
    this.replyTo = queues.inbox
    this.#lookBack = options.lookBack ?? 50_000
    this.#relayTimeoutMs = options.relayTimeoutMs ?? 5000
    this.#projection = new Projection(options.limits)
    const { location, publishing, publisher } = session
    const name = `lovage ${process.pid}@${hostname()} reads results`
    const reading = new RabbitConnection({ location, name, clock: publishing.clock })
    this.#reading = reading
    const askHere: Lines['askHere'] = puts => (puts.some(isLarge) ? undefined : this.#relay.ask(puts))
    this.#mailbox = new Mailbox({ publishing, publisher, reading, askHere }, queues)
    this.#tail = new Tail({
      connection: reading,
      queues,
      onMessage: (offset, body) => this.#onStream(offset, body),
      onResume: () => this.#projection.resume(),
      onRestart: () => {
        this.#projection.restart()
        this.#relay.onRestart()
      },
    })
    this.#older = new OlderStates({
      reading,
      queues,
      projection: this.#projection,
      tail: this.#tail,
      lookBack: this.#lookBack,
    })
    this.#relay = new Relay({
      connection: reading,
      queues,
      projection: this.#projection,
      tail: this.#tail,
      publisher: new Publisher(publishing, { timeoutMs: relayPublishMs }),
      lookBack: this.#lookBack,
      markInbox: token => this.#mailbox.tell({ kind: 'begin', token }, { persistent: false }),
    })
    this.#fences = new Shared(() => this.#fence())
  }

  open(options: OpenOptions = {}): Promise<void> {
    if (this.#state === 'closed') return Promise.reject(closedError())
    this.#opening ??= this.#openHeld(options).catch((error: unknown) => {
      this.#opening = undefined
      for (const end of this.#endings.splice(0)) end()
      throw error
    })
    return this.#opening
  }

  put(record: StateRecord, { isVerdictWanted = true }: PutOptions = {}): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#assertOpen()
      // a quick task has gone further by the time its sender knows that it was accepted
      if (!isVerdictWanted && this.#isNoNews(record)) return resolve(false)
      this.#puts.push({ mark: this.#nextMark(), record, isVerdictWanted, resolve, reject })
      if (this.#puts.length === 1) endOfTurn(() => this.#sendPuts())
    })
  }

  async get(id: string, { isFresh = false }: LookupOptions = {}): Promise<Lookup> {
    const [found] = await this.#lookUp([id], isFresh)
    return found ?? unknown(id, 'nothing was asked')
  }

  getMany(ids: readonly string[]): Promise<readonly Lookup[]> {
    return this.#lookUp(ids, false)
  }

  async #lookUp(ids: readonly string[], isFresh: boolean): Promise<readonly Lookup[]> {
    this.#assertOpen()
    if (ids.every(id => this.#isFinal(id))) return ids.map(id => this.#find(id) ?? unknown(id, ''))
    const trouble = await this.#sync()
    if (trouble !== undefined && isFresh) throw trouble
    const { states: older, why } = await this.#older.find(this.#missingOf(ids), trouble)
    return ids.map(id => {
      const state = older.get(id)
      return this.#find(id) ?? (state === undefined ? unknown(id, why ?? this.#whyUnknown()) : { kind: 'state', state })
    })
  }

  async watch(ids: readonly string[], options: WatchOptions): Promise<() => void> {
    this.#assertOpen()
    const watch = this.#watches.add(ids, options, id => this.#projection.find(id)?.state)
    try {
      if (ids.every(id => this.#isFinal(id))) return watch.end
      const trouble = await this.#sync()
      const { states: older, why } = await this.#older.find(this.#missingOf(ids), trouble)
      this.#assertOpen()
      watch.open(id => this.#projection.find(id)?.state ?? older.get(id))
      if (why !== undefined || !this.#tail.isStarted) void this.#showLater(watch, ids).catch(() => undefined)
      return watch.end
    } catch (error) {
      watch.end()
      throw error
    }
  }

  async list(query: ListQuery = {}): Promise<Page<StoredState>> {
    this.#assertOpen()
    await this.#sync()
    return this.#projection.list(query)
  }

  async forget(ids: readonly string[]): Promise<number> {
    this.#assertOpen()
    if (ids.length === 0) return 0
    const question = { kind: 'forget', ids } as const
    const answer = await this.#mailbox.ask(question, { timeoutMs: verdictTimeoutMs, persistent: true })
    if (answer === undefined) throw noRelay(verdictTimeoutMs)
    return answer.count ?? 0
  }

  /** The broker's retention policy removes what is old, in whole segments of the stream. */
  async prune(): Promise<number> {
    this.#assertOpen()
    return 0
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#reading.hold()
    this.#watches.clear()
    this.#mailbox.close()
    for (const { reject } of this.#puts.splice(0)) reject(closedError())
    for (const end of this.#endings.splice(0)) end()
    this.#relay.close()
    this.#tail.close()
    // their channels end with it, also where the broker is frozen and ends none
    await this.#reading.close()
  }

  /** An idle connection does not keep the process alive; one that is being opened does. */
  async #openHeld(options: OpenOptions): Promise<void> {
    const releases = [this.#session.publishing.hold(), this.#reading.hold()]
    try {
      await this.#open(options)
    } finally {
      for (const release of releases) release()
    }
  }

  async #open({ signal }: OpenOptions): Promise<void> {
    const { publishing } = this.#session
    await Promise.all([this.#session.open({ signal }), this.#reading.open({ signal })])
    this.#endings.push(
      publishing.onConnect(link => this.#declare(link)),
      this.#reading.onConnect(link => this.#restore(link)),
    )
    await this.#declare(await publishing.link(openTimeoutMs))
    await this.#restore(await this.#reading.link(openTimeoutMs))
    if (this.#state === 'new') this.#state = 'open'
  }

  /** Before any message leaves that names the inbox. */
  async #declare(link: Link): Promise<void> {
    await link.withChannel('declare the inbox of results', channel => declareInbox(channel, this.#queues))
  }

  async #restore(link: Link): Promise<void> {
    await this.#mailbox.restore(link)
    this.#tail.restore(link)
    this.#relay.restore(link)
  }

  #onStream(offset: number, body: Buffer): void {
    const message = this.#relay.recognize(body) ?? decodeStreamMessage(body)
    if (message === undefined) return this.#projection.skip(offset)
    const news = this.#projection.apply(offset, message)
    this.#relay.onStream(offset, message)
    for (const state of news) this.#watches.tell(state)
  }

  /** Waits until all that was in the inbox by now was read here. Gives a reason when that cannot be had: the broker's. */
  async #sync(): Promise<LovageError | undefined> {
    try {
      await this.#fences.run()
      this.#assertOpen()
      return undefined
    } catch (error) {
      if (!isOfBroker(error)) throw error
      return error
    }
  }

  /**
   * What could not be read when a watch began, or nobody said yet where to begin: it is told all the same.
   * @throws {IllegalStateError} the store was closed.
   */
  async #showLater(watch: StartedWatch, ids: readonly string[]): Promise<void> {
    while (this.#state === 'open' && !watch.isOver()) {
      // not once more for those of which nothing was found: that is to read very much
      const dropped = new Set(ids.filter(id => this.#projection.placeOf(id) !== undefined))
      const { states: older, why } = await this.#older.find(dropped, undefined)
      watch.open(id => older.get(id))
      if (why === undefined && this.#tail.isStarted) return
      await new Promise<void>(resolve => this.#reading.clock.after(showAgainMs, resolve, { ref: false }))
      await this.#sync().catch(() => undefined)
    }
  }

  /** Not in memory: dropped from it, or never read here. */
  #missingOf(ids: readonly string[]): ReadonlySet<string> {
    return new Set(ids.filter(id => this.#projection.find(id) === undefined))
  }

  async #fence(): Promise<void> {
    // once is enough to wait for a relay that is frozen; from then on it is only tried
    const timeoutMs = this.#isRelayAway ? Math.min(triedMs, this.#relayTimeoutMs) : this.#relayTimeoutMs
    const answer = await this.#mailbox.ask({ kind: 'fence' }, { timeoutMs, persistent: false })
    this.#isRelayAway = answer === undefined
    if (answer === undefined) throw noRelay(this.#relayTimeoutMs)
    const { position = -1 } = answer
    if (!this.#tail.isStarted) this.#tail.start(Math.max(0, position + 1 - this.#lookBack))
    const release = this.#reading.hold()
    try {
      await this.#tail.reached(position, timeoutMs)
    } finally {
      release()
    }
  }

  /** By what was read here. Where the stream was deleted since, others know less until the worker's next state. */
  #isNoNews(record: StateRecord): boolean {
    const known = this.#projection.find(record.id)
    if (known === undefined) return this.#projection.wasReady(record.id)
    return bringsNothing(record, known.state)
  }

  /** What is final stays so, and needs no fence. */
  #isFinal(id: string): boolean {
    return isReadyState(this.#projection.find(id)?.state.state ?? '')
  }

  #find(id: string): Lookup | undefined {
    const known = this.#projection.find(id)
    return known === undefined ? undefined : { kind: 'state', state: known.state }
  }

  #whyUnknown(): string {
    return `no state of it is among the last ${this.#projection.size} tasks that the rpc:// results of the app "${this.#app}" hold`
  }

  /** Unlike any other process's. */
  #nextMark(): string {
    return `${this.#markPrefix}.${(++this.#lastMark).toString(36)}`
  }

  #sendPuts(): void {
    const puts = this.#puts.splice(0)
    // apart: a verdict comes later than what is safe
    for (const batch of batches(puts.filter(({ isVerdictWanted }) => !isVerdictWanted))) void this.#tell(batch)
    for (const batch of batches(puts.filter(({ isVerdictWanted }) => isVerdictWanted))) void this.#ask(batch)
  }

  async #tell(puts: readonly Waiting[]): Promise<void> {
    try {
      await this.#mailbox.tell({ kind: 'put', puts: puts.map(toPut) }, { persistent: true })
      for (const { resolve } of puts) resolve(true)
    } catch (error) {
      for (const { reject } of puts) reject(coerceError(error))
    }
  }

  async #ask(puts: readonly Waiting[]): Promise<void> {
    try {
      const question = { kind: 'put', puts: puts.map(toPut) } as const
      const answer = await this.#mailbox.ask(question, { timeoutMs: verdictTimeoutMs, persistent: true })
      // without one it is in the inbox all the same, and whoever relays next will judge it
      for (const [index, { resolve }] of puts.entries()) resolve(answer?.kept?.[index] ?? true)
    } catch (error) {
      for (const { reject } of puts) reject(coerceError(error))
    }
  }

  #assertOpen(): void {
    if (this.#state === 'closed') throw closedError()
    if (this.#state === 'new') throw new IllegalStateError('This result store was not opened: await its open() first')
  }
}

function toPut({ mark, record }: Waiting): Put {
  return { mark, record }
}

function batches(puts: readonly Waiting[]): readonly (readonly Waiting[])[] {
  const all: Waiting[][] = []
  let [bytes, last]: [number, Waiting[] | undefined] = [0, undefined]
  for (const put of puts) {
    const size = put.record.value?.length ?? 0
    if (last === undefined || last.length === putsAtOnce || bytes + size > putBytesAtOnce) {
      last = []
      all.push(last)
      bytes = 0
    }
    last.push(put)
    bytes += size
  }
  return all
}

/** It may be more than a message takes: that is found out, and told, where it is sent. */
function isLarge({ record }: Put): boolean {
  return (record.value?.length ?? 0) > putBytesAtOnce
}

function unknown(id: string, reason: string): Lookup {
  return { kind: 'unknown', reason: `${id}: ${reason}` }
}

function noRelay(timeoutMs: number): BrokerTimeoutError {
  return new BrokerTimeoutError(
    `nobody relayed the results within ${timeoutMs} ms: the process that does (any of the app's) is frozen or overloaded`,
  )
}

function closedError(): IllegalStateError {
  return new IllegalStateError('This result store was closed: open another connection')
}
