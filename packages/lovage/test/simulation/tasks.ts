/** The tasks a history is made of: what they do when they run, and how they must end. */
import type { ErrorDocument } from '../../src/core/record.ts'
import type { RunResult } from '../../src/pools/pool.ts'
import type { TaskPolicy } from '../../src/worker/decide.ts'
import type { Random } from './world.ts'

type Kind = keyof typeof kinds

/** How one run goes: it reports, then ends like this. */
type Fate = RunResult | { readonly kind: 'kills'; readonly what: 'process' | 'thread' }

interface KindOfTask {
  readonly policy: TaskPolicy | undefined
  /** @param retries before this attempt. @param runs of this task before this one. */
  readonly fate: (retries: number, runs: number) => Fate
  readonly ends: 'SUCCESS' | 'FAILURE'
  /** Runs in a history without faults. */
  readonly runs: number
}

const retry = { max: 2, backoff: 'exponential', delayMs: 700, maxDelayMs: 1200, jitter: true } as const
const late: TaskPolicy = { retry, acksLate: true, ignoreResult: false, resultExpiresMs: undefined }
const error: ErrorDocument = { type: 'Error', message: 'no luck', retryable: true }
const value = (retries: number): Fate => ({ kind: 'returned', value: `"after ${retries} retries"` })
const retrying: Fate = { kind: 'retry', error: { ...error, type: 'Retry' }, countdownMs: 700 }

const kinds = {
  returns: { policy: late, fate: value, ends: 'SUCCESS', runs: 1 },
  'throws once': {
    policy: late,
    fate: retries => (retries === 0 ? { kind: 'threw', error, wantsRetry: true } : value(retries)),
    ends: 'SUCCESS',
    runs: 2,
  },
  'always throws': { policy: late, fate: () => ({ kind: 'threw', error, wantsRetry: true }), ends: 'FAILURE', runs: 3 },
  'calls retry': {
    policy: { ...late, retry: undefined },
    fate: retries => (retries < 2 ? retrying : value(retries)),
    ends: 'SUCCESS',
    runs: 3,
  },
  'rejects, requeued': {
    policy: late,
    fate: (retries, runs) => (runs === 0 ? { kind: 'rejected', requeue: true } : value(retries)),
    ends: 'SUCCESS',
    runs: 2,
  },
  rejects: { policy: late, fate: () => ({ kind: 'rejected', requeue: false }), ends: 'FAILURE', runs: 1 },
  'early ack': { policy: { ...late, acksLate: false }, fate: value, ends: 'SUCCESS', runs: 1 },
  'unknown name': { policy: undefined, fate: value, ends: 'FAILURE', runs: 0 },
  'kills its process': { policy: late, fate: () => ({ kind: 'kills', what: 'process' }), ends: 'FAILURE', runs: 3 },
  'kills its thread': { policy: late, fate: () => ({ kind: 'kills', what: 'thread' }), ends: 'FAILURE', runs: 3 },
} satisfies Record<string, KindOfTask>

export function kindOf(name: string): KindOfTask {
  return kinds[name as Kind]
}

export interface TaskPlan {
  readonly id: string
  readonly name: Kind
  readonly publishAfterMs: number
  readonly durationMs: number
  /** Whether it stops when it is told to. */
  readonly heeds: boolean
  readonly etaAfterMs: number | undefined
  readonly expiresAfterMs: number | undefined
  readonly revoke: { readonly afterMs: number; readonly terminate: boolean } | undefined
  /** It is sent with an idempotency key, and so long after the first call another one uses the same, with an id of its own. */
  readonly twinAfterMs: number | undefined
  /** One task is linked to it, and two follow in its chain. */
  readonly isLinked: boolean
  /** So long after the first call another one sends it again, under the same id. */
  readonly repeatAfterMs: number | undefined
}

const ordinary: readonly Kind[] = [
  ...Array.from({ length: 8 }, () => 'returns' as const),
  ...(['throws once', 'throws once', 'always throws', 'calls retry'] as const),
  ...(['rejects, requeued', 'rejects', 'early ack', 'early ack'] as const),
]
const poisons: readonly Kind[] = ['kills its process', 'kills its thread']

/** Most histories are of ordinary tasks; some have a poisonous one, a few an unknown one. */
export function planTasks(random: Random, count: number, hasFaults: boolean): TaskPlan[] {
  const plans = Array.from({ length: count }, (_, index) => planTask(random, `t${index + 1}`, random.pick(ordinary)))
  if (hasFaults && random.chance(0.3)) plans.push(planTask(random, 'poison', random.pick(poisons)))
  if (random.chance(0.05)) plans.push(planTask(random, 'unknown', 'unknown name'))
  return plans
}

function planTask(random: Random, id: string, name: Kind): TaskPlan {
  const maybe = (probability: number, most: number): number | undefined =>
    random.chance(probability) ? random.between(0, most) : undefined
  const revokeAfterMs = maybe(0.15, random.pick([20, 400, 1500]))
  return {
    id,
    name,
    publishAfterMs: random.between(0, 400),
    durationMs: random.chance(0.3) ? random.between(40, 400) : random.between(0, 12),
    heeds: random.chance(0.7),
    etaAfterMs: maybe(0.12, 1500),
    expiresAfterMs: maybe(0.06, 200),
    revoke: revokeAfterMs === undefined ? undefined : { afterMs: revokeAfterMs, terminate: random.chance(0.5) },
    ...planOtherCall(random),
    isLinked: random.chance(0.12),
  }
}

/** One more call for it, at most. */
function planOtherCall(random: Random): Pick<TaskPlan, 'twinAfterMs' | 'repeatAfterMs'> {
  const isTwin = random.chance(0.25)
  const afterMs = random.chance(0.2) ? random.between(0, random.pick([10, 300, 1500])) : undefined
  return { twinAfterMs: isTwin ? afterMs : undefined, repeatAfterMs: isTwin ? undefined : afterMs }
}

/** What is to follow from a task: ids, and whose success each follows from. */
export function followersOf({ id, isLinked, twinAfterMs }: TaskPlan): readonly { id: string; after: string }[] {
  if (!isLinked || twinAfterMs !== undefined) return []
  return [
    { id: `${id}link`, after: id },
    { id: `${id}chain1`, after: id },
    { id: `${id}chain2`, after: `${id}chain1` },
  ]
}

/** It returns at once, and whatever was done twice to the first may come to it twice. */
export function followerPlan(id: string, { repeatAfterMs }: TaskPlan): TaskPlan {
  const unset = { etaAfterMs: undefined, expiresAfterMs: undefined, revoke: undefined, twinAfterMs: undefined }
  return {
    id,
    name: 'returns',
    publishAfterMs: 0,
    durationMs: 2,
    heeds: true,
    isLinked: false,
    repeatAfterMs,
    ...unset,
  }
}

/** The id the second call of an idempotency key brings along. */
export function twinId(id: string): string {
  return `${id}twin`
}
