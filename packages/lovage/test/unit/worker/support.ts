/** What the worker's unit tests build on: one delivery, one request, one policy, each with a change. */
import type { Delivery } from '../../../src/broker.ts'
import type { StoredState } from '../../../src/core/record.ts'
import type { GuardFacts, Request, TaskPolicy } from '../../../src/worker/decide.ts'

export const at = 1_700_000_000_000

export function delivery(change: Partial<Delivery> = {}): Delivery {
  const message = { properties: { contentType: 'application/json', contentEncoding: 'utf-8' }, headers: {}, body: '[]' }
  return { token: 't1', queue: 'celery', message, deliveryCount: 1, redelivered: false, crashCount: 0, ...change }
}

export function request(change: Partial<Request> = {}): Request {
  return { id: 'id-1', task: 'core.tasks.add', retries: 0, ...change }
}

export const retrying = { max: 3, backoff: 'fixed', delayMs: 1000, maxDelayMs: 60_000, jitter: false } as const

export function policy(change: Partial<TaskPolicy> = {}): TaskPolicy {
  return { retry: undefined, acksLate: true, ignoreResult: false, resultExpiresMs: undefined, ...change }
}

export function guardFacts(change: Partial<GuardFacts> = {}): GuardFacts {
  return { now: at, policy: policy(), revoked: undefined, stored: undefined, ...change }
}

export function stored(change: Partial<StoredState> = {}): StoredState {
  return { id: 'id-1', state: 'STARTED', retries: 0, delivery: 1, seq: 1, at, facts: {}, ...change }
}
