/**
 * The store thread's heart. Operations that have arrived run as one transaction (group commit); what consumers have room
 * for is claimed in the same one; answers leave after COMMIT. Reads do not wait for a write lock that others hold.
 *
 * A transaction that fails for a reason of the file's (full, damaged, locked) fails all its writes; for any other
 * reason each of them is tried alone, so that one does not spoil its neighbours.
 */
import type { Clock, Timer } from '../../core/clock.ts'
import { endOfTurn } from '../../core/clock.ts'
import { crashPoint } from '../../core/crash-point.ts'
import { StorageError } from '../../core/errors.ts'
import { Chores } from './chores.ts'
import { Consumers } from './consumers.ts'
import { Database } from './database.ts'
import { Followers } from './followers.ts'
import { applyOp, createHandlers, durabilityOf, weightOf } from './handlers.ts'
import { hostIdentity } from './host.ts'
import { KeyTable, type Instant } from './key-table.ts'
import { MessageTable } from './message-table.ts'
import type { Durability, ErrorRow, Handlers, Op, OpenRequest, Report, StoreEvent } from './ops.ts'
import { OwnerTable } from './owner-table.ts'
import { Ownership } from './ownership.ts'
import { Reporter } from './reporter.ts'
import { isBusy, isSyncFailure, storageError, storageReason, toErrorRow } from './storage-errors.ts'
import { TaskTable } from './task-table.ts'
import { Transaction } from './transaction.ts'

interface Pending {
  readonly number: number
  readonly op: Op
  readonly durability: Durability
  /** Monotonic; when it fails for want of the write lock. */
  readonly deadline: number
}

/** Rows of one transaction: about 20 ms. */
const batchWeight = 2000
export class Store {
  readonly #options: OpenRequest
  readonly #clock: Clock
  readonly #reporter: Reporter
  readonly #database: Database
  readonly #tx: Transaction
  readonly #messages: MessageTable
  readonly #tasks: TaskTable
  readonly #keys: KeyTable
  readonly #consumers = new Consumers()
  readonly #followers: Followers
  readonly #ownership: Ownership
  readonly #handlers: Handlers
  readonly #chores: Chores
  /** Arrived, not yet run. */
  #inbox: Pending[] = []
  #isScheduled = false
  #retry: Timer | undefined
  #isClosed = false
  /** Of the write transaction that ran last: what fails now has happened, and is not done again. */
  #isCommitted = false
  /** Set by an error after which nothing can be believed. */
  #broken: ErrorRow | undefined

