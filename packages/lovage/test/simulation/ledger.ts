/**
 * The books of a history. The ledger is told what passes at the seams and asks none of the code it judges; after every
 * event it looks whether the invariants still hold.
 */
import type { Delivery, ParkedMessage, Publication, Settlement, SettleOutcome } from '../../src/broker.ts'
import type { StoredState } from '../../src/core/record.ts'
import type { Run } from '../../src/worker/run.ts'
import type { TaskState } from './coverage.ts'
import { createEntry, stateOf, type Entry, type Life } from './entry.ts'
import * as rules from './invariants.ts'
import { idOf, isFinal, textOf, type InvariantName, type Violation } from './invariants.ts'
import { leaseMs } from './plan.ts'
import type { Process } from './process.ts'
import { followerPlan, followersOf, twinId, type TaskPlan } from './tasks.ts'

const linked = '10 what is linked follows, in order'

export interface LedgerOptions {
  readonly plans: readonly TaskPlan[]
  /** True time. */
  readonly now: () => number
  readonly brokerWall: () => number
  /** No clock was ever moved. */
  readonly clocksAgree: () => boolean
}

export class Ledger {
  readonly entries: Map<string, Entry> = new Map()
  /** The first. */
  violation: Violation | undefined
  readonly #options: LedgerOptions
  /** Messages that must be in the broker. */
  #messages = 0
  /** Who may settle: by message (the token's first half), the token of its last hand-over until it ended. */
  readonly #current = new Map<string, string>()
  /** By message: how many died of it. */
  readonly #crashCounts = new Map<string, number>()
  /** Tokens whose run was lost, and may have been the cause. */
  readonly #suspects = new Set<string>()
  /** By owner: true time of its last sign of life. */
  readonly #heardAt = new Map<string, number>()
  readonly #running = new Map<Process, number>()
  readonly #seen = new Map<string, StoredState>()

  constructor(options: LedgerOptions) {
    this.#options = options
    for (const plan of options.plans) {
      this.entries.set(plan.id, createEntry(plan.id, plan))
      const twin = twinId(plan.id)
      if (plan.twinAfterMs !== undefined) this.entries.set(twin, createEntry(twin, plan))
      for (const { id, after } of followersOf(plan))
        this.entries.set(id, createEntry(id, followerPlan(id, plan), after))
    }
  }

  /** @throws {Error} nothing of that id was ever sent: invariant 2. */
  entry(id: string): Entry {
    const entry = this.entries.get(id)
    if (entry !== undefined) return entry
    this.#check('2 nothing appears', `${id} was never sent`)
    throw new Error(`${id} was never sent`)
  }

  get drained(): boolean {
    for (const { messages, acknowledged, final } of this.entries.values())
      if (messages > 0 || (acknowledged && final === undefined)) return false
    return true
  }

  /** The tasks of what a process holds. */
  heldBy(process: Process): string[] {
    const entries = [...this.entries.values()]
    return entries.filter(({ held }) => [...held.values()].some(each => each.process === process)).map(({ id }) => id)
  }

