/**
 * What the store does by itself, for whoever waits: it looks whether others have committed, claims what became ready,
 * moves what is due, watches the owners, and keeps the file in shape when it is calm. A wake-up that was lost, a lock
 * and a full disk cost time only: the next tick comes.
 */
import type { Clock, Timer } from '../../core/clock.ts'
import type { Consumers } from './consumers.ts'
import type { Database } from './database.ts'
import type { Followers } from './followers.ts'
import type { KeyTable } from './key-table.ts'
import type { MessageTable } from './message-table.ts'
import type { StoreEvent } from './ops.ts'
import type { Ownership } from './ownership.ts'
import type { TaskTable } from './task-table.ts'
import type { Transaction } from './transaction.ts'
import { WakeFile } from './wake-file.ts'

export interface ChoresContext {
  readonly clock: Clock
  readonly database: Database
  readonly tx: Transaction
  readonly messages: MessageTable
  readonly tasks: TaskTable
  readonly keys: KeyTable
  readonly consumers: Consumers
  readonly followers: Followers
  readonly ownership: Ownership
  readonly emit: (event: StoreEvent) => void
  /** In a read transaction. */
  readonly read: <T>(read: () => T) => T
  /** In a write transaction, with the claims that there is room for; false: somebody else has the lock. */
  readonly write: (apply: () => void) => boolean
  /** Runs work that nobody waits for: what it throws is noted, and met again at the next tick. */
  readonly care: (run: () => void) => void
  /** Whether calls wait to be run. */
  readonly isBusy: () => boolean
}

/** How often those who wait look by themselves whether others have committed; and where files cannot be watched. */
const tickMs = 100
const blindTickMs = 20
/** Idle work: this long after the first write since the last time, */
const upkeepMs = 1000
/** but only once no call has written for so long; and meanwhile what the file's bounds ask for. */
const calmMs = 50
/** Removed in one piece of idle work. */
const upkeepRows = 500

export class Chores {
  readonly #context: ChoresContext
  readonly #queueWake: WakeFile
  readonly #stateWake: WakeFile
  #upkeep: Timer | undefined
  /** Monotonic; when a call wrote last. */
  #wroteAt = 0
  #ticker: { readonly timer: Timer; readonly ms: number } | undefined
  #due: Timer | undefined
  #dataVersion = 0
  #lastTick = 0
  #tickCount = 0
  #lastPrune: number
  /** There may be something to claim; stays set until it was looked for with success. */
  #mustClaim = false
  /** What is followed may have changed; stays set until it was read with success. */
  #mustRead = false

  constructor(context: ChoresContext) {
    this.#context = context
    this.#queueWake = new WakeFile(`${context.database.path}-wake-q`)
    this.#stateWake = new WakeFile(`${context.database.path}-wake-s`)
    this.#lastPrune = context.clock.monotonic()
  }

