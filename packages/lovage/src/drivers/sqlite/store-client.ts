/**
 * The main thread's end of the store thread. All calls of one turn of the event loop leave as one message. The thread
 * does not keep the process alive by itself; a pending call and a subscription do.
 *
 * new → opening (by `open`) → open → closing (by `close`) → closed. A refused `open` leads back to new. A thread that
 * dies leads from open to lost: what waits is told so, and the next call leads over opening to open again.
 */
import { Worker } from 'node:worker_threads'
import { endOfTurn, systemClock, type Timer } from '../../core/clock.ts'
import { coerceError, IllegalStateError, StorageError } from '../../core/errors.ts'
import { siblingFile } from '../../core/sibling-file.ts'
import type {
  AnswerOf,
  ErrorRow,
  Op,
  OpKind,
  OpOf,
  OpsReport,
  OpenRequest,
  Report,
  Request,
  StoreEvent,
} from './ops.ts'
import { packOp } from './packing.ts'
import { fromErrorRow } from './storage-errors.ts'

interface Call {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** Three semi-spaces of 8 MiB: what the thread makes dies young, and V8's own 192 would only stay resident. */
const maxYoungGenerationSizeMb = 24

export type ClientOptions = Omit<OpenRequest, 'kind' | 'heartbeat'>

/** Where an event goes: by its kind and by the number its subscription has. */
export interface Listeners {
  readonly onEvent: (event: StoreEvent) => void
  /** It is over: the file cannot be used any more, or the thread has died. */
  readonly onEnd: (error: Error) => void
  /** Where it is given, a thread's death is not the end: the next thread is to be told anew what is subscribed to. */
  readonly onRestart?: () => void
}

/** An error of the thread, and whether the write may have happened all the same. */
const unknownOutcome: unique symbol = Symbol('unknown outcome')

export class StoreClient {
  readonly #options: ClientOptions
  readonly #heartbeat = new SharedArrayBuffer(4)
  readonly #listeners = new Set<Listeners>()
  #worker: Worker | undefined
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #isOpen = false
  /** Why the thread died that was there before. */
  #loss: StorageError | undefined
  #outbox: Op[] = []
  readonly #calls = new Map<number, Call>()
  #lastNumber = 0
  /** What holds the process: pending calls and subscriptions. */
  #holds = 0
  #pulse: Timer | undefined
  #settleOpening: ((report: Report | Error) => void) | undefined
  #onClosed: (() => void) | undefined

  constructor(options: ClientOptions) {
    this.#options = options
  }

  get path(): string {
    return this.#options.path
  }

  /** Its thread has died, and nobody has called since. */
  get isLost(): boolean {
    return this.#loss !== undefined
  }

  /** @throws {StorageError} the file cannot be used. Idempotent. */
  open(): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closedError(this.path))
    this.#opening ??= this.#start().catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  /** @throws {IllegalStateError} it is not open. @throws {StorageError} */
  call<K extends OpKind>(op: OpOf<K>): Promise<AnswerOf<K>> {
    return new Promise<AnswerOf<K>>((resolve, reject) => {
      this.#post(op as Op, { resolve: resolve as (value: unknown) => void, reject })
    })
  }

