/**
 * What a worker decides about a delivery: whether to run it (`guard`), and what a run's end means (`classify`). What is
 * written for it is in settlement.ts. Pure, so that the simulator runs the very code that ships.
 */
import type { BrokerCapabilities, Delivery } from '../broker.ts'
import type { ErrorDocument, StoredState } from '../core/record.ts'
import type { RunResult } from '../pools/pool.ts'
import { retryDelayMs, type ResolvedRetryPolicy } from '../core/retry.ts'
import { isReadyState, stateRank } from '../core/states.ts'
import { Outcome } from './outcome.ts'

/** What the decisions need of a message's headers. `TaskMessage` has it all. */
export interface Request {
  readonly id: string
  readonly task: string
  readonly retries: number
  readonly parentId?: string | undefined
  /** The first task of the workflow. @default the id */
  readonly rootId?: string | undefined
  readonly etaAt?: number | undefined
  readonly expiresAt?: number | undefined
  readonly priority?: number | undefined
  /** The caller's own limit on retries, over the task's. */
  readonly maxRetries?: number | undefined
  /** The caller's wish, over the task's. */
  readonly ignoreResult?: boolean | undefined
  /** Where a foreign client waits for its states, and under which id. */
  readonly replyTo?: string | undefined
  readonly correlationId?: string | undefined
  /** How often it was given back by workers that do not know its name. */
  readonly unknownCount?: number | undefined
}

/** What the decisions need of a task's definition. */
export interface TaskPolicy {
  /** Absent: none was given. `task.retry()` then has Celery's three, an error none. */
  readonly retry: ResolvedRetryPolicy | undefined
  readonly acksLate: boolean
  readonly ignoreResult: boolean
  readonly resultExpiresMs: number | undefined
}

/** Celery's default for an explicit `retry()`. */
const explicitRetries = 3
/** How long an unknown task name is given back for, each time, before it is parked: a rolling deploy takes as long. */
const unknownNameDelaysMs: readonly number[] = [1000, 10_000, 30_000]
/** Crashes from which on a task runs alone in a process of its own. */
const isolateFromCrashes = 2
/**
 * Crashes from which on it runs no more, though no process it was alone in is known to have died of it. From the third
 * on it was alone, so it may be innocent: whoever kills workers all day hits some task several times. It may as well
 * be one that kills its parent, and that must end.
 */
const quarantineFromCrashes = 5

/** What `guard` is told besides the message. */
export interface GuardFacts {
  readonly now: number
  /** Undefined: no task of that name is registered here. */
  readonly policy: TaskPolicy | undefined
  readonly revoked: { readonly terminate: boolean } | undefined
  /** What the store knows, where it was asked (`mustAsk`). */
  readonly stored: StoredState | undefined
}

/**
 * Whether the store must be asked before it is run. A redelivery may be closed already, or begun. Where record and
 * messages are written in two steps, a message that another task's end or a retry has sent may have been sent twice.
 */
export function mustAsk(delivery: Delivery, request: Request, atomic: boolean): boolean {
  return delivery.redelivered || (!atomic && (request.retries > 0 || request.parentId !== undefined))
}

export type Verdict =
  | { readonly kind: 'run'; readonly isolated: boolean; readonly markStarted: boolean }
  /** Not yet due: at `dueAt` (epoch ms). */
  | { readonly kind: 'wait'; readonly dueAt: number }
  | { readonly kind: 'settle'; readonly outcome: Outcome }

/**
 * The delivery with the crashes it may have caused. A broker that only flags hand-overs knows of none: whoever had it
 * may have died of it, or lost no more than its connection. What the store has of those that began counts them, so that
 * it is run with care, and then alone; but for that it is not quarantined, which takes a crash that is certain.
 */
export function blamed(
  delivery: Delivery,
  request: Request,
  known: { readonly stored: StoredState | undefined; readonly handOvers: BrokerCapabilities['handOvers'] },
): Delivery {
  const { stored, handOvers } = known
  if (handOvers === 'counted' || !delivery.redelivered) return delivery
  const begun = stored !== undefined && hasBegun(stored, request.retries) ? stored.delivery : 1
  return { ...delivery, crashCount: Math.max(delivery.crashCount, Math.min(begun, quarantineFromCrashes - 1)) }
}

