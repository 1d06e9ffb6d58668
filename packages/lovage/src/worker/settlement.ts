/**
 * What is written for an outcome: its record, what follows from it, and what becomes of the delivery. Pure.
 */
import type { Delivery, Disposition, Reply, Settlement } from '../broker.ts'
import type { StateRecord, StoredState, TaskFacts } from '../core/record.ts'
import type { Request, TaskPolicy } from './decide.ts'
import type { Outcome } from './outcome.ts'
import type { Workflow } from '../protocol/workflow.ts'
import { repliesTo, replyAddress } from './replies.ts'
import { endedWith, errorIn, successorsOf, type Sender } from './successors.ts'

/** What is settled. */
export interface Subject {
  readonly delivery: Delivery
  readonly request: Request
  /** Which hand-over of the message it is. */
  readonly handOver: number
  /** What is called when it has ended. */
  readonly workflow: Workflow | undefined
}

/** What `settlementFor` is told besides the outcome. */
export interface SettleFacts {
  readonly now: number
  /** From the monotonic clock; above every seq this delivery used before. */
  readonly seq: number
  readonly startedAt: number | undefined
  /** Somebody may have seen it run: a state of this delivery was written. */
  readonly wasShown: boolean
  readonly policy: TaskPolicy | undefined
  /** Undefined: they are kept already. */
  readonly facts: TaskFacts | undefined
  readonly sender: Sender
}

/** The one settlement an outcome leads to. */
export function settlementFor(outcome: Outcome, subject: Subject, facts: SettleFacts): Settlement {
  const record = recordOf(outcome, subject, facts)
  const closed = outcome.kind === 'superseded' ? outcome.by : record
  const ended = closed === undefined ? [] : endedWith(closed, subject)
  return {
    delivery: subject.delivery,
    disposition: dispositionOf(outcome),
    record,
    successors: closed && unlessEmpty(successorsOf(closed, subject, facts.sender)),
    ended: unlessEmpty(ended),
    replies: closed && unlessEmpty([...repliesOf(closed, subject, facts), ...ended.flatMap(repliesToWaiting)]),
  }
}

/** Of what was found closed, too: its last holder may have died before it told. Nothing of what another attempt will tell. */
function repliesOf(closed: StateRecord, { request }: Subject, { policy }: SettleFacts): readonly Reply[] {
  if (closed.retries !== request.retries) return []
  return repliesTo(replyAddress(request, policy), closed, request.correlationId)
}

function repliesToWaiting(record: StateRecord): readonly Reply[] {
  return repliesTo(record.facts?.replyTo, record)
}

function unlessEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}

export function dispositionOf(outcome: Outcome): Disposition {
  switch (outcome.kind) {
    case 'returned':
      return { kind: 'requeue', delayMs: outcome.delayMs, crashed: outcome.crashed, headers: outcome.headers }
    case 'parked':
      return { kind: 'park', reason: outcome.reason }
    case 'succeeded':
    case 'failed':
    case 'retrying':
    case 'revoked':
      return { kind: 'ack' }
    case 'superseded':
      return dispositionOfClosed(outcome.by)
    default:
      return outcome satisfies never
  }
}

/** Its last holder may have died before it was among the dead letters. */
function dispositionOfClosed(closed: StoredState | undefined): Disposition {
  const parked = closed?.state === 'FAILURE' ? errorIn(closed)?.parked : undefined
  return parked === undefined ? { kind: 'ack' } : { kind: 'park', reason: parked }
}

function recordOf(outcome: Outcome, { request, handOver }: Subject, facts: SettleFacts): StateRecord | undefined {
  const base = {
    id: request.id,
    retries: request.retries,
    delivery: handOver,
    seq: facts.seq,
    at: facts.now,
    startedAt: facts.startedAt,
    keepMs: facts.policy?.resultExpiresMs,
    facts: facts.facts,
  }
  switch (outcome.kind) {
    case 'succeeded':
      return { ...base, state: 'SUCCESS', value: outcome.value }
    case 'failed':
    case 'parked':
      return { ...base, state: 'FAILURE', value: JSON.stringify(outcome.error) }
    case 'retrying':
      return { ...base, state: 'RETRY', value: JSON.stringify(outcome.error) }
    case 'revoked':
      return { ...base, state: 'REVOKED', value: JSON.stringify(outcome.error) }
    case 'returned':
      // it waits again: shown as the first state of the next hand-over, which is above all of this one's
      return facts.wasShown
        ? { ...base, state: 'PENDING', delivery: base.delivery + 1, startedAt: undefined }
        : undefined
    case 'superseded':
      return undefined
    default:
      return outcome satisfies never
  }
}