  /** Starts and stops what whoever waits needs: watching the wake files, the tick, the timer of delayed messages. */
  adjust(): void {
    const { consumers, followers, care } = this.#context
    const [consumes, follows] = [!consumers.isEmpty, !followers.isEmpty]
    const seesQueue = !consumes || this.#queueWake.watch(() => this.#onQueueWake())
    const seesState = !follows || this.#stateWake.watch(() => care(() => this.#readFollowed()))
    if (!consumes) this.#queueWake.unwatch()
    if (!follows) this.#stateWake.unwatch()
    this.#setTicker(!consumes && !follows ? undefined : seesQueue && seesState ? tickMs : blindTickMs)
    if (consumes) care(() => this.#armDue())
  }

  /** A call is about to write. */
  noteWrite(): void {
    this.#wroteAt = this.#context.clock.monotonic()
  }

  /** After COMMIT: whoever waits for what was written hears of it, here and elsewhere. */
  wake(): void {
    const { tx, care } = this.#context
    if (tx.wakesConsumers) this.#queueWake.touch()
    if (!tx.wakesFollowers) return
    this.#stateWake.touch()
    // in the background's care: what is committed must not be undone, or done again, for a failed reading
    tx.afterCommit(() => care(() => this.#readFollowed()))
  }

  /** Something may be left to claim, at the next tick. */
  claimLater(): void {
    this.#mustClaim = true
  }

  /** In the next turn. */
  claimSoon(): void {
    this.#context.clock.after(0, () => this.#onQueueWake(), { ref: false })
  }

  /** When the file is calm. */
  planUpkeep(ms: number = upkeepMs): void {
    this.#upkeep ??= this.#context.clock.after(ms, () => this.#doUpkeep(), { ref: false })
  }

  /** No timer is left; the wake files are still there to be touched. */
  stop(): void {
    for (const timer of [this.#upkeep, this.#ticker?.timer, this.#due]) timer?.cancel()
  }

  close(): void {
    this.stop()
    this.#queueWake.close()
    this.#stateWake.close()
  }

  #setTicker(ms: number | undefined): void {
    const { clock } = this.#context
    if (this.#ticker?.ms === ms) return
    this.#ticker?.timer.cancel()
    this.#ticker = ms === undefined ? undefined : { ms, timer: clock.every(ms, () => this.#tick()) }
    this.#lastTick = clock.monotonic()
    if (ms !== undefined) clock.after(0, () => this.#tick(), { ref: false })
  }

  #onQueueWake(): void {
    this.#mustClaim = true
    this.#context.care(() => this.#claimIfReady())
  }

  #tick(): void {
    this.#context.care(() => {
      const { clock, database, followers, consumers, emit } = this.#context
      const now = clock.monotonic()
      const sinceLast = now - this.#lastTick
      this.#lastTick = now
      if (this.#tickCount++ % 10 === 0) database.assertInPlace()
      const version = database.dataVersion()
      const hasNews = version !== this.#dataVersion
      this.#mustClaim ||= hasNews
      if (hasNews || this.#mustRead) this.#readFollowed()
      for (const event of followers.expire(clock.now())) emit(event)
      if (!consumers.isEmpty) this.#careForOwners(sinceLast, hasNews)
      // last: what failed on the way finds its news again
      this.#dataVersion = version
      if (this.#mustClaim) this.#claimIfReady()
    })
  }

  #readFollowed(): void {
    const { clock, followers, read, emit } = this.#context
    this.#mustRead = !followers.isEmpty
    if (followers.isEmpty) return
    for (const event of read(() => followers.read(clock.now()))) emit(event)
    this.#mustRead = false
  }

  #careForOwners(sinceLast: number, hasNews: boolean): void {
    const { ownership, write } = this.#context
    if (ownership.needsRenewal()) write(() => ownership.renew())
    const dead = ownership.findDead(sinceLast, hasNews)
    if (dead.length > 0) write(() => ownership.bury(dead))
  }

  /** Looks before it takes the write lock: a wake-up is for everybody, a message for one. */
  #claimIfReady(): void {
    const { consumers, tx, messages } = this.#context
    if (consumers.isEmpty) return
    tx.reset()
    const wanted = [...consumers.wantedQueues()]
    const isReady = wanted.some(queue => messages.stats(queue).ready > 0)
    tx.reset()
    if (isReady) this.#claimNow()
    else this.#mustClaim = false
    this.#armDue()
  }

  /** A lock or a full disk leaves it to be tried again at the next tick. */
  #claimNow(): void {
    this.#mustClaim = false
    let isDone = false
    try {
      isDone = this.#context.write(() => undefined)
    } finally {
      this.#mustClaim ||= !isDone
    }
  }

  /** Delayed messages become ready in time, or within a second where others have put them in unseen. */
  #armDue(leastMs = 0): void {
    const { clock, messages, care } = this.#context
    this.#due?.cancel()
    this.#due = undefined
    const due = messages.nextDue()
    if (due === undefined) return
    const ms = Math.min(1000, Math.max(leastMs, due - clock.now()))
    this.#due = clock.after(ms, () => care(() => this.#moveDue()), { ref: false })
  }

  #moveDue(): void {
    const { clock, consumers, messages, write } = this.#context
    if (consumers.isEmpty) return
    const now = clock.now()
    const isDue = (messages.nextDue() ?? Infinity) <= now
    let isMoved = !isDue
    try {
      isMoved ||= write(() => messages.moveDue(now, upkeepRows))
    } finally {
      this.#armDue(isMoved ? 0 : tickMs)
    }
  }

  #doUpkeep(): void {
    this.#upkeep = undefined
    this.#context.care(() => {
      const { clock, database, isBusy } = this.#context
      if (isBusy()) return this.planUpkeep(tickMs)
      const isCalm = clock.monotonic() - this.#wroteAt >= calmMs
      database.checkpoint(isCalm)
      const more = this.#prune() || (isCalm && database.vacuum())
      if (more || !isCalm) this.planUpkeep(more ? tickMs : upkeepMs)
    })
  }

  /** Every half minute with writes, and in a row while there is much; whether there is more. */
  #prune(): boolean {
    const { clock, tasks, keys, write } = this.#context
    const [now, monotonic] = [clock.now(), clock.monotonic()]
    if (monotonic - this.#lastPrune < 30_000) return false
    let pruned = 0
    write(() => (pruned = tasks.prune(now, upkeepRows) + keys.prune(now, upkeepRows)))
    if (pruned >= upkeepRows) return true
    this.#lastPrune = monotonic
    return false
  }
}
