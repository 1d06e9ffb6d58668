/**
 * Everything that this connection follows: tasks, keys and notices, behind one cursor into `changes` and one into
 * `notices`. A commit appends what it changed; those who follow read on from their cursor and look up only what they
 * know. A reader that fell behind what is kept reads all it follows anew.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { KeyChange } from '../../coordination.ts'
import type { KeyTable } from './key-table.ts'
import type { NoticeRow, StoreEvent } from './ops.ts'
import { bodyIn } from './schema.ts'
import type { StateRow } from './state-row.ts'
import type { TaskTable } from './task-table.ts'

interface KeyWatcher {
  readonly prefix: string
  /** Known living keys and their ends, epoch milliseconds. */
  readonly expiries: Map<string, number>
}

interface ChangeRow {
  readonly n: number
  readonly ids: string
  readonly keys: string
}

/** The ring of notices: whoever is further behind than this has missed some. */
const keptNotices = 10_000

export class Followers {
  readonly #tasks: TaskTable
  readonly #keys: KeyTable
  /** Task id → how many watches. */
  readonly #ids = new Map<string, number>()
  readonly #watchers = new Map<number, KeyWatcher>()
  /** Listener → its pattern. */
  readonly #patterns = new Map<number, string>()
  #changesRead = 0
  #noticesRead = 0
  readonly #lastChange: StatementSync
  readonly #changesAfter: StatementSync
  readonly #lastNotice: StatementSync
  readonly #noticesAfter: StatementSync
  readonly #addNotice: StatementSync
  readonly #trimNotices: StatementSync

  constructor(db: DatabaseSync, tables: { readonly tasks: TaskTable; readonly keys: KeyTable }) {
    this.#tasks = tables.tasks
    this.#keys = tables.keys
    this.#lastChange = db.prepare('SELECT coalesce(max(n), 0) AS n FROM changes')
    this.#changesAfter = db.prepare('SELECT n, ids, keys FROM changes WHERE n > ? ORDER BY n')
    this.#lastNotice = db.prepare('SELECT coalesce(max(n), 0) AS n FROM notices')
    this.#noticesAfter = db.prepare(`SELECT n, address, head, ${bodyIn} FROM notices WHERE n > ? ORDER BY n`)
    this.#addNotice = db.prepare('INSERT INTO notices (address, head, body) VALUES (?, ?, ?)')
    this.#trimNotices = db.prepare('DELETE FROM notices WHERE n <= ?')
  }

  get isEmpty(): boolean {
    return !this.#followsChanges && this.#patterns.size === 0
  }

