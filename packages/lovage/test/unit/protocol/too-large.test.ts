import { expect, it } from 'vitest'
import { withoutValue } from '../../../src/protocol/too-large.ts'

const version = { id: 'task', retries: 0, delivery: 1, seq: 1, at: 0 }

it('makes a failure that says why of an end whose value is too large', () => {
  const { state, value } = withoutValue({ ...version, state: 'SUCCESS', value: '"x"' }, 'it takes 20 bytes')
  expect(state).toBe('FAILURE')
  expect(JSON.parse(value ?? '')).toEqual({
    type: 'MessageTooLargeError',
    message: 'The task ended in SUCCESS, but it takes 20 bytes. Return a reference to the data',
    retryable: false,
  })
})

it('drops the value of a state that passes', () => {
  const record = { ...version, state: 'PROGRESS', value: '{"current":1}' } as const
  expect(withoutValue(record, 'it takes 20 bytes')).toEqual({ ...version, state: 'PROGRESS' })
})
