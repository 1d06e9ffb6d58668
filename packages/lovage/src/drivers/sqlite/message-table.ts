/** Messages: publish, claim, settle, give back, purge, and the dead letters. Every method runs inside a transaction. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Page, QueueStats } from '../../broker.ts'
import type { DeliveryRow, MessageRow, ParkedRow, RowDisposition } from './ops.ts'
import { bodyIn, countIn, inQueue, keyOf, keyParts, numberIn } from './schema.ts'
import type { QueueRow, Transaction } from './transaction.ts'

interface ClaimedRow {
  readonly rank: number
  readonly seq: number
  readonly delivery: number
  readonly crashes: number
  readonly head: string
  readonly body: string | Uint8Array
}

type Requeue = RowDisposition & { readonly kind: 'requeue' }

/** A token's parts: `queue.rank.seq.delivery`. */
type Hold = readonly [queue: number, rank: number, seq: number, delivery: number]

export class MessageTable {
  readonly #tx: Transaction
  readonly #statements: ReturnType<typeof prepareStatements>

  constructor(db: DatabaseSync, tx: Transaction) {
    this.#tx = tx
    this.#statements = prepareStatements(db)
  }

  publish({ id, queue: name, priority, notBefore, head, body }: MessageRow): void {
    const queue = this.#tx.queue(name)
    const seq = this.#tx.nextSeq(queue)
    const rank = 9 - priority
    if (notBefore !== undefined && notBefore > Date.now()) {
      this.#statements.delay.run(Math.ceil(notBefore), queue.id, queue.id, rank, seq, id, head, body)
      this.#tx.count(queue, { delayed: 1 })
    } else {
      this.#statements.insert.run(queue.id, rank, seq, id, head, body)
      this.#tx.count(queue, { ready: 1 })
    }
  }

  /** Hands up to `limit` messages of one queue to an owner, the first in order first. */
  claim(name: string, owner: number, limit: number): DeliveryRow[] {
    const queue = this.#tx.findQueue(name)
    if (queue === undefined || queue.ready === 0) return []
    const rows = this.#statements.look.all(queue.id, queue.id, limit) as unknown as ClaimedRow[]
    const [first, last] = [rows[0], rows.at(-1)]
    if (first === undefined || last === undefined) return []
    this.#statements.claim.run(owner, queue.id, first.rank, first.seq, queue.id, last.rank, last.seq)
    this.#tx.count(queue, { ready: -rows.length, held: rows.length })
    return rows.map(({ rank, seq, delivery, crashes, head, body }) => {
      return { token: `${queue.id}.${rank}.${seq}.${delivery}`, queue: name, delivery, crashes, head, body }
    })
  }

  /** Whether the token still held. */
  markStarted(token: string, owner: number): boolean {
    return this.#statements.markStarted.run(...holdOf(token), owner).changes > 0
  }

  /** Whether the token still held. */
  settle(token: string, owner: number, disposition: RowDisposition): boolean {
    const hold = holdOf(token)
    switch (disposition.kind) {
      case 'ack':
        return this.#end(hold, owner)
      case 'requeue':
        return this.#requeue(hold, owner, disposition)
      case 'park':
        return this.#parkHeld(hold, owner, disposition.reason)
    }
  }

  /** Gives back all that an owner holds. `blame`: it died, and what it had started counts a crash. */
  giveBack(owner: number, blame: boolean): void {
    for (const { id, held } of this.#statements.heldQueues.all() as unknown as { id: number; held: number }[]) {
      const { changes } = this.#statements.giveBack.run(blame ? 1 : 0, owner, id, id, held)
      if (changes > 0) this.#tx.count(this.#tx.queueById(id), { ready: Number(changes), held: -Number(changes) })
    }
  }

  /** Makes ready what is due; how many, at most `limit`. */
  moveDue(now: number, limit: number): number {
    const rows = this.#statements.due.all(now, limit) as unknown as { n: number; queue: number }[]
    for (const { n, queue } of rows) {
      this.#statements.moveIn.run(n)
      this.#statements.dropDelayed.run(n)
      this.#tx.count(this.#tx.queueById(queue), { ready: 1, delayed: -1 })
    }
    return rows.length
  }