  /** Where a task is in its life. */
  stateOf(id: string): TaskState {
    return stateOf(this.entry(id), this.#options.brokerWall())
  }

  // ── what passes ───────────────────────────────────────────────────────────────────────────────────

  queued({ id, notBefore = 0 }: Publication): void {
    const entry = this.entry(id)
    entry.messages++
    entry.accepted++
    entry.notBefore = notBefore
    this.#messages++
    const { plan, after } = entry
    if (after !== undefined) this.#check(linked, rules.followsFromSuccess(entry, this.entry(after)))
    if (plan.twinAfterMs === undefined) return
    const other = this.entry(id === plan.id ? twinId(plan.id) : plan.id)
    this.#check('one key, one task', other.accepted > 0 ? `${id} and ${other.id} were both sent` : undefined)
  }

  heard(owner: string): void {
    this.#heardAt.set(owner, this.#options.now())
  }

  handedOver(delivery: Delivery, process: Process): void {
    const { token, message, redelivered: isRedelivery, crashCount } = delivery
    const entry = this.entry(idOf(message))
    const expected = this.#crashCounts.get(messageOf(token)) ?? 0
    entry.handOvers++
    this.#current.set(messageOf(token), token)
    const isDone = entry.final !== undefined
    const handedOverAt = this.#options.brokerWall()
    const known = { process, message, handedOverAt, isDone, isRedelivery }
    entry.held.set(token, { ...known, run: undefined, isBlamed: expected === 0 })
    this.#check('6 every attempt has a cause', rules.everyAttemptHasACause(entry))
    const isWrong = crashCount !== expected
    this.#check('every crash is counted', isWrong ? `${token} came with ${crashCount}, not ${expected}` : undefined)
  }

  received(token: string, run: Run): void {
    const holding = this.entries.get(run.request.id)?.held.get(token)
    if (holding !== undefined) holding.run = run
  }

  begun(tokens: readonly string[], idsOf: (token: string) => string | undefined): void {
    for (const token of tokens) {
      const holding = this.entries.get(idsOf(token) ?? '')?.held.get(token)
      if (holding !== undefined) holding.isBlamed = true
    }
  }

  /** The holder died, was silent for too long, or left. */
  tookBack(token: string, id: string, { isCrash, owner }: { readonly isCrash: boolean; readonly owner: string }): void {
    const entry = this.entry(id)
    const holding = entry.held.get(token)
    entry.givenBack++
    entry.held.delete(token)
    entry.notBefore = 0
    this.#current.delete(messageOf(token))
    if (!isCrash || entry.runs.has(token)) entry.cutRuns++
    if (!isCrash) return
    entry.crashes++
    if (holding?.isBlamed === true) this.#countCrash(token)
    const silentMs = this.#options.now() - (this.#heardAt.get(owner) ?? 0)
    const isEarly = holding?.process.state !== 'dead' && silentMs < leaseMs - 1
    const detail = `${token} of ${id} was taken from ${owner}, heard of ${silentMs} ms ago`
    this.#check('6 every attempt has a cause', isEarly ? detail : undefined)
  }

  ran(token: string, id: string, life: Life): void {
    const entry = this.entry(id)
    const holding = entry.held.get(token)
    entry.runs.set(token, (entry.runs.get(token) ?? 0) + 1)
    this.#check('6 every attempt has a cause', rules.everyAttemptHasACause(entry))
    const isDone = holding?.isDone === true && holding.isRedelivery
    this.#check('6 every attempt has a cause', isDone ? `${id} runs again, and was ${entry.final}` : undefined)
    this.#check('11 what was revoked does not start', rules.revokedDoesNotStart(entry, life))
    if (holding !== undefined && this.#options.clocksAgree()) {
      const times = { begunAt: this.#options.brokerWall(), handedOverAt: holding.handedOverAt }
      const finding = rules.neitherEarlyNorExpired(holding.message, times)
      this.#check('neither before its eta nor after it expired', finding)
    }
    const running = (this.#running.get(life.process) ?? 0) + 1
    this.#running.set(life.process, running)
    const tooMany = running > life.slots ? `${life.process.name} runs ${running} on ${life.slots} slots` : undefined
    this.#check('12 no more run than there are slots', tooMany)
  }

  /** @param isSuspect the thread it ran in is gone, and it may have been the cause. */
  ranOut(token: string, process: Process, isSuspect: boolean): void {
    this.#running.set(process, (this.#running.get(process) ?? 1) - 1)
    if (isSuspect) this.#suspects.add(token)
  }

  stored(next: StoredState): void {
    const entry = this.entry(next.id)
    this.#check('4 versions only rise at every observer', rules.versionsOnlyRise(entry.stored, next, false))
    this.#check('3 one final result, and its bytes stay', rules.oneFinalResult(entry, next))
    // its writer had no answer, and has given the delivery back: the next one cannot know that it never ran
    if (next.state === 'STARTED' && next.delivery <= entry.givenBack) entry.cutRuns++
    entry.stored = next
    if (isFinal(next)) entry.final ??= textOf(next)
  }

  /** Somebody outside looks at a state. */
  seen(observer: string, next: StoredState, mayRepeat: boolean): void {
    const key = `${observer} ${next.id}`
    const finding = rules.versionsOnlyRise(this.#seen.get(key), next, mayRepeat)
    this.#check('4 versions only rise at every observer', finding === undefined ? undefined : `${observer}: ${finding}`)
    this.#seen.set(key, next)
  }

  lastSeen(observer: string, id: string): StoredState | undefined {
    return this.#seen.get(`${observer} ${id}`)
  }

  revoked(id: string): void {
    this.entry(id).revokedAt ??= this.#options.now()
  }

  /** After the broker carried a settlement out, with its record where the driver takes that too. */
  settled({ delivery, disposition, successors = [] }: Settlement, outcome: SettleOutcome): void {
    const { token, message } = delivery
    const entry = this.entry(idOf(message))
    const isCurrent = this.#current.get(messageOf(token)) === token
    this.#check('5 a stale token decides nothing', rules.staleTokenDecidesNothing(delivery, isCurrent, outcome))
    if (outcome !== 'settled') return
    this.#current.delete(messageOf(token))
    entry.held.delete(token)
    if (disposition.kind === 'requeue') return this.#requeued(entry, token, disposition)
    entry.messages--
    this.#messages--
    for (const successor of successors) this.queued(successor)
    const finding = rules.noAckBeforeTheResult(entry, delivery)
    this.#check('7 no late ack before the result is durable', finding)
    this.#check('1 nothing vanishes', rules.nothingVanishes(entry))
  }

  #requeued(
    entry: Entry,
    token: string,
    { delayMs = 0, crashed = false }: { readonly delayMs?: number | undefined; readonly crashed?: boolean | undefined },
  ): void {
    entry.givenBack++
    // without a word in the store: whoever gets it next cannot tell it from a run that was cut short
    if (entry.stored?.state === 'STARTED') entry.cutRuns++
    entry.notBefore = delayMs > 0 ? this.#options.brokerWall() + delayMs : 0
    if (crashed) {
      entry.crashes++
      this.#countCrash(token)
    }
    const isForgotten = this.#suspects.has(token) && !crashed
    this.#check(
      'every crash is counted',
      isForgotten ? `${token} of ${entry.id} is given back as if it had not crashed` : undefined,
    )
  }

  // ── what must hold ────────────────────────────────────────────────────────────────────────────────

  /** After every event. @param inBroker messages the broker has. */
  balance(inBroker: number): void {
    if (inBroker === this.#messages) return
    const detail = `the broker has ${inBroker} messages, the books say ${this.#messages}`
    this.#check(inBroker < this.#messages ? '1 nothing vanishes' : '2 nothing appears', detail)
  }

  acknowledged(id: string): void {
    const entry = this.entry(id)
    entry.acknowledged = true
    this.#check('1 nothing vanishes', rules.nothingVanishes(entry))
  }

  /** When all has drained, or the time for it is over. */
  ended(parked: Iterable<ParkedMessage>, hadFaults: boolean): void {
    const entries = [...this.entries.values()]
    this.#check('14 all drains after the faults', this.drained ? undefined : rules.stuck(entries))
    for (const entry of entries) {
      this.#check('1 nothing vanishes', rules.nothingVanishes(entry))
      this.#check('a task ends as it must', rules.endsAsItMust(entry))
      if (entry.after !== undefined) this.#check(linked, rules.hasFollowed(entry, this.entry(entry.after)))
      const finding = hadFaults ? undefined : rules.executionsAreTasks(entry)
      this.#check('8 without faults, each attempt runs once', finding)
    }
    for (const each of parked) this.#check('15 what is parked can be replayed', rules.parkedCanBeReplayed(each))
  }

  /** Once all has drained: who follows the tasks has been shown every end. */
  followedAll(observer: string): void {
    for (const { id, stored, final } of this.entries.values()) {
      if (final === undefined || stored === undefined) continue
      const shown = this.lastSeen(observer, id)?.state
      const isBehind = shown !== stored.state
      this.#check('14 all drains after the faults', isBehind ? `${observer} shows ${id} as ${shown}` : undefined)
    }
  }

  /** Of what others have looked at: a finding is a violation. */
  judge(invariant: InvariantName, finding: string | undefined): void {
    this.#check(invariant, finding)
  }

  #countCrash(token: string): void {
    this.#crashCounts.set(messageOf(token), (this.#crashCounts.get(messageOf(token)) ?? 0) + 1)
  }

  #check(invariant: InvariantName, detail: string | undefined): void {
    if (detail !== undefined) this.violation ??= { invariant, detail }
  }
}

function messageOf(token: string): string {
  return token.slice(0, token.indexOf(':'))
}
