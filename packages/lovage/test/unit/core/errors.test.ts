import { describe, expect, it } from 'vitest'
import * as errors from '../../../src/core/errors.ts'
import { coerceError, describe as describeValue, LovageError, errorPage } from '../../../src/core/errors.ts'

describe('errors', () => {
  it('have a name, a code, a cause and details', () => {
    const cause = new Error('socket')
    const error = new errors.BrokerConnectionError('no broker', { cause, details: { host: 'h' } })
    expect(error).toMatchObject({ name: 'BrokerConnectionError', code: 'E_BROKER_CONNECTION', retryable: true })
    expect(error.cause).toBe(cause)
    expect(error.details).toEqual({ host: 'h' })
    expect(new LovageError('x')).toMatchObject({ code: 'E_LOVAGE', retryable: false, details: {} })
    expect('cause' in new LovageError('x')).toBe(false)
  })

  it('are known by their brand, so that copies of the package know each other', () => {
    const copy = Object.defineProperty(new Error('from another copy'), Symbol.for('lovage.error'), {
      value: 'E_DECODE',
    })
    expect(copy).toBeInstanceOf(LovageError)
    expect(copy).toBeInstanceOf(errors.DecodeError)
    expect(copy).not.toBeInstanceOf(errors.EncodeError)
    for (const value of [null, undefined, 7, {}, new Error('x')]) expect(value instanceof LovageError).toBe(false)
  })

  it('of a user’s own classes are told apart', () => {
    class BadInput extends errors.PublicError {}
    class Worse extends BadInput {}
    const [bad, worse, plain] = [new BadInput('x'), new Worse('x'), new errors.PublicError('x')]
    expect([bad, worse, plain].map(error => error instanceof BadInput)).toEqual([true, true, false])
    expect([bad, worse, plain].map(error => error instanceof Worse)).toEqual([false, true, false])
    expect([bad, worse, plain].map(error => error instanceof errors.PublicError)).toEqual([true, true, true])
    expect(worse).toBeInstanceOf(LovageError)
  })

  it('tell what belongs to their kind', () => {
    expect(new errors.PublishError('x', { accepted: 'unknown' })).toMatchObject({
      accepted: 'unknown',
      acceptedIds: [],
      rejectedIds: [],
    })
    expect(new errors.InvalidArgumentError('x').issues).toEqual([])
    expect(new errors.StorageError('x', { reason: 'busy' }).retryable).toBe(true)
    expect(new errors.StorageError('x', { reason: 'full' }).retryable).toBe(true)
    expect(new errors.StorageError('x', { reason: 'corrupt' }).retryable).toBe(false)
    expect(new errors.TaskRevokedError('x', { taskId: 'a' }).taskId).toBe('a')
    expect(new errors.ResultTimeoutError('x', { taskId: 'a', known: false })).toMatchObject({
      taskId: 'a',
      known: false,
    })
    const failed = new errors.TaskFailedError('x', { taskId: 'a', remoteType: 'ValueError', remoteMessage: 'boom' })
    expect(failed).toMatchObject({ remoteType: 'ValueError', remoteMessage: 'boom', remoteTraceback: undefined })
  })

  const plain = Object.entries(errors.errorRegistry).filter(
    ([code]) => !/PUBLISH|STORAGE|TASK_FAILED|TASK_REVOKED|RESULT_TIMEOUT/.test(code),
  )

  it.each(plain)('%s is what the registry says', (code, entry) => {
    // oxlint-disable-next-line import/namespace -- the registry names them
    const type = errors[entry.class as keyof typeof errors] as unknown as new (message: string) => LovageError
    expect(new type('m')).toMatchObject({ code, name: entry.class, message: 'm', retryable: entry.retryable })
    expect(new type('m')).toBeInstanceOf(type)
  })

  it('have a page', () => expect(errorPage('E_DECODE')).toBe('lovage/docs/errors.md#e_decode'))
})

describe('coerceError', () => {
  it('leaves an Error as it is', () => {
    const error = new TypeError('x')
    expect(coerceError(error)).toBe(error)
  })

  it.each<[unknown, string, string]>([
    ['text', 'Error', 'text'],
    [{ message: 'm', name: 'N' }, 'N', 'm'],
    [{ message: 'm' }, 'Error', 'm'],
    [{ message: 7 }, 'Error', 'A value that is no Error was thrown: {"message":7}'],
    [null, 'Error', 'A value that is no Error was thrown: null'],
  ])('makes one of %j', (thrown, name, message) => expect(coerceError(thrown)).toMatchObject({ name, message }))
})

describe('a value in a message', () => {
  const circle: { self?: unknown } = {}
  circle.self = circle

  it.each<[unknown, string]>([
    ['a', '"a"'],
    [1n, '1n'],
    [Number.NaN, 'NaN'],
    [-Infinity, '-Infinity'],
    [new Date('never'), 'Invalid Date'],
    [undefined, 'undefined'],
    [Math.max, 'function max'],
    [circle, '[object Object]'],
    ['x'.repeat(100), `"${'x'.repeat(78)}…`],
  ])('shows %s', (value, text) => expect(describeValue(value)).toBe(text))
})
