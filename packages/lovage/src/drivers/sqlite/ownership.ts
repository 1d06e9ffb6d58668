/** This connection's row among the owners, and its watch over the others. */
import type { Clock } from '../../core/clock.ts'
import { crashPoint } from '../../core/crash-point.ts'
import type { MessageTable } from './message-table.ts'
import type { DeadOwner, OwnerTable } from './owner-table.ts'
import type { Transaction } from './transaction.ts'

export interface OwnershipContext {
  readonly tx: Transaction
  readonly messages: MessageTable
  readonly clock: Clock
  readonly options: { readonly leaseMs: number; readonly watchdogMs: number; readonly heartbeat: SharedArrayBuffer }
}

export class Ownership {
  readonly #table: OwnerTable
  readonly #context: OwnershipContext
  readonly #heartbeat: Int32Array
  /** 0: this connection has consumed nothing yet. */
  #id = 0
  #node = ''
  #renewedAt = 0
  #beat = -1
  #beatAt = 0
  /** Leases of others are believed from then on, monotonic. */
  #trustsLeasesFrom = 0
  #inquiries = 0
  #others: ReturnType<OwnerTable['all']> | undefined

  constructor(table: OwnerTable, context: OwnershipContext) {
    this.#table = table
    this.#context = context
    this.#heartbeat = new Int32Array(context.options.heartbeat)
  }

  /** The fence of every settlement: what another owner's row holds is not ours. */
  current(): number {
    return this.#id
  }

  begin(node: string): void {
    if (this.#id !== 0) return
    const { tx, clock } = this.#context
    this.#node = node
    this.#renewedAt = clock.monotonic()
    this.#id = this.#table.add(node, this.#renewedAt)
    tx.onRollback(() => (this.#id = 0))
  }

  end(): void {
    const id = this.#id
    if (id === 0) return
    this.#table.remove(id)
    this.#id = 0
    this.#context.tx.onRollback(() => (this.#id = id))
  }

  /**
   * Whether what is claimed now is sure to be given back if this process dies: while its row stands. Near the end of
   * the lease it may be gone already. Nor is anything claimed for a main thread that shows no life.
   */
  mayClaim(): boolean {
    const { clock, options } = this.#context
    return this.#id !== 0 && clock.monotonic() - this.#renewedAt < options.leaseMs * 0.8 && this.#isMainAlive()
  }

  /** Not while the main thread shows no life: then nobody runs the tasks, and others shall have them. */
  needsRenewal(): boolean {
    const { clock, options } = this.#context
    return this.#id !== 0 && clock.monotonic() - this.#renewedAt >= options.leaseMs / 3 && this.#isMainAlive()
  }

  /** Who was judged dead meanwhile begins anew: what it held is lost to it. */
  renew(): void {
    const { tx, messages, clock } = this.#context
    const [id, renewedAt, now] = [this.#id, this.#renewedAt, clock.monotonic()]
    this.#renewedAt = now
    if (!this.#table.renew(id, now)) {
      messages.giveBack(id, false)
      this.#id = this.#table.add(this.#node, now)
    }
    tx.onRollback(() => ([this.#id, this.#renewedAt] = [id, renewedAt]))
    crashPoint('W14')
  }

  #isMainAlive(): boolean {
    const { clock, options } = this.#context
    const now = clock.monotonic()
    const beat = Atomics.load(this.#heartbeat, 0)
    if (beat !== this.#beat) [this.#beat, this.#beatAt] = [beat, now]
    return now - this.#beatAt < options.watchdogMs
  }

  /** @param sinceLast milliseconds since it was asked before: much more than a tick means that this process stood still. */
  findDead(sinceLast: number, hasNews: boolean): readonly DeadOwner[] {
    const { clock, options } = this.#context
    const now = clock.monotonic()
    if (sinceLast > 2000) this.#trustsLeasesFrom = now + options.leaseMs / 2
    if (hasNews || this.#others === undefined) this.#others = this.#table.all()
    const dead: DeadOwner[] = []
    const isThorough = this.#inquiries++ % 4 === 0
    const inquiry = { monotonic: now, trustsLeases: now >= this.#trustsLeasesFrom, isThorough }
    for (const owner of this.#others) {
      const verdict = owner.id === this.#id ? undefined : this.#table.judge(owner, inquiry)
      if (verdict !== undefined) dead.push(verdict)
    }
    return dead
  }

  /** Gives what they held back to the queues. */
  bury(dead: readonly DeadOwner[]): void {
    this.#others = undefined
    for (const owner of dead) if (this.#table.bury(owner)) this.#context.messages.giveBack(owner.id, owner.blame)
  }
}
