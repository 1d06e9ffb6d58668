import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  InvalidArgumentError,
  MaxRetriesExceededError,
  TaskNotRegisteredError,
  TimeLimitExceeded,
  WorkerLostError,
} from '../../../src/core/errors.ts'
import {
  errorDocument,
  exceptionRepr,
  fromCeleryException,
  toCeleryException,
} from '../../../src/protocol/exceptions.ts'

class PaymentError extends Error {}

describe('errorDocument', () => {
  it.each<[unknown, string, string]>([
    [new TypeError('boom'), 'TypeError', 'boom'],
    [new PaymentError('declined'), 'PaymentError', 'declined'],
    [new WorkerLostError('gone'), 'WorkerLostError', 'gone'],
    ['just text', 'Error', 'just text'],
    [{ name: 'Odd', message: 'shape' }, 'Odd', 'shape'],
    [undefined, 'Error', 'A value that is no Error was thrown: undefined'],
    [Object.assign(new Error('x'), { name: '' }), 'Error', 'x'],
  ])('of %s tells type and message', (thrown, type, message) => {
    expect(errorDocument(thrown)).toMatchObject({ type, message, retryable: true })
  })

  it('says what a retry cannot help', () => {
    expect(errorDocument(new InvalidArgumentError('x')).retryable).toBe(false)
    expect(errorDocument(new MaxRetriesExceededError('x')).retryable).toBe(false)
    expect(errorDocument(new TimeLimitExceeded('x')).retryable).toBe(true)
    expect(errorDocument(new Error('x'), { retryable: false, retryAt: 5, reason: 'expired' })).toMatchObject({
      retryable: false,
      retryAt: 5,
      reason: 'expired',
    })
  })

  it('has the stacks of the causes, and ends when they go in a circle', () => {
    const inner = new RangeError('inner')
    const outer = new Error('outer', { cause: inner })
    inner.cause = outer
    const { traceback } = errorDocument(outer)
    expect(traceback).toMatch(/^Error: outer\n +at .*exceptions\.test\.ts/)
    expect(traceback).toContain('[cause]: RangeError: inner')
    expect(traceback?.split('[cause]')).toHaveLength(8)
  })

  it('cuts a long message and a long stack between characters, and says so', () => {
    const error = new Error('ü'.repeat(10_000))
    error.stack = '😀'.repeat(50_000)
    const { message, traceback = '' } = errorDocument(error)
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8 * 1024)
    expect(message).toMatch(/^ü+… \[cut at 8192 bytes\]$/)
    expect(Buffer.byteLength(traceback)).toBeLessThanOrEqual(64 * 1024)
    expect(traceback).toMatch(/^(?:😀)+… \[cut at 65536 bytes\]$/u)
  })

  it('hides secrets', () => {
    const { message, traceback } = errorDocument(new Error('no route to amqp://guest:s3cret@host'))
    expect(message).toBe('no route to amqp://guest:***@host')
    expect(traceback).not.toContain('s3cret')
  })

  it('survives errors that cannot be read', () => {
    const hostile = new Error('x')
    const explode = {
      get: () => {
        throw new Error('no')
      },
    }
    for (const name of ['message', 'stack', 'name']) Object.defineProperty(hostile, name, explode)
    expect(errorDocument(hostile)).toEqual({ type: 'Error', message: '', retryable: true })
    const proxy = new Proxy({}, { getPrototypeOf: explode.get, get: explode.get, has: explode.get })
    expect(errorDocument(proxy).message).toMatch(/cannot be read/)
  })

  it('has no traceback where there is no stack', () => {
    const error = new Error('x')
    error.stack = ''
    expect(errorDocument(error)).not.toHaveProperty('traceback')
    delete error.stack
    expect(errorDocument(error).traceback).toBe('Error: x')
  })
})

