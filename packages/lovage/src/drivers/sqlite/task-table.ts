/**
 * What is known of tasks: one row each, replaced only by a newer version. `isNewer` of core/states.ts stands here once
 * more, in SQL, so that comparing and writing are one step. Every method runs inside a transaction.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { StateRecord, TaskFacts } from '../../core/record.ts'
import { isReadyState, stateRank } from '../../core/states.ts'
import type { ListQuery } from '../../result-store.ts'
import { stateColumns, type StateRow } from './state-row.ts'
import type { Transaction } from './transaction.ts'

type ListedRow = readonly [n: number, ...StateRow]

/** A page of a list looks at no more rows than this: about 10 ms. */
const listWindow = 5000

export class TaskTable {
  readonly #db: DatabaseSync
  readonly #tx: Transaction
  readonly #keepMs: number
  readonly #upsert: StatementSync
  readonly #final: StatementSync
  readonly #fill: StatementSync
  readonly #select: StatementSync
  readonly #ready: StatementSync
  readonly #revoke: StatementSync
  readonly #forget: StatementSync
  readonly #prune: StatementSync
  /** By the text of its conditions: there are few. */
  readonly #lists = new Map<string, StatementSync>()

  /** @param keepMs how long a final record is kept that does not say so itself. */
  constructor(db: DatabaseSync, tx: Transaction, keepMs: number) {
    this.#db = db
    this.#tx = tx
    this.#keepMs = keepMs
    this.#upsert = db.prepare(upsertSql)
    this.#final = db.prepare(
      `UPDATE tasks SET state = ?, ready = 1, retries = ?, delivery = ?, rank = 5, seq = ?, at = ?, value = ?, ready_at = ?,
         expires_at = ?, started_at = coalesce(CASE WHEN retries = ? THEN started_at END, ?) WHERE id = ? AND ready = 0`,
    )
    this.#fill = db.prepare(fillSql)
    this.#select = db.prepare(`SELECT ${stateColumns} FROM tasks WHERE id = ?`)
    this.#select.setReturnArrays(true)
    this.#ready = db.prepare('SELECT 1 FROM tasks WHERE id = ? AND ready = 1')
    this.#revoke = db.prepare(
      `UPDATE tasks SET state = 'REVOKED', ready = 1, rank = 5, at = ?, ready_at = ?, expires_at = ?, value = ?
       WHERE id = ? AND ready = 0`,
    )
    this.#forget = db.prepare('DELETE FROM tasks WHERE id = ? AND ready = 1')
    this.#prune = db.prepare(
      'DELETE FROM tasks WHERE n IN (SELECT n FROM tasks WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)',
    )
  }

  /** Whether the record was newer. Its facts fill gaps even when it was not. */
  put(record: StateRecord): boolean {
    const { id, state, retries, delivery, seq, at, value = null, facts } = record
    const ready = isReadyState(state)
    if (ready && facts === undefined && this.#finish(record)) return true
    const factColumns = facts === undefined ? noFacts : columnsOf(facts)
    const expiresAt = ready ? Math.ceil(at + (record.keepMs ?? this.#keepMs)) : null
    const startedAt = record.startedAt ?? (state === 'STARTED' ? at : null)
    const { changes } = this.#upsert.run(
      id,
      state,
      ready ? 1 : 0,
      retries,
      delivery,
      stateRank(state),
      seq,
      at,
      value,
      ...factColumns,
      startedAt,
      ready ? at : null,
      expiresAt,
    )
    if (changes > 0) this.#tx.changedTask(id)
    else if (facts !== undefined) this.#fill.run(...factColumns, id)
    return changes > 0
  }

  get(id: string): StateRow | undefined {
    return this.#select.get(id) as unknown as StateRow | undefined
  }

  isFinal(id: string): boolean {
    return this.#ready.get(id) !== undefined
  }

  /** A page, newest first; `next`: where to go on, undefined at the end. */
  list(query: ListQuery, before: number | undefined, limit: number): { items: StateRow[]; next: number | undefined } {
    const { conditions, values } = conditionsOf(query)
    // a page of a rare kind would otherwise read the whole table in one step; these two have an index
    const isIndexed = query.owner !== undefined || (query.states?.length === 1 && query.states[0] === 'FAILURE')
    const top = before ?? Number.MAX_SAFE_INTEGER
    const bottom = isIndexed ? 0 : this.#windowBottom(top)
    const rows = this.#listStatement(conditions).all(top, bottom, ...values, limit + 1) as unknown as ListedRow[]
    const items = rows.slice(0, limit).map(([, ...row]): StateRow => row)
    if (rows.length > limit) return { items, next: rows[limit - 1]?.[0] }
    return { items, next: bottom > 0 ? bottom : undefined }
  }

  forget(ids: readonly string[]): number {
    return ids.reduce((count, id) => count + Number(this.#forget.run(id).changes), 0)
  }

  prune(now: number, limit: number): number {
    return Number(this.#prune.run(now, limit).changes)
  }

  /** The message of a task was taken away before it could run. */
  purged(id: string, now: number): void {
    const { changes } = this.#revoke.run(now, now, now + this.#keepMs, purgedValue, id)
    if (changes > 0) this.#tx.changedTask(id)
  }

  /** The short way of the most frequent write: a final state of a known, unready task. */
  #finish(record: StateRecord): boolean {
    const { id, state, retries, delivery, seq, at, value, keepMs = this.#keepMs, startedAt } = record
    const version = [state, retries, delivery, seq] as const
    const { changes } = this.#final.run(
      ...version,
      at,
      value ?? null,
      at,
      Math.ceil(at + keepMs),
      retries,
      startedAt ?? null,
      id,
    )
    if (changes > 0) this.#tx.changedTask(id)
    return changes > 0
  }

  #windowBottom(top: number): number {
    const sql = 'SELECT n FROM tasks WHERE n < ? ORDER BY n DESC LIMIT 1 OFFSET ?'
    return (this.#statement(sql).get(top, listWindow) as { n: number } | undefined)?.n ?? 0
  }

  #listStatement(conditions: string): StatementSync {
    const statement = this.#statement(
      `SELECT n, ${stateColumns} FROM tasks WHERE n < ? AND n >= ?${conditions} ORDER BY n DESC LIMIT ?`,
    )
    statement.setReturnArrays(true)
    return statement
  }

  #statement(sql: string): StatementSync {
    const statement = this.#lists.get(sql) ?? this.#db.prepare(sql)
    this.#lists.set(sql, statement)
    return statement
  }
}

