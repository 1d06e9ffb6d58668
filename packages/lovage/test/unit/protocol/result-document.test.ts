import { describe, expect, it } from 'vitest'
import type { StoredState } from '../../../src/core/record.ts'
import { DecodeError } from '../../../src/core/errors.ts'
import { decodeJson, encodeJson } from '../../../src/protocol/json.ts'
import { fromResultDocument, toResultDocument } from '../../../src/protocol/result-document.ts'

const at = Date.UTC(2026, 10, 22, 6)
const running: StoredState = {
  id: 'a1',
  state: 'PROGRESS',
  retries: 2,
  delivery: 3,
  seq: 4.5,
  at,
  startedAt: at - 10,
  value: '{"current":1,"total":2}',
  facts: { name: 't', queue: 'q', parentId: 'p1', owner: 'u1', tags: ['x'] },
}
const error = { type: 'TypeError', message: 'boom', traceback: 'TypeError: boom\n  at x', retryable: true }

describe('a result document of ours', () => {
  it.each<[string, StoredState]>([
    ['a running task', running],
    ['a final one', { ...running, state: 'SUCCESS', value: '[1]', readyAt: at }],
    ['a failed one', { ...running, state: 'FAILURE', value: encodeJson(error), readyAt: at }],
    [
      'a failed one without a stack',
      { ...running, state: 'FAILURE', value: '{"type":"E","message":"","retryable":false}', readyAt: at },
    ],
    ['a retried one', { ...running, state: 'RETRY', value: encodeJson({ ...error, retryAt: at }) }],
  ])('keeps all of %s', (_what, state) => {
    const again = fromResultDocument(toResultDocument(state))
    expect({ ...again, value: decodeJson(again.value ?? '') }).toEqual({
      ...state,
      value: decodeJson(state.value ?? ''),
    })
  })

  it('has the fields Celery reads', () => {
    const text = toResultDocument({ ...running, state: 'FAILURE', value: encodeJson(error), readyAt: at })
    expect(decodeJson(text)).toMatchObject({
      status: 'FAILURE',
      result: { exc_type: 'TypeError', exc_message: ['boom'], exc_module: 'builtins' },
      traceback: error.traceback,
      children: [],
      date_done: '2026-11-22T06:00:00+00:00',
      task_id: 'a1',
      parent_id: 'p1',
      name: 't',
      queue: 'q',
    })
  })

  it('is written for a state without a value, and for a final one that has no date', () => {
    const { value: _value, startedAt: _startedAt, ...bare } = running
    expect(decodeJson(toResultDocument(bare))).toMatchObject({ result: null, date_done: null })
    expect(decodeJson(toResultDocument({ ...bare, state: 'FAILURE' }))).toMatchObject({
      result: null,
      date_done: '2026-11-22T06:00:00+00:00',
    })
  })
})

describe('a result document of Celery', () => {
  it('tells what it can', () => {
    const text =
      '{"status": "SUCCESS", "result": [NaN, {"a": Infinity}], "task_id": "a1", "retries": 2, "date_done": "2026-11-22T06:00:00", "name": "t", "queue": "q", "parent_id": "p"}'
    expect(fromResultDocument(text)).toEqual({
      id: 'a1',
      state: 'SUCCESS',
      retries: 2,
      delivery: 0,
      seq: 0,
      at,
      readyAt: at,
      value: '[null,{"a":null}]',
      facts: { name: 't', queue: 'q', parentId: 'p' },
    })
  })

  it('keeps typed values', () => {
    const text =
      '{"status": "SUCCESS", "result": {"__type__": "decimal", "__value__": "1.50"}, "task_id": "a1", "lovage": 7}'
    expect(fromResultDocument(text)).toMatchObject({
      value: '{"__type__":"decimal","__value__":"1.50"}',
      at: 0,
      facts: {},
    })
  })

  it.each(['[]', '{}', '{"status": "SUCCESS"}', '{"task_id": "a"}', 'null', '{'])('is not %s', text => {
    expect(() => fromResultDocument(text)).toThrow(DecodeError)
  })
})
