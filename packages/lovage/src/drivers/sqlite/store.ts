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
import { WakeFile } from './wake-file.ts'

interface Pending {
  readonly number: number
  readonly op: Op
  readonly durability: Durability
  /** Monotonic; when it fails for want of the write lock. */
  readonly deadline: number
}

/** Rows of one transaction: about 20 ms. */
const batchWeight = 2000
/** How often those who wait look by themselves whether others have committed; and where files cannot be watched. */
const tickMs = 100
const blindTickMs = 20
/** Idle work: this long after the first write since the last time, */
const upkeepMs = 1000
/** but only once no call has written for so long; and meanwhile what the file's bounds ask for. */
const calmMs = 50
/** Removed in one piece of idle work. */
const upkeepRows = 500

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
  readonly #queueWake: WakeFile
  readonly #stateWake: WakeFile
  /** Arrived, not yet run. */
  #inbox: Pending[] = []
  #isScheduled = false
  #retry: Timer | undefined
  #upkeep: Timer | undefined
  /** Monotonic; when a call wrote last. */
  #wroteAt = 0
  #ticker: { readonly timer: Timer; readonly ms: number } | undefined
  #due: Timer | undefined
  #dataVersion = 0
  #lastTick = 0
  #tickCount = 0
  #lastPrune = 0
  /** There may be something to claim; stays set until it was looked for with success. */
  #mustClaim = false
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
    const { db, path } = this.#database
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
    this.#handlers = createHandlers({
      tx: this.#tx,
      messages: this.#messages,
      tasks: this.#tasks,
      keys: this.#keys,
      consumers: this.#consumers,
      followers: this.#followers,
      ownership: this.#ownership,
      now: () => this.#now(),
    })
    this.#queueWake = new WakeFile(`${path}-wake-q`)
    this.#stateWake = new WakeFile(`${path}-wake-s`)
    this.#lastPrune = clock.monotonic()
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
    for (const timer of [this.#retry, this.#upkeep, this.#ticker?.timer, this.#due]) timer?.cancel()
    this.#isClosed = true
    this.#followers.clear()
    this.#consumers.clear()
    try {
      while (this.#inbox.length > 0) this.#runBatch(this.#takeBatch())
      if (this.#ownership.current() !== 0) this.#attempt('normal', () => this.#handlers.giveBack({ kind: 'giveBack' }))
    } finally {
      this.#reporter.flush()
      this.#queueWake.close()
      this.#stateWake.close()
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
    if (!this.#isClosed) this.#adjustWaiting()
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
    this.#wroteAt = this.#clock.monotonic()
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
    this.#wake()
    answer?.()
    this.#tx.committed()
    this.#armUpkeep(upkeepMs)
    return true
  }

  #claim(): void {
    if (this.#consumers.isEmpty) return
    if (!this.#ownership.mayClaim()) {
      this.#mustClaim = true
      return
    }
    const owner = this.#ownership.current()
    const emit = (event: StoreEvent): void => this.#reporter.emit(event)
    const isCut = this.#consumers.fill(this.#messages, { owner, tx: this.#tx, emit })
    if (isCut) this.#tx.afterCommit(() => this.#clock.after(0, () => this.#onQueueWake(), { ref: false }))
  }

  #wake(): void {
    if (this.#tx.wakesConsumers) this.#queueWake.touch()
    if (!this.#tx.wakesFollowers) return
    this.#stateWake.touch()
    // in the background's care: what is committed must not be undone, or done again, for a failed reading
    this.#tx.afterCommit(() => this.#background(() => this.#readFollowed()))
  }

  #readFollowed(): void {
    if (this.#followers.isEmpty) return
    for (const event of this.#read(() => this.#followers.read(this.#clock.now()))) this.#reporter.emit(event)
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

  // What happens by itself: ticks, wake-ups, due messages, upkeep.

  /** Starts and stops what whoever waits needs: watching the wake files, the tick, the timer of delayed messages. */
  #adjustWaiting(): void {
    const [consumes, follows] = [!this.#consumers.isEmpty, !this.#followers.isEmpty]
    const seesQueue = !consumes || this.#queueWake.watch(() => this.#onQueueWake())
    const seesState = !follows || this.#stateWake.watch(() => this.#onStateWake())
    if (!consumes) this.#queueWake.unwatch()
    if (!follows) this.#stateWake.unwatch()
    this.#setTicker(!consumes && !follows ? undefined : seesQueue && seesState ? tickMs : blindTickMs)
    if (consumes) this.#armDue()
  }

  #setTicker(ms: number | undefined): void {
    if (this.#ticker?.ms === ms) return
    this.#ticker?.timer.cancel()
    this.#ticker = ms === undefined ? undefined : { ms, timer: this.#clock.every(ms, () => this.#tick()) }
    this.#lastTick = this.#clock.monotonic()
    if (ms !== undefined) this.#clock.after(0, () => this.#tick(), { ref: false })
  }

  #onQueueWake(): void {
    this.#mustClaim = true
    this.#background(() => this.#claimIfReady())
  }

  #onStateWake(): void {
    this.#background(() => this.#readFollowed())
  }

  #tick(): void {
    this.#background(() => {
      const now = this.#clock.monotonic()
      const sinceLast = now - this.#lastTick
      this.#lastTick = now
      if (this.#tickCount++ % 10 === 0) this.#database.assertInPlace()
      const version = this.#database.dataVersion()
      const hasNews = version !== this.#dataVersion
      this.#dataVersion = version
      if (hasNews) this.#readFollowed()
      for (const event of this.#followers.expire(this.#clock.now())) this.#reporter.emit(event)
      if (this.#consumers.isEmpty) return
      this.#careForOwners(sinceLast, hasNews)
      this.#mustClaim ||= hasNews
      if (this.#mustClaim) this.#claimIfReady()
    })
  }

  #careForOwners(sinceLast: number, hasNews: boolean): void {
    if (this.#ownership.needsRenewal()) this.#write('normal', () => this.#ownership.renew())
    const dead = this.#ownership.findDead(sinceLast, hasNews)
    if (dead.length > 0) this.#write('normal', () => this.#ownership.bury(dead))
  }

  /** Looks before it takes the write lock: a wake-up is for everybody, a message for one. */
  #claimIfReady(): void {
    if (this.#consumers.isEmpty) return
    this.#tx.reset()
    const wanted = [...this.#consumers.wantedQueues()]
    const isReady = wanted.some(queue => this.#messages.stats(queue).ready > 0)
    this.#tx.reset()
    if (isReady) this.#claimNow()
    else this.#mustClaim = false
    this.#armDue()
  }

  /** A lock or a full disk leaves it to be tried again at the next tick. */
  #claimNow(): void {
    this.#mustClaim = false
    let isDone = false
    try {
      isDone = this.#write('normal', () => undefined)
    } finally {
      this.#mustClaim ||= !isDone
    }
  }

  /** Delayed messages become ready in time, or within a second where others have put them in unseen. */
  #armDue(leastMs = 0): void {
    this.#due?.cancel()
    this.#due = undefined
    const due = this.#messages.nextDue()
    if (due === undefined) return
    const ms = Math.min(1000, Math.max(leastMs, due - this.#clock.now()))
    this.#due = this.#clock.after(ms, () => this.#background(() => this.#moveDue()), { ref: false })
  }

  #moveDue(): void {
    if (this.#consumers.isEmpty) return
    const now = this.#clock.now()
    const isDue = (this.#messages.nextDue() ?? Infinity) <= now
    let isMoved = !isDue
    try {
      isMoved ||= this.#write('normal', () => this.#messages.moveDue(now, upkeepRows))
    } finally {
      this.#armDue(isMoved ? 0 : tickMs)
    }
  }

  #armUpkeep(ms: number): void {
    this.#upkeep ??= this.#clock.after(ms, () => this.#doUpkeep(), { ref: false })
  }

  #doUpkeep(): void {
    this.#upkeep = undefined
    this.#background(() => {
      if (this.#inbox.length > 0) return this.#armUpkeep(tickMs)
      const isCalm = this.#clock.monotonic() - this.#wroteAt >= calmMs
      this.#database.checkpoint(isCalm)
      const more = this.#prune() || (isCalm && this.#database.vacuum())
      if (more || !isCalm) this.#armUpkeep(more ? tickMs : upkeepMs)
    })
  }

  /** Every half minute with writes, and in a row while there is much; whether there is more. */
  #prune(): boolean {
    const [now, monotonic] = [this.#clock.now(), this.#clock.monotonic()]
    if (monotonic - this.#lastPrune < 30_000) return false
    let pruned = 0
    this.#write('normal', () => (pruned = this.#tasks.prune(now, upkeepRows) + this.#keys.prune(now, upkeepRows)))
    if (pruned >= upkeepRows) return true
    this.#lastPrune = monotonic
    return false
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
