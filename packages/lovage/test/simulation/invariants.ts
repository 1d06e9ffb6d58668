/**
 * What must hold in every history: RELIABILITY's invariants 1–8, and that all work drains. The ledger is told what
 * passes at the seams and keeps its own books; it asks none of the code it judges.
 */
import type { Delivery, Settlement, SettleOutcome } from '../../src/broker.ts'
import type { StoredState } from '../../src/core/record.ts'
import { kindOf, type TaskPlan } from './tasks.ts'

type InvariantName =
  | '1 nothing vanishes'
  | '2 nothing appears'
  | '3 one final result, and its bytes stay'
  | '4 versions only rise'
  | '5 a stale token decides nothing'
  | '6 every attempt has a cause'
  | '7 no late ack before the result is durable'
  | '8 without faults, each attempt runs once'
  | 'a task ends as it must'
  | 'liveness: all drains after the faults'

export interface Violation {
  readonly invariant: InvariantName
  readonly detail: string
}

/** What the ledger knows of one task. */
interface Entry {
  readonly plan: TaskPlan
  acknowledged: boolean
  /** Messages of it in the broker, whoever holds them. */
  messages: number
  /** Messages ever accepted: publications, repeated ones too, and retries. */
  accepted: number
  handOvers: number
  /** Hand-overs that were given back, or taken back: each allows another. */
  givenBack: number
  /** Of those, by the death or silence of the holder. */
  crashes: number
  /** Runs, by the token of their hand-over. */
  readonly runs: Map<string, number>
  /** Runs that did not end by themselves. */
  cutRuns: number
  stored: StoredState | undefined
  /** The first final record, as text. */
  final: string | undefined
}

export class Ledger {
  readonly entries: ReadonlyMap<string, Entry>
  /** The first. */
  violation: Violation | undefined
  /** Who may settle: by message (the token's first half), the token of its last hand-over until it ended. */
  readonly #current = new Map<string, string>()

  constructor(plans: readonly TaskPlan[]) {
    const blank = { messages: 0, accepted: 0, handOvers: 0, givenBack: 0, crashes: 0, cutRuns: 0 }
    this.entries = new Map(
      plans.map(plan => [
        plan.id,
        { plan, acknowledged: false, ...blank, runs: new Map(), stored: undefined, final: undefined },
      ]),
    )
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

  queued(id: string): void {
    const entry = this.entry(id)
    entry.messages++
    entry.accepted++
  }

  handedOver({ token, message }: Delivery): void {
    const entry = this.entry(idOf(message))
    entry.handOvers++
    this.#current.set(messageOf(token), token)
    this.#check('6 every attempt has a cause', everyAttemptHasACause(entry))
  }

  /** The holder died, was silent for too long, or left. */
  tookBack(token: string, id: string, isCrash: boolean): void {
    const entry = this.entry(id)
    entry.givenBack++
    if (isCrash) entry.crashes++
    if (!isCrash || entry.runs.has(token)) entry.cutRuns++
    this.#current.delete(messageOf(token))
  }

  ran(token: string, id: string): void {
    const entry = this.entry(id)
    entry.runs.set(token, (entry.runs.get(token) ?? 0) + 1)
    this.#check('6 every attempt has a cause', everyAttemptHasACause(entry))
  }

  stored(next: StoredState): void {
    const entry = this.entry(next.id)
    this.#check('4 versions only rise', versionsOnlyRise(entry.stored, next))
    this.#check('3 one final result, and its bytes stay', oneFinalResult(entry, next))
    entry.stored = next
    if (isFinal(next)) entry.final ??= textOf(next)
  }

  /** After the broker carried a settlement out, with its record where the driver takes that too. */
  settled({ delivery, disposition, successors = [] }: Settlement, outcome: SettleOutcome): void {
    const entry = this.entry(idOf(delivery.message))
    const isCurrent = this.#current.get(messageOf(delivery.token)) === delivery.token
    this.#check('5 a stale token decides nothing', staleTokenDecidesNothing(delivery, isCurrent, outcome))
    if (outcome === 'lost') return
    this.#current.delete(messageOf(delivery.token))
    if (disposition.kind === 'requeue') {
      entry.givenBack++
      if (disposition.crashed === true) entry.crashes++
      return
    }
    entry.messages--
    for (const successor of successors) this.queued(successor.id)
    this.#check(
      '7 no late ack before the result is durable',
      noAckBeforeTheResult(entry, delivery, successors.length > 0),
    )
    this.#check('1 nothing vanishes', nothingVanishes(entry))
  }

  /** When all has drained, or the time for it is over. @param inBroker messages the broker still has. */
  ended(inBroker: number, hadFaults: boolean): void {
    const entries = [...this.entries.values()]
    const expected = entries.reduce((sum, { messages }) => sum + messages, 0)
    const missing = inBroker < expected ? `the broker has ${inBroker} messages, the books say ${expected}` : undefined
    this.#check('1 nothing vanishes', missing)
    this.#check('liveness: all drains after the faults', this.drained ? undefined : stuck(entries))
    for (const entry of entries) {
      this.#check('1 nothing vanishes', nothingVanishes(entry))
      this.#check('a task ends as it must', endsAsItMust(entry))
      this.#check('8 without faults, each attempt runs once', hadFaults ? undefined : executionsAreTasks(entry))
    }
  }

