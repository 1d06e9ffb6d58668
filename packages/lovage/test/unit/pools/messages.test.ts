import { expect, test } from 'vitest'
import { AppLoadError, ConfigurationError, LovageError, StorageError } from '../../../src/core/errors.ts'
import { reviveError, serializeError } from '../../../src/pools/messages.ts'

const travel = (thrown: unknown): Error => reviveError(structuredClone(serializeError(thrown)))

test('an error of ours is of its class on the other side, with its fields and its cause', () => {
  const cause = new TypeError('inner')
  const error = new StorageError('disk full', { reason: 'full', details: { path: '/q.db', f: () => 1 }, cause })
  const revived = travel(error)
  expect(revived instanceof StorageError && revived instanceof LovageError).toBe(true)
  expect(revived instanceof AppLoadError).toBe(false)
  expect(revived).toMatchObject({
    name: 'StorageError',
    code: 'E_STORAGE',
    reason: 'full',
    retryable: true,
    details: { path: '/q.db' },
  })
  expect(revived.stack).toBe(error.stack)
  expect(revived.cause).toMatchObject({ name: 'TypeError', message: 'inner' })
})

test('a foreign error keeps name, message and plain fields', () => {
  const circular: { self?: unknown } = {}
  circular.self = circular
  const revived = travel(Object.assign(new RangeError('far'), { errno: -2, circular, code: 'ENOENT' }))
  expect(revived).toMatchObject({ name: 'RangeError', message: 'far', errno: -2, code: 'ENOENT' })
  expect(revived instanceof LovageError).toBe(false)
  expect(revived).not.toHaveProperty('circular')
})

test('what is no error becomes one, and a ring of causes ends', () => {
  expect(travel('just text').message).toBe('just text')
  const ring = new ConfigurationError('ring')
  Object.defineProperty(ring, 'cause', { value: ring })
  expect(travel(ring)).toMatchObject({ message: 'ring', cause: { message: 'ring' } })
})
