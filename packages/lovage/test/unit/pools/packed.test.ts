import { describe, expect, test } from 'vitest'
import { packEnds, packRuns, unpackEnds, unpackRuns } from '../../../src/pools/packed.ts'
import type { RunEnd } from '../../../src/pools/messages.ts'
import type { RunRequest } from '../../../src/pools/pool.ts'
import { request } from '../../fixtures/pools/pool-kit.ts'

/** As the other side has it. */
function travel(...requests: RunRequest[]): RunRequest[] {
  const claimed = unpackRuns(structuredClone(packRuns(requests.map((each, claim) => ({ request: each, claim })))))
  expect(claimed.map(({ claim }) => claim)).toEqual(requests.map((_, claim) => claim))
  return claimed.map(each => each.request)
}

const gzip = { contentType: 'text/plain', contentEncoding: 'binary' }

describe('runs', () => {
  test('arrive in their order, each with its own', () => {
    const runs = [request('a', 1), request('b', 'ü'), request('c', null, { redelivered: true })]
    expect(travel(...runs)).toEqual(runs)
  })

  test.each<[string, Partial<RunRequest>]>([
    ['limits', { softLimitMs: 1, hardLimitMs: 2 }],
    ['a process of its own', { isolated: true }],
    ['a number of retries', { details: { retries: 3, rootId: 'id', headers: {} } }],
    ['a parent', { details: { retries: 0, rootId: 'root', parentId: 'parent', headers: {} } }],
    ['times', { details: { retries: 0, rootId: 'id', etaAt: 1, expiresAt: 2, headers: {} } }],
    ['custom headers', { details: { retries: 0, rootId: 'id', headers: { trace: ['x'] } } }],
    [
      'a body of bytes in another encoding',
      { message: { properties: gzip, headers: { compression: 'gzip' }, body: new Uint8Array([1]) } },
    ],
  ])('keep %s', (_what, more) => {
    const [run] = travel(request('a'), request('b', null, { id: 'id', ...more })).slice(1)
    expect(run).toMatchObject({
      ...more,
      ...(more.message && { message: { ...more.message, properties: { contentType: 'text/plain' } } }),
    })
  })

  test('leave behind what else the details hold', () => {
    const details = { retries: 1, rootId: 'r', headers: {}, unclonable: () => undefined }
    expect(travel(request('a', null, { details }))[0]?.details).toEqual({ retries: 1, rootId: 'r', headers: {} })
  })

  test('leave headers behind that no decoding asks for', () => {
    const message = { ...request('a').message, headers: { task: 'a', argsrepr: '()' } }
    expect(travel(request('a', null, { message }))[0]?.message.headers).toEqual({})
  })
})

test('ends arrive in their order, whatever they are', () => {
  const error = { type: 'TypeError', message: 'no', retryable: true }
  const ends: RunEnd[] = [
    { runId: 3, result: { kind: 'returned', value: '[1]' } },
    { runId: 1, result: { kind: 'threw', error, wantsRetry: false } },
    { runId: 2, result: { kind: 'ignored' } },
    { runId: 4, result: { kind: 'returned', value: '' } },
  ]
  expect(unpackEnds(structuredClone(packEnds(ends)))).toEqual(ends)
})