/** Whether a delivery is run, waits, or ends here. */
export function guard(delivery: Delivery, request: Request, facts: GuardFacts): Verdict {
  const outcome = refusal(delivery, request, facts)
  if (outcome !== undefined) return { kind: 'settle', outcome }
  if (request.etaAt !== undefined && request.etaAt > facts.now) return { kind: 'wait', dueAt: request.etaAt }
  const suspect = delivery.crashCount > 0
  return {
    kind: 'run',
    isolated: delivery.crashCount >= isolateFromCrashes,
    markStarted: suspect || facts.policy?.acksLate === false,
  }
}

/** Why it is not run, if it is not. */
function refusal(delivery: Delivery, request: Request, facts: GuardFacts): Outcome | undefined {
  const { stored, now, policy } = facts
  const overtaken = whyOvertaken(delivery, request, stored)
  if (overtaken !== undefined) return overtaken
  if (facts.revoked !== undefined) return Outcome.revoked('revoked')
  if (request.expiresAt !== undefined && request.expiresAt <= now) return Outcome.revoked('expired')
  if (policy === undefined) return unknownName(request)
  if (delivery.crashCount >= quarantineFromCrashes) return quarantined(request, delivery.crashCount)
  // early acknowledgement: whether it ran to its end is not known, and it may not run twice
  if (!policy.acksLate && stored !== undefined && hasBegun(stored, request.retries))
    return Outcome.failed(
      workerLost(`The worker that ran ${request.task} is gone; acksLate is false, so it is not run again`),
    )
  return undefined
}

/** Somebody else has ended it, or has it: not to be run here. */
export function whyOvertaken(
  delivery: Delivery,
  request: Request,
  stored: StoredState | undefined,
): Outcome | undefined {
  if (stored === undefined) return undefined
  // its last holder may have died before it published what follows; who has a second copy has nothing to do with that
  if (isClosed(stored, request.retries)) return Outcome.superseded(delivery.redelivered ? stored : undefined)
  return !delivery.redelivered && hasBegun(stored, request.retries) ? Outcome.superseded() : undefined
}

/** The task is at its end, or the attempt is. */
export function isClosed(stored: StoredState, retries: number): boolean {
  return (
    isReadyState(stored.state) || stored.retries > retries || (stored.state === 'RETRY' && stored.retries === retries)
  )
}

/** On a first hand-over: of another copy of the message, which is its holder's, and comes again should that one die. */
function hasBegun(stored: StoredState, retries: number): boolean {
  return stored.retries === retries && stateRank(stored.state) >= stateRank('STARTED')
}

/** Other give-backs do not count: it may have been handed over often to workers that know it. */
function unknownName(request: Request): Outcome {
  const { unknownCount = 0 } = request
  const delayMs = unknownNameDelaysMs[unknownCount]
  if (delayMs !== undefined) return Outcome.unknown(delayMs, unknownCount + 1)
  return Outcome.parked(`no worker on this queue knows the task ${request.task}`, {
    type: 'NotRegistered',
    module: 'celery.exceptions',
    message: request.task,
    retryable: true,
    note: `${unknownCount + 1} deliveries to workers that do not define it`,
  })
}

function quarantined(request: Request, crashes: number): Outcome {
  return Outcome.parked(
    `quarantined: ${crashes} workers died while they ran it`,
    workerLost(`${request.task} was running when ${crashes} workers died`),
  )
}

function workerLost(message: string): ErrorDocument {
  return { type: 'WorkerLostError', module: 'billiard.exceptions', message, retryable: false }
}

/** What `classify` is told besides the run's end. */
export interface ClassifyFacts {
  readonly now: number
  /** 0 ≤ random < 1 */
  readonly random: number
  readonly policy: TaskPolicy
  /** Its result is an argument of what is called next: it is kept, whoever asks for it. */
  readonly isPassedOn?: boolean | undefined
}

