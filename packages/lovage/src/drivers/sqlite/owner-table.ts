/**
 * Who holds messages: one row for each consuming connection, with a lease that its store thread renews. A process of
 * the same host is asked whether it lives; of any other only the lease tells. Inside a transaction where it writes.
 *
 * | the owner                          | judged | its started messages |
 * | ---------------------------------- | ------ | -------------------- |
 * | of an earlier boot                 | dead   | no crash: a reboot   |
 * | same pid namespace, process gone   | dead   | crash                |
 * | same pid namespace, lease ended    | frozen | no crash             |
 * | other pid namespace, lease ended   | dead   | crash                |
 *
 * Where the owner's monotonic clock is another one, its lease ends when it has not been renewed for as long as it lasts,
 * by the clock of whoever looks on: wall clocks jump, and how long a lease lasts is its owner's setting.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { numberIn } from './schema.ts'
import { canSignal, isProcessAlive, processStart, type HostIdentity } from './host.ts'

interface OwnerRow {
  readonly id: number
  readonly pid: number
  readonly process_start: string
  readonly boot: string
  readonly pid_space: string
  readonly time_space: string
  readonly lease_until: number
  readonly lease_ms: number
}

export interface DeadOwner {
  readonly id: number
  readonly blame: boolean
  /** Of the row that was judged: whoever has renewed since is not dead. */
  readonly leaseUntil: number
}

export interface Inquiry {
  readonly monotonic: number
  /** False: this process itself was frozen just now, and the others may have been with it. */
  readonly trustsLeases: boolean
  /** Reads /proc for zombies and for pids that were given out anew. */
  readonly isThorough: boolean
}

interface Observed {
  readonly leaseUntil: number
  /** Monotonic, of this process: since when it is so. */
  readonly since: number
}

export interface OwnerTableOptions {
  readonly host: HostIdentity
  readonly leaseMs: number
}

/** The longest lease there is (`leaseMs` of the settings), whatever this process's own. */
const longestLeaseMs = 3_600_000

export class OwnerTable {
  readonly #host: HostIdentity
  readonly #leaseMs: number
  readonly #insert: StatementSync
  readonly #renew: StatementSync
  readonly #remove: StatementSync
  readonly #bury: StatementSync
  readonly #select: StatementSync
  /** Leases by other clocks, by their owner. */
  readonly #observed = new Map<number, Observed>()

  constructor(db: DatabaseSync, { host, leaseMs }: OwnerTableOptions) {
    this.#host = host
    this.#leaseMs = leaseMs
    this.#insert = db.prepare(
      `INSERT INTO owners (node, pid, process_start, boot, pid_space, time_space, lease_until, seen_at, lease_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#renew = db.prepare('UPDATE owners SET lease_until = ?, seen_at = ? WHERE id = ?')
    this.#remove = db.prepare('DELETE FROM owners WHERE id = ?')
    this.#bury = db.prepare('DELETE FROM owners WHERE id = ? AND lease_until = ?')
    this.#select = db.prepare(
      `SELECT id, ${numberIn('pid')} AS pid, process_start, boot, pid_space, time_space, lease_until,
         ${numberIn('lease_ms')} AS lease_ms FROM owners`,
    )
  }

  /** A new owner for this process. */
  add(node: string, monotonic: number): number {
    const { boot, pidSpace, timeSpace } = this.#host
    const start = processStart(process.pid)
    const { lastInsertRowid } = this.#insert.run(
      node,
      process.pid,
      start,
      boot,
      pidSpace,
      timeSpace,
      monotonic + this.#leaseMs,
      Date.now(),
      Math.ceil(this.#leaseMs),
    )
    return Number(lastInsertRowid)
  }

  /** Whether the row was still there; if not, someone judged this process dead and gave its messages away. */
  renew(id: number, monotonic: number): boolean {
    return this.#renew.run(monotonic + this.#leaseMs, Date.now(), id).changes > 0
  }

  remove(id: number): void {
    this.#remove.run(id)
  }

  /** Whether the row was still as it was judged: of several who judge an owner dead, one buries it. */
  bury({ id, leaseUntil }: DeadOwner): boolean {
    return this.#bury.run(id, leaseUntil).changes > 0
  }

  all(): readonly OwnerRow[] {
    const owners = this.#select.all() as unknown as OwnerRow[]
    const ids = new Set(owners.map(({ id }) => id))
    for (const id of this.#observed.keys()) if (!ids.has(id)) this.#observed.delete(id)
    return owners
  }

  judge(owner: OwnerRow, { monotonic, trustsLeases, isThorough }: Inquiry): DeadOwner | undefined {
    const { id, lease_until: leaseUntil } = owner
    if (owner.boot !== this.#host.boot) return { id, leaseUntil, blame: false }
    const isVisible = owner.pid_space === this.#host.pidSpace
    if (isVisible && this.#isGone(owner, isThorough)) return { id, leaseUntil, blame: true }
    return trustsLeases && this.#hasLapsed(owner, monotonic) ? { id, leaseUntil, blame: !isVisible } : undefined
  }

  #isGone({ pid, time_space: timeSpace, process_start: start }: OwnerRow, isThorough: boolean): boolean {
    if (!isThorough) return !canSignal(pid)
    return !isProcessAlive(pid, timeSpace === this.#host.timeSpace ? start : '')
  }

  #hasLapsed(owner: OwnerRow, monotonic: number): boolean {
    if (owner.time_space !== this.#host.timeSpace) return this.#standsStill(owner, monotonic)
    // a lease further off than any can be is of an earlier boot, where the boot has no id
    return owner.lease_until < monotonic || owner.lease_until > monotonic + longestLeaseMs
  }

  #standsStill({ id, lease_until: leaseUntil, lease_ms: leaseMs }: OwnerRow, monotonic: number): boolean {
    const observed = this.#observed.get(id)
    if (observed?.leaseUntil === leaseUntil) return monotonic - observed.since > leaseMs
    this.#observed.set(id, { leaseUntil, since: monotonic })
    return false
  }
}
