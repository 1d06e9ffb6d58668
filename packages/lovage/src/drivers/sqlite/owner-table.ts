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
  readonly seen_at: number
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

  constructor(db: DatabaseSync, { host, leaseMs }: OwnerTableOptions) {
    this.#host = host
    this.#leaseMs = leaseMs
    this.#insert = db.prepare(
      `INSERT INTO owners (node, pid, process_start, boot, pid_space, time_space, lease_until, seen_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#renew = db.prepare('UPDATE owners SET lease_until = ?, seen_at = ? WHERE id = ?')
    this.#remove = db.prepare('DELETE FROM owners WHERE id = ?')
    this.#bury = db.prepare('DELETE FROM owners WHERE id = ? AND lease_until = ?')
    this.#select = db.prepare(
      `SELECT id, ${numberIn('pid')} AS pid, process_start, boot, pid_space, time_space, lease_until,
         ${numberIn('seen_at')} AS seen_at FROM owners`,
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
    return this.#select.all() as unknown as OwnerRow[]
  }

  judge(owner: OwnerRow, { monotonic, trustsLeases, isThorough }: Inquiry): DeadOwner | undefined {
    const { id, pid, lease_until: leaseUntil } = owner
    if (owner.boot !== this.#host.boot) return { id, leaseUntil, blame: false }
    const isVisible = owner.pid_space === this.#host.pidSpace
    const isGone = isVisible && !(isThorough ? isProcessAlive(pid, owner.process_start) : canSignal(pid))
    if (isGone) return { id, leaseUntil, blame: true }
    return trustsLeases && this.#hasLapsed(owner, monotonic) ? { id, leaseUntil, blame: !isVisible } : undefined
  }

  #hasLapsed(owner: OwnerRow, monotonic: number): boolean {
    if (owner.time_space !== this.#host.timeSpace) return owner.seen_at + this.#leaseMs < Date.now()
    // a lease further off than any can be is of an earlier boot, where the boot has no id
    return owner.lease_until < monotonic || owner.lease_until > monotonic + longestLeaseMs
  }
}