/** What a run's end means. */
export function classify(result: RunResult, request: Request, facts: ClassifyFacts): Outcome {
  switch (result.kind) {
    case 'returned':
      return Outcome.succeeded(keepsResult(request, facts) ? result.value : undefined)
    case 'threw':
      return afterError(result, request, facts)
    case 'unreadable':
      return Outcome.parked(`it cannot be read: ${result.error.message}`, result.error)
    case 'retry':
      return afterRetrySignal(result, request, facts)
    case 'ignored':
      // someone may be waiting: an ignored task has ended without an error, and without a value
      return Outcome.succeeded(undefined)
    case 'rejected':
      if (result.requeue) return Outcome.returned(1000)
      return Outcome.parked('rejected by the task', {
        type: 'Reject',
        module: 'celery.exceptions',
        message: 'rejected by the task',
        retryable: true,
      })
    case 'aborted':
      if (result.reason === 'shutdown')
        return result.began ? cutShort(request, facts.policy, false) : Outcome.returned()
      return result.reason === 'soft-time-limit' ? Outcome.failed(result.error) : Outcome.revoked(result.reason)
    case 'killed':
      return result.reason === 'terminated' ? Outcome.revoked('terminated') : Outcome.failed(result.error)
    case 'lost':
      if (!result.alone) return cutShort(request, facts.policy, result.suspect)
      return Outcome.parked('quarantined: it killed the process it ran in alone', result.error)
    default:
      return result satisfies never
  }
}

function keepsResult({ ignoreResult }: Request, { policy, isPassedOn }: ClassifyFacts): boolean {
  return isPassedOn === true || !(ignoreResult ?? policy.ignoreResult)
}

/** It had begun and was stopped, not by its own doing: another try, unless it may not run twice. */
function cutShort(request: Request, { acksLate }: TaskPolicy, crashed: boolean): Outcome {
  if (acksLate) return Outcome.returned(0, crashed)
  return Outcome.failed(workerLost(`${request.task} was cut short; acksLate is false, so it is not run again`))
}

function afterError(result: Extract<RunResult, { kind: 'threw' }>, request: Request, facts: ClassifyFacts): Outcome {
  const policy = facts.policy.retry
  const max = request.maxRetries ?? policy?.max ?? 0
  if (!result.wantsRetry || policy === undefined || request.retries >= max)
    return Outcome.failed({ ...result.error, note: retryNote(result.wantsRetry, request.retries, max) })
  return Outcome.retrying(result.error, facts.now + retryDelayMs(policy, request.retries, facts.random))
}

function retryNote(wanted: boolean, retries: number, max: number): string {
  if (!wanted) return 'not retried: this error cannot be helped by another try'
  return max === 0 ? 'no retry policy' : `${retries} of ${max} retries used`
}

function afterRetrySignal(
  result: Extract<RunResult, { kind: 'retry' }>,
  request: Request,
  facts: ClassifyFacts,
): Outcome {
  const policy = facts.policy.retry
  const max = result.maxRetries ?? request.maxRetries ?? policy?.max ?? explicitRetries
  if (request.retries >= max) return Outcome.failed(retriesUsed(result.error, request, max))
  const delayMs = result.countdownMs ?? retryDelayMs(policy ?? defaultRetry, request.retries, facts.random)
  return Outcome.retrying(result.error, facts.now + delayMs)
}

const defaultRetry: ResolvedRetryPolicy = {
  max: explicitRetries,
  backoff: 'exponential',
  delayMs: 1000,
  maxDelayMs: 600_000,
  jitter: false,
}

/** The cause when one was given, as Celery raises it; else MaxRetriesExceededError. */
function retriesUsed(error: ErrorDocument, request: Request, max: number): ErrorDocument {
  const note = `${request.retries} of ${max} retries used`
  if (error.type !== 'Retry') return { ...error, note }
  return {
    type: 'MaxRetriesExceededError',
    module: 'celery.exceptions',
    message: `Can't retry ${request.task}[${request.id}]: ${note}`,
    retryable: false,
    note,
  }
}
