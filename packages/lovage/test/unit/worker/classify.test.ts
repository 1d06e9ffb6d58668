import { describe, expect, it } from 'vitest'
import type { RunResult } from '../../../src/pools/pool.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { classify } from '../../../src/worker/decide.ts'
import { settlementFor } from '../../../src/worker/settlement.ts'
import { Outcome } from '../../../src/worker/outcome.ts'
import { at, delivery, policy, request, retrying } from './support.ts'

const error = { type: 'TypeError', message: 'boom', retryable: true }
const threw: RunResult = { kind: 'threw', error, wantsRetry: true }
const retry: RunResult = { kind: 'retry', error: { type: 'Retry', message: 'again', retryable: true } }

function classified(result: RunResult, change: { readonly request?: object; readonly policy?: object } = {}): Outcome {
  return classify(result, request(change.request), { now: at, random: 0.5, policy: policy(change.policy) })
}

describe('classify', () => {
  it('keeps what was returned, unless the result is ignored', () => {
    expect(classified({ kind: 'returned', value: '3' })).toEqual({ kind: 'succeeded', value: '3' })
    expect(classified({ kind: 'returned', value: '3' }, { policy: { ignoreResult: true } })).toEqual({
      kind: 'succeeded',
      value: undefined,
    })
    const kept = classified(
      { kind: 'returned', value: '3' },
      { policy: { ignoreResult: true }, request: { ignoreResult: false } },
    )
    expect(kept).toEqual({ kind: 'succeeded', value: '3' })
  })

  it('fails at once without a policy, and says so', () => {
    expect(classified(threw)).toEqual({ kind: 'failed', error: { ...error, note: 'no retry policy' } })
  })

  it('retries by the policy, until the retries are used', () => {
    expect(classified(threw, { policy: { retry: retrying } })).toMatchObject({ kind: 'retrying', dueAt: at + 1000 })
    expect(classified(threw, { policy: { retry: retrying }, request: { retries: 3 } })).toMatchObject({
      kind: 'failed',
      error: { type: 'TypeError', note: '3 of 3 retries used' },
    })
    expect(classified(threw, { policy: { retry: retrying }, request: { maxRetries: 0 } })).toMatchObject({
      kind: 'failed',
    })
  })

  it('never retries what another try cannot help', () => {
    const bad: RunResult = { kind: 'threw', error, wantsRetry: false }
    expect(classified(bad, { policy: { retry: retrying } })).toMatchObject({
      kind: 'failed',
      error: { note: expect.stringContaining('not retried') },
    })
  })

  it("gives an explicit retry Celery's three when there is no policy", () => {
    expect(classified(retry)).toMatchObject({ kind: 'retrying', dueAt: at + 1000 })
    expect(classified({ ...retry, countdownMs: 5 })).toMatchObject({ kind: 'retrying', dueAt: at + 5 })
    expect(classified(retry, { request: { retries: 3 } })).toMatchObject({
      kind: 'failed',
      error: { type: 'MaxRetriesExceededError' },
    })
  })

  it('fails with the cause of the last retry, when one was given', () => {
    const caused: RunResult = { kind: 'retry', error }
    expect(classified(caused, { request: { retries: 3 } })).toMatchObject({
      kind: 'failed',
      error: { type: 'TypeError' },
    })
  })

  it.each([
    [
      { kind: 'aborted', reason: 'revoked', began: true, error },
      { kind: 'revoked', reason: 'revoked' },
    ],
    [
      { kind: 'aborted', reason: 'terminated', began: true, error },
      { kind: 'revoked', reason: 'terminated' },
    ],
    [{ kind: 'aborted', reason: 'soft-time-limit', began: true, error }, { kind: 'failed' }],
    [
      { kind: 'aborted', reason: 'shutdown', began: true, error },
      { kind: 'returned', delayMs: 0, crashed: false },
    ],
    [
      { kind: 'killed', reason: 'terminated', error },
      { kind: 'revoked', reason: 'terminated' },
    ],
    [
      { kind: 'killed', reason: 'time-limit', error },
      { kind: 'failed', error },
    ],
    [
      { kind: 'lost', alone: false, suspect: false, error },
      { kind: 'returned', crashed: false },
    ],
    [
      { kind: 'lost', alone: false, suspect: true, error },
      { kind: 'returned', crashed: true },
    ],
    [{ kind: 'lost', alone: true, suspect: true, error }, { kind: 'parked' }],
    [
      { kind: 'unreadable', error },
      { kind: 'parked', reason: 'it cannot be read: boom', error },
    ],
    [{ kind: 'ignored' }, { kind: 'succeeded', value: undefined }],
    [
      { kind: 'rejected', requeue: true },
      { kind: 'returned', delayMs: 1000 },
    ],
    [
      { kind: 'rejected', requeue: false },
      { kind: 'parked', error: { type: 'Reject' } },
    ],
  ] satisfies [RunResult, object][])('makes of %o: %o', (result, outcome) => {
    expect(classified(result)).toMatchObject(outcome)
  })
})

it.each([
  { kind: 'aborted', reason: 'shutdown', began: true, error },
  { kind: 'lost', alone: false, suspect: false, error },
] satisfies RunResult[])('does not give an early-acknowledged task back: %o', result => {
  expect(classified(result, { policy: { acksLate: false } })).toMatchObject({
    kind: 'failed',
    error: { type: 'WorkerLostError' },
  })
})