  /** Epoch milliseconds of the next delayed message; undefined: there is none. */
  nextDue(): number | undefined {
    return (this.#statements.nextDue.get() as { due: number | null } | undefined)?.due ?? undefined
  }

  hasReady(): boolean {
    return this.#statements.anyReady.get() !== undefined
  }

  /** Removes at most `limit` messages that nobody holds; their task ids. */
  purge(name: string, limit: number): readonly string[] {
    const queue = this.#tx.findQueue(name)
    if (queue === undefined) return []
    const ready = this.#statements.purgeReady.all(queue.id, queue.id, limit) as unknown as { id: string }[]
    const delayed = this.#statements.purgeDelayed.all(queue.id, limit - ready.length) as unknown as { id: string }[]
    this.#tx.count(queue, { ready: -ready.length, delayed: -delayed.length })
    return [...ready, ...delayed].map(({ id }) => id)
  }

  stats(name: string): QueueStats {
    const { ready, delayed, held } = this.#tx.findQueue(name) ?? { ready: 0, delayed: 0, held: 0 }
    return { queue: name, ready, delayed, unsettled: held }
  }

  queues(): readonly string[] {
    return (this.#statements.queueNames.all() as unknown as { name: string }[]).map(({ name }) => name)
  }

  park({ id, queue, head, body }: MessageRow, reason: string): void {
    this.#statements.park.run(id, queue, reason, Date.now(), head, body)
  }

  parked(query: {
    readonly queue: string | undefined
    readonly before: number | undefined
    readonly limit: number
  }): Page<ParkedRow> {
    const { queue = null, before = Number.MAX_SAFE_INTEGER, limit } = query
    const rows = this.#statements.parked.all(before, queue, queue, limit + 1) as unknown as ParkedRow[]
    const items = rows.slice(0, limit)
    return { items, cursor: rows.length > limit ? items.at(-1)?.parkedId : undefined }
  }

  takeParked(parkedId: string): ParkedRow | undefined {
    if (!/^\d{1,15}$/.test(parkedId)) return undefined
    return this.#statements.takeParked.get(Number(parkedId)) as unknown as ParkedRow | undefined
  }

  #end(hold: Hold, owner: number): boolean {
    const { changes } = this.#statements.remove.run(...hold, owner)
    if (changes === 0) return false
    this.#tx.count(this.#queueOf(hold), { held: -1 })
    return true
  }

  #requeue(hold: Hold, owner: number, { delayMs = 0, crashed = false, head }: Requeue): boolean {
    const crashes = crashed ? 1 : 0
    if (delayMs > 0)
      return this.#requeueDelayed(hold, owner, { due: Date.now() + Math.ceil(delayMs), crashes, head: head ?? null })
    const { changes } = this.#statements.free.run(crashes, ...hold, owner)
    if (changes === 0) return false
    this.#tx.count(this.#queueOf(hold), { held: -1, ready: 1 })
    return true
  }

  #requeueDelayed(
    hold: Hold,
    owner: number,
    { due, crashes, head }: { readonly due: number; readonly crashes: number; readonly head: string | null },
  ): boolean {
    const { changes } = this.#statements.moveOut.run(due, hold[0], crashes, head, ...hold, owner)
    if (changes === 0 || !this.#end(hold, owner)) return false
    this.#tx.count(this.#queueOf(hold), { delayed: 1 })
    return true
  }

  #parkHeld(hold: Hold, owner: number, reason: string): boolean {
    const { changes } = this.#statements.parkHeld.run(this.#queueOf(hold).name, reason, Date.now(), ...hold, owner)
    return changes > 0 && this.#end(hold, owner)
  }

  #queueOf([queue]: Hold): QueueRow {
    return this.#tx.queueById(queue)
  }
}

function holdOf(token: string): Hold {
  const [queue = 0, rank = 0, seq = 0, delivery = 0] = token.split('.', 4).map(Number)
  return [queue, rank, seq, delivery]
}

const held = `key = ${keyOf} AND delivery = ? AND owner = ?`

