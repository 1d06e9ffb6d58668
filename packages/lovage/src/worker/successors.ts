/**
 * What follows from an attempt that is over: its next attempt, what was linked to it, the rest of its chain. Made of
 * the delivery and of the state that is stored and nothing else, so that whoever finds it closed publishes the same,
 * under the same ids. Pure.
 */
import type { Publication } from '../broker.ts'
import type { ErrorDocument, StateRecord } from '../core/record.ts'
import { retryMessage } from '../protocol/task-message.ts'
import { callsOnFailure, callsOnSuccess, idsInChain, type Call, type Caller } from '../protocol/workflow.ts'
import type { Subject } from './settlement.ts'

/** An attempt as its record closes it. */
export type Closed = Pick<StateRecord, 'state' | 'retries' | 'value' | 'at'>

/** What is to be known of those who send. */
export interface Sender {
  /** `gen4711@host` */
  readonly origin: string
  /** The queue of a task, when its call names none. */
  readonly queueOf: (taskName: string) => string
}

/** Nothing follows from what belongs to another attempt: its own delivery sees to that. */
export function successorsOf(closed: Closed, subject: Subject, sender: Sender): readonly Publication[] {
  if (closed.retries !== subject.request.retries) return []
  if (closed.state === 'RETRY') return [nextAttempt(closed, subject)]
  return callsAfter(closed, subject, sender).map(({ message, wire, queue }) => ({
    id: message.id,
    queue: queue ?? sender.queueOf(message.task),
    message: wire,
    priority: message.priority,
    notBefore: message.etaAt,
  }))
}

function nextAttempt(closed: Closed, { delivery, request }: Subject): Publication {
  const dueAt = errorIn(closed)?.retryAt ?? closed.at
  return {
    id: request.id,
    queue: delivery.queue,
    message: retryMessage(delivery.message, { retries: request.retries + 1, etaAt: dueAt }),
    priority: request.priority,
    notBefore: dueAt,
  }
}

function callsAfter(closed: Closed, { request, workflow }: Subject, { origin }: Sender): readonly Call[] {
  if (workflow === undefined) return []
  const caller: Caller = { id: request.id, rootId: request.rootId ?? request.id, endedAt: closed.at, origin }
  if (closed.state === 'FAILURE') return callsOnFailure(workflow, caller)
  // without a value it was ignored, and nothing follows, as in Celery
  return closed.state === 'SUCCESS' && closed.value !== undefined ? callsOnSuccess(workflow, closed.value, caller) : []
}

/** Records of those that will not be called any more, because this one has not succeeded: somebody waits for the last of them. */
export function endedWith(closed: Closed, { request, workflow }: Subject): readonly StateRecord[] {
  const isEnd = closed.state === 'FAILURE' || closed.state === 'REVOKED'
  if (!isEnd || workflow === undefined || closed.retries !== request.retries) return []
  const { state, value, at } = closed
  return idsInChain(workflow).map(({ id, name, replyTo }) => ({
    id,
    state,
    retries: 0,
    delivery: 0,
    seq: 0,
    at,
    value,
    facts: { name, rootId: request.rootId, replyTo, correlationId: replyTo === undefined ? undefined : id },
  }))
}

/** What was thrown, as its record says; undefined: nobody of ours wrote it. */
export function errorIn({ value }: Pick<Closed, 'value'>): Partial<ErrorDocument> | undefined {
  try {
    const document: unknown = JSON.parse(value ?? 'null')
    return typeof document === 'object' && document !== null ? document : undefined
  } catch {
    return undefined
  }
}