it('gives an early-acknowledged task back that had not begun', () => {
  const result: RunResult = { kind: 'aborted', reason: 'shutdown', began: false, error }
  expect(classified(result, { policy: { acksLate: false } })).toMatchObject({ kind: 'returned' })
})

describe('settlementFor', () => {
  const facts = {
    now: at,
    seq: 7,
    startedAt: at - 5,
    wasShown: false,
    policy: policy({ resultExpiresMs: 60_000 }),
    facts: { name: 'core.tasks.add' },
    sender: { origin: 'gen1@here', queueOf: () => 'celery' },
  }
  const { message } = delivery()
  const headers = { id: 'id-1', task: 'core.tasks.add', retries: 0 }
  const subject = {
    delivery: delivery({ deliveryCount: 2, redelivered: true, message: { ...message, headers } }),
    request: request({ priority: 4 }),
    handOver: 2,
    workflow: undefined,
  }

  it('acknowledges an end with its record', () => {
    expect(settlementFor(Outcome.succeeded('3'), subject, facts)).toEqual({
      delivery: subject.delivery,
      disposition: { kind: 'ack' },
      record: {
        id: 'id-1',
        state: 'SUCCESS',
        value: '3',
        retries: 0,
        delivery: 2,
        seq: 7,
        at,
        startedAt: at - 5,
        keepMs: 60_000,
        facts: { name: 'core.tasks.add' },
      },
    })
  })

  it('publishes the next attempt of a retry, with the same id and one retry more', () => {
    const settlement = settlementFor(Outcome.retrying(error, at + 1000), subject, facts)
    expect(settlement).toMatchObject({
      disposition: { kind: 'ack' },
      record: { state: 'RETRY', retries: 0 },
      successors: [
        {
          id: 'id-1',
          queue: 'celery',
          priority: 4,
          notBefore: at + 1000,
          message: { headers: { retries: 1, eta: '2023-11-14T22:13:21+00:00' } },
        },
      ],
    })
    expect(JSON.parse(settlement.record?.value ?? '')).toEqual({ ...error, retryAt: at + 1000 })
  })

  it('makes what follows from the state that is stored, the same as the first time', () => {
    const first = settlementFor(Outcome.retrying(error, at + 1000), subject, facts)
    const closed = { ...first.record, facts: {} } as StoredState
    expect(settlementFor(Outcome.superseded(closed), subject, { ...facts, now: at + 9 })).toEqual({
      delivery: subject.delivery,
      disposition: { kind: 'ack' },
      record: undefined,
      successors: first.successors,
    })
    const later = { ...closed, retries: 1 }
    expect(settlementFor(Outcome.superseded(later), subject, facts).successors).toBeUndefined()
  })

  it('tells a foreign client what Celery would tell, unless nobody asks for it', () => {
    const asked = { ...subject, request: request({ replyTo: 'inbox', correlationId: 'c' }) }
    const told = (outcome: Outcome): unknown =>
      settlementFor(outcome, asked, facts).replies?.map(({ address, message: { properties, body } }) => [
        address,
        properties.correlationId,
        JSON.parse(String(body)),
      ])
    expect(told(Outcome.succeeded('3'))).toMatchObject([
      ['inbox', 'c', { status: 'SUCCESS', result: 3, task_id: 'id-1', date_done: '2023-11-14T22:13:20+00:00' }],
    ])
    expect(told(Outcome.retrying(error, at))).toMatchObject([['inbox', 'c', { status: 'RETRY', date_done: null }]])
    expect(told(Outcome.revoked('expired'))).toMatchObject([
      ['inbox', 'c', { status: 'REVOKED', result: { exc_type: 'TaskRevokedError', exc_message: ['expired'] } }],
    ])
    expect(told(Outcome.returned())).toBeUndefined()
    const { record } = settlementFor(Outcome.succeeded('3'), asked, facts)
    const closed = { ...record, facts: {} } as StoredState
    expect(told(Outcome.superseded(closed))).toHaveLength(1)
    expect(told(Outcome.superseded({ ...closed, retries: 1 }))).toBeUndefined()
    const ignored = { ...facts, policy: policy({ ignoreResult: true }) }
    expect(settlementFor(Outcome.succeeded('3'), asked, ignored).replies).toBeUndefined()
    expect(settlementFor(Outcome.succeeded('3'), subject, facts).replies).toBeUndefined()
  })

  it('parks once more what its last holder may not have parked', () => {
    const { record } = settlementFor(Outcome.parked('why', error), subject, facts)
    expect(settlementFor(Outcome.superseded({ ...record, facts: {} } as StoredState), subject, facts)).toMatchObject({
      disposition: { kind: 'park', reason: 'why' },
    })
  })

  it('records nothing for what is given back, and FAILURE for what is parked', () => {
    expect(settlementFor(Outcome.returned(5), subject, facts)).toMatchObject({
      disposition: { kind: 'requeue', delayMs: 5 },
      record: undefined,
    })
    expect(settlementFor(Outcome.returned(), subject, { ...facts, wasShown: true })).toMatchObject({
      record: { state: 'PENDING', retries: 0, delivery: 3 },
    })
    expect(settlementFor(Outcome.parked('why', error), subject, facts)).toMatchObject({
      disposition: { kind: 'park', reason: 'why' },
      record: { state: 'FAILURE' },
    })
    expect(settlementFor(Outcome.superseded(), subject, facts)).toMatchObject({
      disposition: { kind: 'ack' },
      record: undefined,
    })
    expect(settlementFor(Outcome.revoked('expired'), subject, facts)).toMatchObject({ record: { state: 'REVOKED' } })
  })
})
