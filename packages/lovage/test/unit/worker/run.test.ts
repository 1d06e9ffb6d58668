import { describe, expect, test } from 'vitest'
import { cameWithRecord, createRun, factsOf } from '../../../src/worker/run.ts'
import type { TaskMessage } from '../../../src/protocol/task-message.ts'

const message: TaskMessage = { id: 'a', task: 'add', retries: 0, rootId: 'a', correlationId: 'a', headers: {} }

function facts(change: Partial<TaskMessage>, factsAreKept = false): ReturnType<typeof factsOf> {
  const wire = { properties: { contentType: 'application/json', contentEncoding: 'utf-8' }, headers: {}, body: '' }
  const delivery = { token: 't', queue: 'q', message: wire, deliveryCount: 1, redelivered: false, crashCount: 0 }
  const request = { ...message, ...change }
  return factsOf(
    createRun({ delivery, request, task: undefined, workflow: undefined, receivedAt: 0, factsAreKept, runId: 1 }),
  )
}

describe('the facts of a run', () => {
  test('say a root and an address for the result only where they are somebody else’s', () => {
    expect(facts({})).toEqual({ name: 'add', queue: 'q' })
    expect(facts({ rootId: 'r', replyTo: 'inbox' })).toEqual({
      name: 'add',
      queue: 'q',
      rootId: 'r',
      replyTo: 'inbox',
      correlationId: 'a',
    })
  })

  test('are not said again when the sender wrote them', () => {
    expect(facts({}, true)).toBeUndefined()
  })
})

test.each([
  ['one of Python’s', {}, false],
  ['one of ours', { queuedAt: 1 }, true],
  ['one of ours that nobody asks for', { queuedAt: 1, ignoreResult: true }, false],
])('%s came with a record: %#', (_whose, change, expected) => {
  expect(cameWithRecord({ ...message, ...change })).toBe(expected)
})