  /** Opens the file. @throws {StorageError} */
  constructor(options: OpenRequest, clock: Clock, send: (report: Report) => void) {
    this.#options = options
    this.#clock = clock
    this.#reporter = new Reporter(send)
    this.#database = new Database(options.path)
    const { db } = this.#database
    const host = hostIdentity()
    this.#tx = new Transaction(db)
    this.#messages = new MessageTable(db, this.#tx)
    this.#tasks = new TaskTable(db, this.#tx, options.resultExpiresMs)
    this.#keys = new KeyTable(db, this.#tx, host)
    this.#followers = new Followers(db, { tasks: this.#tasks, keys: this.#keys })
    this.#ownership = new Ownership(new OwnerTable(db, { host, leaseMs: options.leaseMs }), {
      tx: this.#tx,
      messages: this.#messages,
      clock,
      options,
    })
    const parts = {
      tx: this.#tx,
      messages: this.#messages,
      tasks: this.#tasks,
      keys: this.#keys,
      consumers: this.#consumers,
      followers: this.#followers,
      ownership: this.#ownership,
    }
    this.#handlers = createHandlers({ ...parts, now: () => this.#now() })
    this.#chores = new Chores({
      ...parts,
      clock,
      database: this.#database,
      emit: event => this.#reporter.emit(event),
      read: read => this.#read(read),
      write: apply => this.#write('normal', apply),
      care: run => this.#background(run),
      isBusy: () => this.#inbox.length > 0,
    })
  }

  submit(first: number, ops: readonly Op[]): void {
    const deadline = this.#clock.monotonic() + this.#options.busyMs
    ops.forEach((op, index) => this.#inbox.push({ number: first + index, op, durability: durabilityOf(op), deadline }))
  }

  /** Runs one transaction of what has arrived; the rest follows in later turns, so that timers get theirs. */
  run(): void {
    if (this.#broken !== undefined) this.#failAll(this.#inbox.splice(0), this.#broken)
    const batch = this.#takeBatch()
    if (batch.length > 0) this.#runBatch(batch)
    this.#reporter.flush()
    if (this.#inbox.length > 0 && this.#retry === undefined) this.#schedule()
  }

  /** Runs what is left and gives back what is held. The file is closed, whatever happens. */
  close(): void {
    this.#retry?.cancel()
    this.#chores.stop()
    this.#isClosed = true
    this.#followers.clear()
    this.#consumers.clear()
    try {
      while (this.#inbox.length > 0) this.#runBatch(this.#takeBatch())
      if (this.#ownership.current() !== 0) this.#attempt('normal', () => this.#handlers.giveBack({ kind: 'giveBack' }))
    } finally {
      this.#reporter.flush()
      this.#chores.close()
      this.#database.close()
    }
  }

  #now(): Instant {
    return { wall: this.#clock.now(), monotonic: this.#clock.monotonic() }
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    endOfTurn(() => {
      this.#isScheduled = false
      this.run()
    })
  }

  #takeBatch(): Pending[] {
    let weight = 0
    let count = 0
    while (count < this.#inbox.length && weight < batchWeight)
      weight += weightOf(this.#inbox[count++]?.op ?? { kind: 'queues' })
    return count === this.#inbox.length ? this.#inbox.splice(0) : this.#inbox.splice(0, count)
  }

  #runBatch(batch: readonly Pending[]): void {
    const durability = highest(batch)
    if (durability === 'read') this.#runReads(batch)
    else if (!this.#runWrites(batch, durability)) this.#stall(batch)
    if (!this.#isClosed) this.#chores.adjust()
  }

  /** Each in a snapshot of its own. Those that meet a recovery, which locks readers out too, wait for its end. */
  #runReads(batch: readonly Pending[]): void {
    this.#tx.reset()
    const locked: Pending[] = []
    for (const pending of batch) {
      const { number, op } = pending
      try {
        const value = this.#read(() => applyOp(this.#handlers, op))
        this.#tx.committed()
        this.#reporter.answer(number, value)
      } catch (error) {
        this.#tx.rolledBack()
        if (isBusy(error) && !this.#isClosed) locked.push(pending)
        else this.#reporter.fail(number, this.#errorOf(error))
      }
    }
    if (locked.length > 0) this.#tryAgain(locked)
  }

  #read<T>(read: () => T): T {
    this.#database.beginRead()
    try {
      return read()
    } finally {
      this.#database.rollback()
    }
  }

  /** Whether the write lock was got; if not, nothing has happened, and all of it is to be tried again. */
  #runWrites(batch: readonly Pending[], durability: Durability): boolean {
    const values: unknown[] = []
    let answered = 0
    this.#chores.noteWrite()
    try {
      return this.#write(
        durability,
        () => batch.forEach(({ op }) => values.push(applyOp(this.#handlers, op))),
        () => {
          for (const { number, op } of batch) {
            if (op.kind === 'publish') crashPoint('P3')
            this.#reporter.answer(number, values[answered++])
          }
        },
      )
    } catch (error) {
      const isShared = error instanceof StorageError || storageReason(error) !== undefined
      if (batch.length > 1 && !isShared && !this.#isCommitted) this.#runApart(batch)
      else {
        const left = batch.slice(answered)
        this.#failAll(left.filter(isWrite), this.#errorOf(error))
        this.#runReads(left.filter(isRead))
      }
      return true
    }
  }

  /** Each alone, in order; from the first that does not get the write lock on, they wait for it. */
  #runApart(batch: readonly Pending[]): void {
    const stalled = batch.findIndex(pending => !this.#runWrites([pending], pending.durability))
    if (stalled >= 0) this.#stall(batch.slice(stalled))
  }

  /** One write transaction, with the claims that there is room for. `answer` runs after COMMIT, before any event. */
  #write(durability: Durability, apply: () => void, answer?: () => void): boolean {
    this.#isCommitted = false
    if (!this.#database.beginWrite(durability)) return false
    this.#tx.reset()
    try {
      apply()
      this.#claim()
      this.#tx.flush()
      this.#database.commit()
    } catch (error) {
      this.#database.rollback()
      this.#tx.rolledBack()
      throw error
    }
    this.#isCommitted = true
    if (durability === 'full') this.#database.assertInPlace()
    this.#chores.wake()
    answer?.()
    this.#tx.committed()
    this.#chores.planUpkeep()
    return true
  }

  #claim(): void {
    if (this.#consumers.isEmpty) return
    if (!this.#ownership.mayClaim()) return this.#chores.claimLater()
    const owner = this.#ownership.current()
    const emit = (event: StoreEvent): void => this.#reporter.emit(event)
    const isCut = this.#consumers.fill(this.#messages, { owner, tx: this.#tx, emit })
    if (isCut) this.#tx.afterCommit(() => this.#chores.claimSoon())
  }

  /** The write lock is someone else's: reads go first, writes try again until their deadline. */
  #stall(batch: readonly Pending[]): void {
    this.#runReads(batch.filter(isRead))
    this.#tryAgain(batch.filter(isWrite))
  }

  #tryAgain(batch: readonly Pending[]): void {
    const now = this.#clock.monotonic()
    this.#failAll(
      batch.filter(({ deadline }) => deadline <= now),
      toErrorRow(this.#database.path, storageError(this.#database.path, 'busy')),
    )
    this.#inbox.unshift(...batch.filter(({ deadline }) => deadline > now))
    this.#retry ??= this.#clock.after(5 + Math.random() * 10, () => {
      this.#retry = undefined
      this.run()
    })
  }

  #failAll(batch: readonly Pending[], error: ErrorRow): void {
    for (const { number } of batch) this.#reporter.fail(number, error)
  }

  /** Notes what cannot be healed: a failed fsync, and a file that is no longer there. */
  #errorOf(error: unknown): ErrorRow {
    const row = toErrorRow(this.#database.path, error, this.#isCommitted || isSyncFailure(error))
    if (isSyncFailure(error) || row.reason === 'missing') this.#break(row)
    return row
  }

  #break(error: ErrorRow): void {
    if (this.#broken !== undefined) return
    this.#broken = error
    this.#reporter.emit({ kind: 'ended', error })
    this.#consumers.clear()
    this.#followers.clear()
  }

  /** Work that nobody waits for: a lock or a full disk is met again at the next tick. */
  #background(run: () => void): void {
    if (this.#broken !== undefined || this.#isClosed) return
    try {
      run()
    } catch (error) {
      this.#errorOf(error)
    }
    this.#reporter.flush()
  }

  #attempt(durability: Durability, apply: () => void): void {
    try {
      this.#write(durability, apply)
    } catch (error) {
      this.#errorOf(error)
    }
  }
}

function isRead({ durability }: Pending): boolean {
  return durability === 'read'
}

function isWrite({ durability }: Pending): boolean {
  return durability !== 'read'
}

function highest(batch: readonly Pending[]): Durability {
  let durability: Durability = 'read'
  for (const pending of batch) {
    if (pending.durability === 'full') return 'full'
    if (pending.durability === 'normal') durability = 'normal'
  }
  return durability
}
