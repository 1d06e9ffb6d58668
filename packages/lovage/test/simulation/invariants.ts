/** What must hold in every history: the invariants, each a function of the books that says what is wrong, or nothing. */
import type { Delivery, ParkedMessage, SettleOutcome } from '../../src/broker.ts'
import type { StoredState } from '../../src/core/record.ts'
import { decodeTaskHeaders } from '../../src/protocol/task-message.ts'
import type { Entry, Life } from './entry.ts'
import { kindOf } from './tasks.ts'

const invariantNames = [
  '1 nothing vanishes',
  '2 nothing appears',
  '3 one final result, and its bytes stay',
  '4 versions only rise at every observer',
  '5 a stale token decides nothing',
  '6 every attempt has a cause',
  '7 no late ack before the result is durable',
  '8 without faults, each attempt runs once',
  '10 what is linked follows, in order',
  '11 what was revoked does not start',
  '12 no more run than there are slots',
  '13 nothing stays behind',
  '14 all drains after the faults',
  '15 what is parked can be replayed',
  '17 a clean stop leaves nothing and ends in time',
  'neither before its eta nor after it expired',
  'every crash is counted',
  'one key, one task',
  'a task ends as it must',
] as const
export type InvariantName = (typeof invariantNames)[number]

export interface Violation {
  readonly invariant: InvariantName
  readonly detail: string
}

type Finding = string | undefined

export function nothingVanishes({ id, acknowledged, messages, final }: Entry): Finding {
  if (!acknowledged || messages > 0 || final !== undefined) return undefined
  return `${id} was accepted; it is in no queue and has no final state`
}

export function oneFinalResult({ id, final }: Entry, next: StoredState): Finding {
  return final === undefined || textOf(next) === final ? undefined : `${id} was ${final}, became ${textOf(next)}`
}

const ranks: Readonly<Record<string, number>> = { PENDING: 0, RECEIVED: 1, STARTED: 2, RETRY: 4 }

/** @param mayRepeat a reader who asks again may be told the same. */
export function versionsOnlyRise(before: StoredState | undefined, next: StoredState, mayRepeat: boolean): Finding {
  if (before === undefined || (isFinal(next) && !isFinal(before))) return undefined
  const [old, young] = [placeOf(before), placeOf(next)]
  const first = young.findIndex((part, index) => part !== old[index])
  if (!isFinal(before) && first >= 0 && (young[first] ?? 0) > (old[first] ?? 0)) return undefined
  if (mayRepeat && first < 0 && textOf(before) === textOf(next)) return undefined
  return `${next.id}: ${before.state} ${old.join()} → ${next.state} ${young.join()}`
}

function placeOf({ state, retries, delivery, seq }: StoredState): readonly number[] {
  return [retries, delivery, ranks[state] ?? 3, seq]
}

/** What it may still bring is a first final result: that is the store's rule, and `oneFinalResult` judges it. */
export function staleTokenDecidesNothing(
  { token, message }: Delivery,
  isCurrent: boolean,
  outcome: SettleOutcome,
): Finding {
  return outcome !== 'settled' || isCurrent ? undefined : `${token} of ${idOf(message)} was settled by its old holder`
}

export function everyAttemptHasACause({ id, plan, accepted, handOvers, givenBack, runs }: Entry): Finding {
  if (handOvers > accepted + givenBack)
    return `${id}: ${handOvers} hand-overs of ${accepted} messages, ${givenBack} given back`
  for (const [token, times] of runs) if (times > 1) return `${id}: ${token} ran ${times} times`
  // early ack: a message that was begun is not begun again
  if (kindOf(plan.name).policy?.acksLate === false && runs.size > accepted)
    return `${id}: acked early, ${runs.size} runs of ${accepted} messages`
  return runs.size > handOvers ? `${id}: ${runs.size} runs of ${handOvers} hand-overs` : undefined
}

/** Its result, or its next attempt; or it was a copy, and another one is there. */
export function noAckBeforeTheResult({ id, plan, stored, messages }: Entry, { message }: Delivery): Finding {
  const retries = Number(message.headers['retries'])
  const isDurable =
    stored !== undefined &&
    (isFinal(stored) || stored.retries > retries || (stored.state === 'RETRY' && stored.retries === retries))
  if (isDurable || messages > 0 || kindOf(plan.name).policy?.acksLate === false) return undefined
  return `${id} was acked at ${stored?.state ?? 'no state'}`
}