  get #followsChanges(): boolean {
    return this.#ids.size > 0 || this.#watchers.size > 0
  }

  clear(): void {
    this.#ids.clear()
    this.#watchers.clear()
    this.#patterns.clear()
  }

  follow(ids: readonly string[]): (StateRow | undefined)[] {
    this.#startChanges()
    for (const id of ids) this.#ids.set(id, (this.#ids.get(id) ?? 0) + 1)
    return ids.map(id => this.#tasks.get(id))
  }

  unfollow(ids: readonly string[]): void {
    for (const id of ids) {
      const left = (this.#ids.get(id) ?? 1) - 1
      if (left === 0) this.#ids.delete(id)
      else this.#ids.set(id, left)
    }
  }

  watchKeys(watcher: number, prefix: string, now: number): KeyChange[] {
    this.#startChanges()
    const rows = this.#keys.list(prefix, now)
    this.#watchers.set(watcher, { prefix, expiries: new Map(rows.map(row => [row.key, row.expires_at])) })
    return rows.map(({ key, value }) => ({ key, value }))
  }

  unwatchKeys(watcher: number): void {
    this.#watchers.delete(watcher)
  }

  /** Notices sent before are not heard. */
  listen(listener: number, pattern: string): void {
    if (this.#patterns.size === 0) this.#noticesRead = numberOf(this.#lastNotice)
    this.#patterns.set(listener, pattern)
  }

  unlisten(listener: number): void {
    this.#patterns.delete(listener)
  }

  send({ address, head, body }: NoticeRow): void {
    const n = Number(this.#addNotice.run(address, head, body).lastInsertRowid)
    if (n % 256 === 0) this.#trimNotices.run(n - keptNotices)
  }

  /** What is new since the last time. In one read transaction, so that a task's row is as new as the cursor says. */
  read(now: number): StoreEvent[] {
    // first: a notice may be missed, a change may not, should the other of them not be readable
    const notices = this.#patterns.size > 0 ? this.#readNotices() : []
    return [...(this.#followsChanges ? this.#readChanges(now) : []), ...notices]
  }

  /** Keys that ended by themselves. */
  expire(now: number): StoreEvent[] {
    const events: StoreEvent[] = []
    for (const [watcher, { expiries }] of this.#watchers) {
      const ended = [...expiries].filter(([, expiresAt]) => expiresAt <= now).map(([key]) => key)
      for (const key of ended) expiries.delete(key)
      if (ended.length > 0)
        events.push({ kind: 'keys', watcher, changes: ended.map(key => ({ key, value: undefined })) })
    }
    return events
  }

  /** The first one begins with what is committed now. */
  #startChanges(): void {
    if (!this.#followsChanges) this.#changesRead = numberOf(this.#lastChange)
  }

  #readChanges(now: number): StoreEvent[] {
    const rows = this.#changesAfter.all(this.#changesRead) as unknown as ChangeRow[]
    const [first, last] = [rows[0], rows.at(-1)]
    if (first === undefined || last === undefined) return []
    const [changedIds, changedKeys] = [namesIn(rows, 'ids'), namesIn(rows, 'keys')]
    const isBehind = first.n !== this.#changesRead + 1 || changedIds === undefined || changedKeys === undefined
    const ids = isBehind ? this.#ids.keys() : changedIds.filter(id => this.#ids.has(id))
    const states = [...new Set(ids)].map(id => this.#tasks.get(id)).filter(state => state !== undefined)
    const keyEvents = this.#keyEvents(isBehind ? undefined : new Set(changedKeys), now)
    // last: what could not be read is read again
    this.#changesRead = last.n
    return states.length > 0 ? [{ kind: 'states', states }, ...keyEvents] : keyEvents
  }

  /** `changed` undefined: any may have. */
  #keyEvents(changed: ReadonlySet<string> | undefined, now: number): StoreEvent[] {
    const events: StoreEvent[] = []
    for (const [watcher, { prefix, expiries }] of this.#watchers) {
      const keys = changed ?? new Set([...expiries.keys(), ...this.#keys.list(prefix, now).map(({ key }) => key)])
      const changes = [...keys].filter(key => key.startsWith(prefix)).map(key => this.#look(key, expiries, now))
      if (changes.length > 0) events.push({ kind: 'keys', watcher, changes })
    }
    return events
  }

  #look(key: string, expiries: Map<string, number>, now: number): KeyChange {
    const { change, expiresAt } = this.#keys.find(key, now)
    if (expiresAt === undefined) expiries.delete(key)
    else expiries.set(key, expiresAt)
    return change
  }

  #readNotices(): StoreEvent[] {
    const rows = this.#noticesAfter.all(this.#noticesRead) as unknown as (NoticeRow & { readonly n: number })[]
    this.#noticesRead = rows.at(-1)?.n ?? this.#noticesRead
    const notices = rows.filter(({ address }) => this.#isHeard(address))
    return notices.length > 0 ? [{ kind: 'notices', notices }] : []
  }

  #isHeard(address: string): boolean {
    for (const pattern of this.#patterns.values()) if (matchesPattern(pattern, address)) return true
    return false
  }
}

/** @param pattern an address, or a prefix ending in `*`. */
export function matchesPattern(pattern: string, address: string): boolean {
  return pattern.endsWith('*') ? address.startsWith(pattern.slice(0, -1)) : address === pattern
}

/** Undefined: one of them cannot be read. */
function namesIn(rows: readonly ChangeRow[], column: 'ids' | 'keys'): string[] | undefined {
  try {
    return rows.flatMap(row => JSON.parse(row[column]) as string[]).filter(name => typeof name === 'string')
  } catch {
    return undefined
  }
}

function numberOf(statement: StatementSync): number {
  return (statement.get() as { n: number } | undefined)?.n ?? 0
}