/** Text that is no JSON would fail every statement that meets it. */
function jsonIn(column: string): string {
  return `iif(json_valid(${column}), ${column}, '{}')`
}

const factsMerge = `name = coalesce(tasks.name, excluded.name), queue = coalesce(tasks.queue, excluded.queue),
  owner = coalesce(tasks.owner, excluded.owner), queued_at = coalesce(tasks.queued_at, excluded.queued_at),
  facts = CASE WHEN excluded.facts IS NULL THEN tasks.facts ELSE json_patch(excluded.facts, ${jsonIn('tasks.facts')}) END`

/** `final > (retries, delivery, rank, seq)`; STARTED's instant is the attempt's first. */
const upsertSql = `
INSERT INTO tasks (id, state, ready, retries, delivery, rank, seq, at, value, name, queue, owner, queued_at, facts, started_at, ready_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
  state = excluded.state, ready = excluded.ready, retries = excluded.retries, delivery = excluded.delivery,
  rank = excluded.rank, seq = excluded.seq, at = excluded.at, value = excluded.value, ${factsMerge},
  started_at = CASE WHEN tasks.retries = excluded.retries THEN coalesce(tasks.started_at, excluded.started_at) ELSE excluded.started_at END,
  ready_at = excluded.ready_at, expires_at = excluded.expires_at
WHERE tasks.ready = 0 AND (excluded.ready = 1 OR
  (excluded.retries, excluded.delivery, excluded.rank, excluded.seq) > (tasks.retries, tasks.delivery, tasks.rank, tasks.seq))`

const fillSql = `
UPDATE tasks SET name = coalesce(name, ?), queue = coalesce(queue, ?), owner = coalesce(owner, ?),
  queued_at = coalesce(queued_at, ?), facts = json_patch(coalesce(?, '{}'), ${jsonIn('facts')})
WHERE id = ?`

const noFacts: readonly null[] = [null, null, null, null, null]

const purgedValue = JSON.stringify({
  type: 'TaskRevokedError',
  message: 'The queue was purged before the task started',
  retryable: false,
  reason: 'revoked',
})

/** The five columns: four of their own, the rest as one JSON text, null when there is none. */
function columnsOf({ name, queue, owner, queuedAt, ...rest }: TaskFacts): (string | number | null)[] {
  const text = JSON.stringify(rest)
  return [name ?? null, queue ?? null, owner ?? null, queuedAt ?? null, text === '{}' ? null : text]
}

function conditionsOf({ states, name, queue, owner, tag }: ListQuery): { conditions: string; values: SQLInputValue[] } {
  const parts: string[] = []
  const values: SQLInputValue[] = []
  const add = (condition: string, ...more: SQLInputValue[]): void => {
    parts.push(` AND ${condition}`)
    values.push(...more)
  }
  if (states?.length === 1 && states[0] === 'FAILURE') add("state = 'FAILURE'")
  else if (states !== undefined) add('state IN (SELECT value FROM json_each(?))', JSON.stringify(states))
  if (name !== undefined) add('name = ?', name)
  if (queue !== undefined) add('queue = ?', queue)
  if (owner !== undefined) add('owner = ?', owner)
  if (tag !== undefined) add(`EXISTS (SELECT 1 FROM json_each(${jsonIn('facts')}, '$.tags') WHERE value = ?)`, tag)
  return { conditions: parts.join(''), values }
}
