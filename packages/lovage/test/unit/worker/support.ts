/** What the worker's unit tests build on: one delivery, one request, one policy, each with a change. */
import { joinBackend } from '../../../src/backend.ts'
import type { Backend } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import type { Pool, RunResult } from '../../../src/pools/pool.ts'
import { encodeTask } from '../../../src/protocol/task-message.ts'
import type { GuardFacts, Request, TaskPolicy } from '../../../src/worker/decide.ts'
import { Executor } from '../../../src/worker/executor.ts'
import type { ExecutorOptions } from '../../../src/worker/executor.ts'

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

/** A delivery of the task `test.task`, under its id as token. */
export function handOver(id: string, change: Partial<Delivery> = {}): Delivery {
  const message = encodeTask({ id, task: 'test.task', retries: 0, rootId: id, headers: {} }, '[[],{},{}]')
  return delivery({ token: id, message, ...change })
}

/** What a pool was given, by task id, and how to end it. */
export type Began = Map<string, (result: RunResult) => void>

export function heldPool(slots: number, began: Began): Pool {
  return {
    capabilities: { killable: true },
    start: () => Promise.resolve(),
    run: ({ id }) => new Promise(resolve => began.set(id, resolve)),
    abort: () => undefined,
    takeBack: () => undefined,
    stats: () => ({ slots, running: began.size }),
    stop: () => Promise.resolve(),
  }
}

/** An open one, of this process alone. */
export async function memoryBackend(name: string): Promise<Backend> {
  const connection = openMemory(new URL(`memory://${name}`), {}, new Map())
  const backend = joinBackend(connection, connection)
  await backend.open()
  return backend
}

export function executorOn(
  parts: Pick<ExecutorOptions, 'backend' | 'pool' | 'slots'> & Partial<ExecutorOptions>,
): Executor {
  return new Executor({
    clock: systemClock,
    random: Math.random,
    startedValue: '{}',
    findTask: () => ({ policy: policy(), softTimeLimitMs: undefined, timeLimitMs: undefined }),
    sender: { origin: 'gen1@here', queueOf: () => 'celery' },
    isRevoked: () => undefined,
    onPrefetch: () => undefined,
    events: {},
    ...parts,
  })
}