/** Parameters are in the order of their question marks. */
function prepareStatements(db: DatabaseSync): Readonly<Record<StatementName, StatementSync>> {
  return {
    insert: db.prepare(`INSERT INTO messages (key, id, head, body) VALUES (${keyOf}, ?, ?, ?)`),
    delay: db.prepare(`INSERT INTO delayed (due, queue, key, id, head, body) VALUES (?, ?, ${keyOf}, ?, ?, ?)`),
    look: db.prepare(
      `SELECT ${keyParts}, ${countIn('delivery')} + 1 AS delivery, ${countIn('crashes')} AS crashes, head, ${bodyIn} FROM messages
       WHERE ${inQueue} AND owner IS NULL ORDER BY key LIMIT ?`,
    ),
    // a start is implied until somebody died of it; from then on only markStarted brings blame.
    // What lies between the first and the last of those: half the cost of an UPDATE … RETURNING
    claim: db.prepare(
      `UPDATE messages SET owner = ?, delivery = ${countIn('delivery')} + 1, crashes = ${countIn('crashes')}, started = (crashes = 0)
       WHERE key BETWEEN ${keyOf} AND ${keyOf} AND owner IS NULL`,
    ),
    markStarted: db.prepare(`UPDATE messages SET started = 1 WHERE ${held}`),
    remove: db.prepare(`DELETE FROM messages WHERE ${held}`),
    free: db.prepare(`UPDATE messages SET owner = NULL, started = 0, crashes = crashes + ? WHERE ${held}`),
    moveOut: db.prepare(
      `INSERT INTO delayed (due, queue, key, delivery, crashes, id, head, body)
       SELECT ?, ?, key, delivery, crashes + ?, id, coalesce(?, head), body FROM messages WHERE ${held}`,
    ),
    moveIn: db.prepare(
      `INSERT INTO messages (key, delivery, crashes, id, head, body)
       SELECT key, delivery, crashes, id, head, body FROM delayed WHERE n = ?`,
    ),
    dropDelayed: db.prepare('DELETE FROM delayed WHERE n = ?'),
    due: db.prepare('SELECT n, queue FROM delayed WHERE due <= ? ORDER BY due LIMIT ?'),
    nextDue: db.prepare(`SELECT ${numberIn('min(due)')} AS due FROM delayed`),
    heldQueues: db.prepare('SELECT id, held FROM queues WHERE held > 0'),
    // `held` rows from the left are all there are: the scan ends with the last one and not with the table
    giveBack: db.prepare(
      `UPDATE messages SET owner = NULL, crashes = crashes + (started AND ?), started = 0
       WHERE owner = ? AND key IN (SELECT key FROM messages WHERE ${inQueue} AND owner IS NOT NULL LIMIT ?)`,
    ),
    anyReady: db.prepare('SELECT 1 AS found FROM queues WHERE ready > 0 LIMIT 1'),
    purgeReady: db.prepare(
      `DELETE FROM messages WHERE key IN (SELECT key FROM messages WHERE ${inQueue} AND owner IS NULL LIMIT ?) RETURNING id`,
    ),
    purgeDelayed: db.prepare(
      'DELETE FROM delayed WHERE n IN (SELECT n FROM delayed WHERE queue = ? LIMIT ?) RETURNING id',
    ),
    queueNames: db.prepare('SELECT name FROM queues ORDER BY name'),
    park: db.prepare('INSERT INTO parked (id, queue, reason, parked_at, head, body) VALUES (?, ?, ?, ?, ?, ?)'),
    parkHeld: db.prepare(
      `INSERT INTO parked (id, queue, reason, parked_at, head, body)
       SELECT id, ?, ?, ?, head, body FROM messages WHERE ${held}`,
    ),
    parked: db.prepare(
      `SELECT CAST(n AS TEXT) AS parkedId, id, queue, reason, ${numberIn('parked_at')} AS parkedAt, head, ${bodyIn} FROM parked
       WHERE n < ? AND (? IS NULL OR queue = ?) ORDER BY n DESC LIMIT ?`,
    ),
    takeParked: db.prepare(
      `DELETE FROM parked WHERE n = ?
       RETURNING CAST(n AS TEXT) AS parkedId, id, queue, reason, ${numberIn('parked_at')} AS parkedAt, head, ${bodyIn}`,
    ),
  }
}

type StatementName =
  | 'insert'
  | 'delay'
  | 'look'
  | 'claim'
  | 'markStarted'
  | 'remove'
  | 'free'
  | 'moveOut'
  | 'moveIn'
  | 'dropDelayed'
  | 'due'
  | 'nextDue'
  | 'heldQueues'
  | 'giveBack'
  | 'anyReady'
  | 'purgeReady'
  | 'purgeDelayed'
  | 'queueNames'
  | 'park'
  | 'parkHeld'
  | 'parked'
  | 'takeParked'