describe('toCeleryException', () => {
  it.each([
    ['ValueError', 'ValueError', 'builtins'],
    ['TypeError', 'TypeError', 'builtins'],
    ['RangeError', 'RangeError', 'lovage'],
    ['PaymentError', 'PaymentError', 'lovage'],
    ['TaskRevokedError', 'TaskRevokedError', 'celery.exceptions'],
    ['MaxRetriesExceededError', 'MaxRetriesExceededError', 'celery.exceptions'],
    ['TimeLimitExceeded', 'TimeLimitExceeded', 'billiard.exceptions'],
    ['SoftTimeLimitExceeded', 'SoftTimeLimitExceeded', 'billiard.exceptions'],
    ['WorkerLostError', 'WorkerLostError', 'billiard.exceptions'],
    ['DecodeError', 'DecodeError', 'kombu.exceptions'],
    ['ContentDisallowedError', 'ContentDisallowed', 'kombu.exceptions'],
    ['TaskNotRegisteredError', 'NotRegistered', 'celery.exceptions'],
    ['not a name', 'Error', 'lovage'],
    ['a.b..c', 'Error', 'lovage'],
    ['toString', 'toString', 'lovage'],
  ])('names %s as Python knows it', (type, exc_type, exc_module) => {
    expect(toCeleryException({ type, message: 'm', retryable: true })).toEqual({
      exc_type,
      exc_message: ['m'],
      exc_module,
    })
  })

  it('keeps a module that came from Python', () => {
    const document = { type: 'Declined', module: 'shop.errors', message: '', retryable: true }
    expect(toCeleryException(document)).toEqual({ exc_type: 'Declined', exc_message: [], exc_module: 'shop.errors' })
  })

  it('comes back as it was', () => {
    const { traceback, ...document } = errorDocument(new PaymentError('declined'))
    expect(fromCeleryException(toCeleryException(document), traceback)).toEqual({ ...document, traceback })
    expect(
      fromCeleryException(toCeleryException(errorDocument(new TaskNotRegisteredError('no such task')))),
    ).toMatchObject({
      type: 'NotRegistered',
      retryable: false,
    })
  })
})

describe('fromCeleryException', () => {
  it.each<[unknown, object]>([
    [
      { exc_type: 'KeyError', exc_message: ['k'], exc_module: 'builtins' },
      { type: 'KeyError', message: "'k'", module: 'builtins' },
    ],
    [{ exc_type: 'ValueError', exc_message: ['boom', 42] }, { message: "('boom', 42)" }],
    [{ exc_type: 'ValueError', exc_message: [] }, { message: '' }],
    [{ exc_type: 'ValueError', exc_message: [{ a: null }] }, { message: "{'a': None}" }],
    [{ exc_type: 'ValueError', exc_message: 'text' }, { message: 'text' }],
    [{ exc_type: 'ValueError' }, { message: 'None' }],
    [
      { exc_type: 'TaskRevokedError', exc_message: ['expired'] },
      { reason: 'expired', retryable: false },
    ],
    [
      { exc_type: 'system', exc_module: 'os', exc_message: 'rm -rf /' },
      { type: 'system', module: 'os', message: 'rm -rf /' },
    ],
    [null, { type: 'Exception', message: 'null' }],
    ['boom', { type: 'Exception', message: '"boom"' }],
    [[1], { type: 'Exception', message: '[1]' }],
  ])('tells %j', (value, document) => expect(fromCeleryException(value)).toMatchObject(document))

  it('throws for nothing at all', () => {
    fc.assert(
      fc.property(fc.anything(), value => {
        expect(fromCeleryException(value).type).toBeTypeOf('string')
      }),
    )
    fc.assert(
      fc.property(fc.array(fc.anything()), args => {
        expect(fromCeleryException({ exc_type: 'E', exc_message: args }).type).toBe('E')
      }),
    )
  })
})

it('an exception is shown as Python shows it', () => {
  expect(exceptionRepr({ type: 'ValueError', message: 'boom', retryable: true })).toBe("ValueError('boom')")
  expect(exceptionRepr({ type: 'ValueError', message: '', retryable: true })).toBe('ValueError()')
})