export function followsFromSuccess({ id }: Entry, before: Entry): Finding {
  if (before.final?.startsWith('SUCCESS') === true) return undefined
  return `${id} is sent, and ${before.id} is ${before.final ?? 'not final'}`
}

export function hasFollowed({ id, accepted, final }: Entry, before: Entry): Finding {
  if (before.final === undefined) return undefined
  if (before.final.startsWith('SUCCESS')) return accepted > 0 ? undefined : `${id} was never sent after ${before.id}`
  return accepted === 0 || before.accepted === 0
    ? undefined
    : `${id} (${final}) was sent although ${before.id} is ${before.final}`
}

export function executionsAreTasks({ id, plan, runs, final, accepted }: Entry): Finding {
  // a call that was made twice is a second message
  if (accepted === 0 || plan.repeatAfterMs !== undefined) return undefined
  const expected = kindOf(plan.name).runs
  const isRight = final?.startsWith('REVOKED') === true ? runs.size <= expected : runs.size === expected
  return isRight ? undefined : `${id} (${plan.name}) ran ${runs.size} times, not ${expected}`
}

/** A revoke is stored; a worker that has been told, or began to listen after, does not begin the task. */
export function revokedDoesNotStart({ id, revokedAt }: Entry, life: Life): Finding {
  if (life.knowsRevoked(id)) return `${id} begins on ${life.process.name}, which knows that it is revoked`
  if (revokedAt === undefined || life.watchesSince < revokedAt) return undefined
  return `${id} was revoked at ${revokedAt} ms; ${life.process.name}, which began to listen at ${life.watchesSince} ms, begins it`
}

/** @param message as it was sent. @param times epoch milliseconds: when it begins, and when it was handed over. */
export function neitherEarlyNorExpired(
  { headers }: Delivery['message'],
  { begunAt, handedOverAt }: { readonly begunAt: number; readonly handedOverAt: number },
): Finding {
  const [etaAt, expiresAt] = [instantOf(headers['eta']), instantOf(headers['expires'])]
  if (etaAt !== undefined && begunAt < etaAt)
    return `${String(headers['id'])} begins ${etaAt - begunAt} ms before its eta`
  if (expiresAt === undefined || handedOverAt < expiresAt) return undefined
  return `${String(headers['id'])} begins, and had expired when it was handed over`
}

function instantOf(header: unknown): number | undefined {
  return typeof header === 'string' ? Date.parse(header) : undefined
}

export function endsAsItMust(entry: Entry): Finding {
  const { id, plan, after, accepted, stored, final, crashes, cutRuns } = entry
  // what will not be called any more ends as what it was to follow
  if (final === undefined || (after !== undefined && accepted === 0)) return undefined
  const isStopped = plan.revoke !== undefined || plan.expiresAfterMs !== undefined
  const isLost = stored?.state === 'FAILURE' && stored.value?.includes('WorkerLostError') === true
  const isPoison = plan.name.startsWith('kills')
  // sent twice: the second message cannot tell the first one's run from a run of its own that was cut short
  const mayBeBegun = plan.name === 'early ack' && (crashes + cutRuns > 0 || accepted > 1)
  const mayBeLost = isPoison || crashes >= 5 || mayBeBegun
  if (isLost ? mayBeLost : stored?.state === kindOf(plan.name).ends) return undefined
  if (isStopped && stored?.state === 'REVOKED') return undefined
  return `${id} (${plan.name}) is ${final}; ${crashes} crashes, ${cutRuns} runs cut short`
}

export function parkedCanBeReplayed({ parkedId, id, reason, message }: ParkedMessage): Finding {
  if (reason === '') return `parked ${parkedId} (${id}) says no reason`
  try {
    const { id: decoded, task } = decodeTaskHeaders(message)
    return decoded === id && task !== '' ? undefined : `parked ${parkedId} is ${decoded}, not ${id}`
  } catch (error) {
    return `parked ${parkedId} (${id}) cannot be read: ${String(error)}`
  }
}

export function stuck(entries: readonly Entry[]): string {
  return entries
    .filter(({ messages, acknowledged, final }) => messages > 0 || (acknowledged && final === undefined))
    .map(({ id, plan, messages, stored }) => `${id} (${plan.name}) has ${messages} messages, is ${stored?.state}`)
    .join('; ')
}

export function isFinal({ state }: StoredState): boolean {
  return state === 'SUCCESS' || state === 'FAILURE' || state === 'REVOKED'
}

export function textOf({ state, value }: StoredState): string {
  return `${state} ${value ?? ''}`
}

export function idOf(message: Delivery['message']): string {
  return String(message.headers['id'])
}