  #check(invariant: InvariantName, detail: string | undefined): void {
    if (detail !== undefined) this.violation ??= { invariant, detail }
  }
}

/** Each of these says what is wrong, or nothing. */
type Finding = string | undefined

function nothingVanishes({ plan, acknowledged, messages, final }: Entry): Finding {
  if (!acknowledged || messages > 0 || final !== undefined) return undefined
  return `${plan.id} was accepted; it is in no queue and has no final state`
}

function oneFinalResult({ plan, final }: Entry, next: StoredState): Finding {
  return final === undefined || textOf(next) === final ? undefined : `${plan.id} was ${final}, became ${textOf(next)}`
}

const ranks: Readonly<Record<string, number>> = { PENDING: 0, RECEIVED: 1, STARTED: 2, RETRY: 4 }

function versionsOnlyRise(before: StoredState | undefined, next: StoredState): Finding {
  if (before === undefined || (isFinal(next) && !isFinal(before))) return undefined
  const [old, young] = [placeOf(before), placeOf(next)]
  const first = young.findIndex((part, index) => part !== old[index])
  if (!isFinal(before) && first >= 0 && (young[first] ?? 0) > (old[first] ?? 0)) return undefined
  return `${next.id}: ${before.state} ${old.join()} → ${next.state} ${young.join()}`
}

function placeOf({ state, retries, delivery, seq }: StoredState): readonly number[] {
  return [retries, delivery, ranks[state] ?? 3, seq]
}

/** What it may still bring is a first final result: that is the store's rule, and `oneFinalResult` judges it. */
function staleTokenDecidesNothing({ token, message }: Delivery, isCurrent: boolean, outcome: SettleOutcome): Finding {
  return outcome === 'lost' || isCurrent ? undefined : `${token} of ${idOf(message)} was settled by its old holder`
}

function everyAttemptHasACause({ plan, accepted, handOvers, givenBack, runs }: Entry): Finding {
  if (handOvers > accepted + givenBack)
    return `${plan.id}: ${handOvers} hand-overs of ${accepted} messages, ${givenBack} given back`
  for (const [token, times] of runs) if (times > 1) return `${plan.id}: ${token} ran ${times} times`
  // early ack: a message that was begun is not begun again
  if (kindOf(plan.name).policy?.acksLate === false && runs.size > accepted)
    return `${plan.id}: acked early, ${runs.size} runs of ${accepted} messages`
  return runs.size > handOvers ? `${plan.id}: ${runs.size} runs of ${handOvers} hand-overs` : undefined
}

/** Its result, or its next attempt. */
function noAckBeforeTheResult({ plan, stored }: Entry, { message }: Delivery, isRetried: boolean): Finding {
  const retries = Number(message.headers['retries'])
  const isDurable =
    stored !== undefined &&
    (isFinal(stored) || stored.retries > retries || (stored.state === 'RETRY' && stored.retries === retries))
  if (isDurable || isRetried || kindOf(plan.name).policy?.acksLate === false) return undefined
  return `${plan.id} was acked at ${stored?.state ?? 'no state'}`
}

function executionsAreTasks({ plan, runs, final }: Entry): Finding {
  const expected = kindOf(plan.name).runs
  const isRight = final?.startsWith('REVOKED') === true ? runs.size <= expected : runs.size === expected
  return isRight ? undefined : `${plan.id} (${plan.name}) ran ${runs.size} times, not ${expected}`
}

function endsAsItMust({ plan, accepted, stored, final, crashes, cutRuns }: Entry): Finding {
  if (final === undefined) return undefined
  const isStopped = plan.revokeAfterMs !== undefined || plan.expiresAfterMs !== undefined
  const isLost = stored?.state === 'FAILURE' && stored.value?.includes('WorkerLostError') === true
  const isPoison = plan.name.startsWith('kills')
  // sent twice: the second message cannot tell the first one's run from a run of its own that was cut short
  const mayBeBegun = plan.name === 'early ack' && (crashes + cutRuns > 0 || accepted > 1)
  const mayBeLost = isPoison || crashes >= 3 || mayBeBegun
  if (isLost ? mayBeLost : stored?.state === kindOf(plan.name).ends) return undefined
  if (isStopped && stored?.state === 'REVOKED') return undefined
  return `${plan.id} (${plan.name}) is ${final}; ${crashes} crashes, ${cutRuns} runs cut short`
}

function stuck(entries: readonly Entry[]): string {
  return entries
    .filter(({ messages, acknowledged, final }) => messages > 0 || (acknowledged && final === undefined))
    .map(({ plan, messages, stored }) => `${plan.id} (${plan.name}) has ${messages} messages, is ${stored?.state}`)
    .join('; ')
}

function isFinal({ state }: StoredState): boolean {
  return state === 'SUCCESS' || state === 'FAILURE' || state === 'REVOKED'
}

function textOf({ state, value }: StoredState): string {
  return `${state} ${value ?? ''}`
}

function messageOf(token: string): string {
  return token.slice(0, token.indexOf(':'))
}

export function idOf(message: Delivery['message']): string {
  return String(message.headers['id'])
}
