/**
 * What belongs to the transaction that runs now: queue counters, changed ids, and what is to be done once it is
 * committed. Everything here is forgotten by a rollback, so nothing in memory ever runs ahead of the file.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { StorageError, UnsupportedError } from '../../core/errors.ts'
import { maxQueues } from './schema.ts'

export interface QueueRow {
  readonly id: number
  readonly name: string
  nextSeq: number
  ready: number
  delayed: number
  held: number
}

/** Of `changes` and `notices`, this many transactions and notices are kept for those who read behind. */
const keptChanges = 1000

export class Transaction {
  /** Rows read or made by this transaction, by name and by id. */
  readonly #queues = new Map<string, QueueRow>()
  readonly #queuesById = new Map<number, QueueRow>()
  readonly #dirty = new Set<QueueRow>()
  #changedIds: string[] = []
  #changedKeys: string[] = []
  /** Whether it made something that consumers, or those who follow, should wake up for. */
  wakesConsumers = false
  wakesFollowers = false
  readonly #afterCommit: (() => void)[] = []
  readonly #onRollback: (() => void)[] = []
  readonly #selectByName: StatementSync
  readonly #selectById: StatementSync
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #log: StatementSync
  readonly #trim: StatementSync

  constructor(db: DatabaseSync) {
    const columns = 'id, name, next_seq AS nextSeq, ready, delayed, held'
    this.#selectByName = db.prepare(`SELECT ${columns} FROM queues WHERE name = ?`)
    this.#selectById = db.prepare(`SELECT ${columns} FROM queues WHERE id = ?`)
    this.#insert = db.prepare('INSERT INTO queues (name) VALUES (?)')
    this.#update = db.prepare('UPDATE queues SET next_seq = ?, ready = ?, delayed = ?, held = ? WHERE id = ?')
    this.#log = db.prepare('INSERT INTO changes (ids, keys) VALUES (?, ?)')
    this.#trim = db.prepare('DELETE FROM changes WHERE n <= ?')
  }

  /** A queue's row, to be changed only through `count`; undefined: there is none. */
  findQueue(name: string): QueueRow | undefined {
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    return this.#remember(this.#selectByName.get(name) as unknown as QueueRow | undefined)
  }

  /** The same, made when there is none. @throws {UnsupportedError} there is no room in the keys for another. */
  queue(name: string): QueueRow {
    const found = this.findQueue(name)
    if (found !== undefined) return found
    if (Number(this.#insert.run(name).lastInsertRowid) > maxQueues)
      throw new UnsupportedError(`Queue "${name}" would be one too many: one file holds ${maxQueues} queues at most`)
    return this.queue(name)
  }

  queueById(id: number): QueueRow {
    const row = this.#queuesById.get(id) ?? this.#remember(this.#selectById.get(id) as unknown as QueueRow | undefined)
    if (row === undefined) throw new StorageError(`There is no queue of id ${id}`, { reason: 'corrupt' })
    return row
  }

  /** Adds to a queue's counters. */
  count(queue: QueueRow, change: { readonly ready?: number; readonly delayed?: number; readonly held?: number }): void {
    queue.ready += change.ready ?? 0
    queue.delayed += change.delayed ?? 0
    queue.held += change.held ?? 0
    if ((change.ready ?? 0) > 0 || (change.delayed ?? 0) > 0) this.wakesConsumers = true
    this.#dirty.add(queue)
  }

  /** The next age in a queue. */
  nextSeq(queue: QueueRow): number {
    this.#dirty.add(queue)
    return queue.nextSeq++
  }

  changedTask(id: string): void {
    this.#changedIds.push(id)
  }

  changedKey(key: string): void {
    this.#changedKeys.push(key)
  }

  afterCommit(run: () => void): void {
    this.#afterCommit.push(run)
  }

  onRollback(run: () => void): void {
    this.#onRollback.push(run)
  }

  /** Writes what was gathered: call it last, before COMMIT. */
  flush(): void {
    // what this process took at once is no news to others
    this.wakesConsumers &&= [...this.#dirty].some(queue => queue.ready > 0 || queue.delayed > 0)
    for (const queue of this.#dirty) this.#update.run(queue.nextSeq, queue.ready, queue.delayed, queue.held, queue.id)
    this.#dirty.clear()
    if (this.#changedIds.length === 0 && this.#changedKeys.length === 0) return
    const { lastInsertRowid } = this.#log.run(JSON.stringify(this.#changedIds), JSON.stringify(this.#changedKeys))
    const n = Number(lastInsertRowid)
    if (n % 64 === 0) this.#trim.run(n - keptChanges)
    this.wakesFollowers = true
  }

  /** Call it after COMMIT. */
  committed(): void {
    const todo = this.#afterCommit.splice(0)
    this.reset()
    for (const run of todo) run()
  }

  /** Call it after ROLLBACK. */
  rolledBack(): void {
    const todo = this.#onRollback.splice(0)
    this.reset()
    for (const run of todo) run()
  }

  /** Call it before a new transaction: queue rows are read afresh, because other processes write them too. */
  reset(): void {
    this.#queues.clear()
    this.#queuesById.clear()
    this.#dirty.clear()
    this.#changedIds = []
    this.#changedKeys = []
    this.#afterCommit.length = 0
    this.#onRollback.length = 0
    this.wakesConsumers = false
    this.wakesFollowers = false
  }

  #remember(row: QueueRow | undefined): QueueRow | undefined {
    if (row === undefined) return undefined
    const known = this.#queuesById.get(row.id)
    if (known !== undefined) return known
    this.#queues.set(row.name, row)
    this.#queuesById.set(row.id, row)
    return row
  }
}
