/**
 * The main thread's end of the store thread. All calls of one turn of the event loop leave as one message. The thread
 * does not keep the process alive by itself; a pending call and a subscription do.
 *
 * new → opening (by `open`) → open → closing (by `close`) → closed. A refused `open` leads back to new. A thread that
 * dies leads to closed, and every subscription is told.
 */
import { Worker } from 'node:worker_threads'
import { endOfTurn, systemClock, type Timer } from '../../core/clock.ts'
import { IllegalStateError, StorageError } from '../../core/errors.ts'
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
  readonly onEnd: (error: Error) => void
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
  #failure: Error | undefined
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
    if (!this.#isOpen)
      return call.reject(
        this.#failure ?? (this.#closing === undefined ? notOpenError(this.path) : closedError(this.path)),
      )
    this.#calls.set(++this.#lastNumber, call)
    if (this.#outbox.push(op) === 1) endOfTurn(() => this.#send())
    this.#hold(1)
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
    worker.on('error', error => this.#died(error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', () => this.#died(new Error('The store thread ended')))
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

  /** The thread is gone, without having been asked to. */
  #died(cause: Error): void {
    this.#settleOpening?.(cause)
    this.#onClosed?.()
    if (!this.#isOpen) return
    const error = new StorageError(
      `The store thread of ${this.path} ended: ${cause.message}. Close this connection and open another.`,
      { reason: 'failed', cause },
    )
    this.#isOpen = false
    this.#worker = undefined
    this.#failure = error
    this.#pulse?.cancel()
    // of these it is not known how far they got; what is called from now on does not happen
    const { message, reason } = error
    const unknown = Object.assign(new StorageError(message, { reason, cause }), { [unknownOutcome]: true })
    for (const number of this.#calls.keys()) this.#takeCall(number)?.reject(unknown)
    this.#end(error)
  }

  #end(error: Error): void {
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    this.#hold(-listeners.length)
    for (const { onEnd } of listeners) onEnd(error)
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