  /** Tells these listeners every event until the function is called; holds the process if asked. */
  subscribe(listeners: Listeners): () => void {
    this.#listeners.add(listeners)
    this.#hold(1)
    return () => {
      if (this.#listeners.delete(listeners)) this.#hold(-1)
    }
  }

  /** Ends the thread when all calls have their answers. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#stop()
    return this.#closing
  }

  #post(op: Op, call: Call): void {
    if (!this.#isOpen) return this.#postToNext(op, call)
    this.#calls.set(++this.#lastNumber, call)
    if (this.#outbox.push(op) === 1) endOfTurn(() => this.#send())
    this.#hold(1)
  }

  /** To a lost thread's successor. One that is lost as well leaves it undone, so that nothing starts threads for ever. */
  #postToNext(op: Op, call: Call): void {
    if (this.#closing !== undefined) return call.reject(closedError(this.path))
    if (this.#loss === undefined) return call.reject(notOpenError(this.path))
    this.open().then(
      () => (this.#loss === undefined ? this.#post(op, call) : call.reject(this.#loss)),
      error => call.reject(coerceError(error)),
    )
  }

  #send(): void {
    const ops = this.#outbox
    if (ops.length === 0) return
    this.#outbox = []
    this.#tell({ kind: 'ops', first: this.#lastNumber - ops.length + 1, ops: ops.map(packOp) })
  }

  #tell(request: Request): void {
    this.#worker?.postMessage(request)
  }

  async #start(): Promise<void> {
    const worker = new Worker(siblingFile(import.meta.url, 'store-thread'), {
      name: 'lovage sqlite',
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxYoungGenerationSizeMb },
    })
    const answer = new Promise<Report | Error>(resolve => (this.#settleOpening = resolve))
    this.#worker = worker
    worker.on('message', (report: Report) => this.#take(report))
    worker.on('error', error => this.#died(worker, error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', () => this.#died(worker, new Error('it ended by itself')))
    this.#tell({ kind: 'open', ...this.#options, heartbeat: this.#heartbeat })
    const report = await answer
    if (!(report instanceof Error) && report.kind === 'opened') return this.#opened(worker)
    this.#worker = undefined
    await worker.terminate()
    throw report instanceof Error
      ? report
      : fromErrorRow(report.kind === 'refused' ? report.error : { message: '', reason: 'failed', unknown: false })
  }

  #opened(worker: Worker): void {
    this.#isOpen = true
    if (this.#holds === 0) worker.unref()
    const beat = new Int32Array(this.#heartbeat)
    this.#pulse = systemClock.every(1000, () => Atomics.add(beat, 0, 1))
    if (this.#loss === undefined) return
    this.#loss = undefined
    for (const { onRestart } of this.#listeners) onRestart?.()
  }

  async #stop(): Promise<void> {
    await this.#opening?.catch(() => undefined)
    const worker = this.#worker
    if (worker === undefined) return
    this.#send()
    this.#isOpen = false
    worker.ref()
    const closed = new Promise<void>(resolve => (this.#onClosed = resolve))
    this.#tell({ kind: 'close' })
    await closed
    this.#pulse?.cancel()
    this.#worker = undefined
    await worker.terminate()
  }

  #take(report: Report): void {
    if (report.kind === 'report') this.#report(report)
    else if (report.kind === 'closed') this.#onClosed?.()
    else this.#settleOpening?.(report)
  }

  #report({ answered, values, failed, events }: OpsReport): void {
    answered.forEach((number, index) => this.#takeCall(number)?.resolve(values[index]))
    for (const { number, error } of failed) this.#takeCall(number)?.reject(asError(error))
    for (const event of events) this.#announce(event)
    this.#hold(-answered.length - failed.length)
  }

  #announce(event: StoreEvent): void {
    if (event.kind === 'ended') return this.#end(fromErrorRow(event.error))
    for (const { onEvent } of this.#listeners) onEvent(event)
  }

  #takeCall(number: number): Call | undefined {
    const call = this.#calls.get(number)
    this.#calls.delete(number)
    return call
  }

  /** The thread is gone, without having been asked to. Of what was under way it is not known how far it got. */
  #died(worker: Worker, cause: Error): void {
    if (worker !== this.#worker) return
    this.#settleOpening?.(cause)
    this.#onClosed?.()
    this.#pulse?.cancel()
    this.#worker = undefined
    if (this.#isOpen) this.#opening = undefined
    this.#isOpen = false
    this.#outbox = []
    const message = `The store thread of ${this.path} ended: ${cause.message}. The next call starts another.`
    const loss = new StorageError(message, { reason: 'failed', cause })
    this.#loss = loss
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    this.#hold(-calls.length)
    const unknown = Object.assign(new StorageError(message, { reason: 'failed', cause }), { [unknownOutcome]: true })
    for (const { reject } of calls) reject(unknown)
    this.#end(loss, ({ onRestart }) => onRestart === undefined)
  }

  #end(error: Error, isOver: (listeners: Listeners) => boolean = () => true): void {
    const ended = [...this.#listeners].filter(isOver)
    for (const listeners of ended) this.#listeners.delete(listeners)
    this.#hold(-ended.length)
    for (const { onEnd } of ended) onEnd(error)
  }

  #hold(change: number): void {
    const before = this.#holds
    this.#holds += change
    if (before === 0 && this.#holds > 0) this.#worker?.ref()
    else if (before > 0 && this.#holds <= 0 && this.#isOpen) this.#worker?.unref()
  }
}

function asError(row: ErrorRow): Error {
  const error = fromErrorRow(row)
  return row.unknown ? Object.assign(error, { [unknownOutcome]: true }) : error
}

/** Whether a failed write may have happened all the same. */
export function mayHaveHappened(error: unknown): boolean {
  return typeof error === 'object' && error !== null && unknownOutcome in error
}

function notOpenError(path: string): IllegalStateError {
  return new IllegalStateError(`${path} was not opened: await open() first`)
}

function closedError(path: string): IllegalStateError {
  return new IllegalStateError(`${path} was closed: open another connection`)
}
