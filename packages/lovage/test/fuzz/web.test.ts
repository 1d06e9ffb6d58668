import fc from 'fast-check'
import { expect, vi } from 'vitest'
import { isReadyState } from '../../src/core/states.ts'
import { checkHandle, signHandle, toHandleKeys } from '../../src/web/handles.ts'
import type { HandlePayload } from '../../src/web/contract.ts'
import { kit, type Kit } from '../unit/web/support.ts'
import { fuzz, property } from './support/fuzz.ts'
import { anyText, jsonLike, jsonText } from './support/wire-values.ts'

const documented = [200, 202, 304, 400, 403, 404, 405, 410, 413, 415, 429, 503]
const secret = 'a'.repeat(40)

/** Made at the first case, closed at the end of the test. */
function once(make: () => Promise<Kit>): () => Promise<Kit> {
  let made: Promise<Kit> | undefined
  return () => (made ??= make())
}

const headerText = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).map(code => String.fromCharCode(code)),
  maxLength: 40,
})
const handle = fc.oneof(
  anyText,
  fc.constantFrom('t', 'v1.', 'owner:me', 'tag:x', `v1.00000000.${'a'.repeat(10)}.${'b'.repeat(43)}`, 'MINTED', 'LIST'),
)

const headerNames =
  'authorization content-type origin host sec-fetch-site prefer if-none-match cookie last-event-id content-length x-any'.split(
    ' ',
  )

const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'),
  path: fc.oneof(
    fc.constantFrom(
      '/lovage.js',
      '/stream',
      '/stream?handle=t',
      '/t',
      '/t/revoke',
      '/',
      '',
      '/t/',
      '/%',
      '/%00',
      '/a/b/c',
    ),
    fc.webPath(),
    fc.tuple(fc.constantFrom('/', '/stream?', '/t/revoke/'), fc.webQueryParameters()).map(parts => parts.join('')),
    handle.map(text => `/stream?handle=${encodeURIComponent(text.toWellFormed())}`),
    handle.map(text => `/${encodeURIComponent(text.toWellFormed())}`),
  ),
  headers: fc.dictionary(
    fc.constantFrom(...headerNames),
    fc.oneof(
      headerText,
      fc.constantFrom(
        'application/json',
        'same-origin',
        'wait=0',
        'wait=999999999',
        '*',
        'W/"x"',
        'br, gzip;q=0',
        '-1',
      ),
      handle.map(text => `Bearer ${encodeURIComponent(text.toWellFormed())}`),
    ),
    { maxKeys: 5 },
  ),
  body: fc.oneof(
    jsonText.filter(text => text.length < 70_000),
    fc
      .record({ handles: fc.oneof(fc.array(handle, { maxLength: 5 }), jsonLike), after: jsonLike })
      .map(body => JSON.stringify(body)),
    fc.record({ reason: jsonLike }).map(body => JSON.stringify(body)),
    fc.constant('x'.repeat(70_000)),
  ),
})

type Given = typeof request extends fc.Arbitrary<infer T> ? T : never

async function ask(
  { routes, handle: mint }: Kit,
  { method, path, headers, body }: Given,
): Promise<Response | undefined> {
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const put = (text: string): string =>
    text.replaceAll('MINTED', mint('t')).replaceAll('LIST', routes.listHandle({ owner: 'me' }))
  const init = {
    method,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, put(value)])),
    ...(hasBody ? { body: put(body) } : {}),
  }
  let asked: Request
  try {
    asked = new Request(`http://app.test/tasks${put(path)}`, init)
  } catch {
    // no server would ever see it
    return undefined
  }
  return await answered(routes.fetch(asked))
}

/** @throws {Error} no answer within two seconds. */
async function answered<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer within two seconds')), 2000)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

async function isSound(response: Response | undefined): Promise<void> {
  if (response === undefined) return
  expect(documented).toContain(response.status)
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  const type = response.headers.get('content-type') ?? ''
  if (type.startsWith('text/event-stream')) return await response.body?.cancel()
  const text = await response.text()
  if (text !== '' && type.startsWith('application/json')) expect(typeof JSON.parse(text)).toBe('object')
}

const anyRecord = fc.record({
  state: fc.oneof(fc.constantFrom('PENDING', 'STARTED', 'PROGRESS', 'RETRY', 'SUCCESS', 'FAILURE', 'REVOKED'), anyText),
  value: fc.option(
    fc.oneof(
      jsonText.filter(text => text.length < 5000),
      jsonLike.map(value => JSON.stringify(value)),
    ),
    {
      nil: undefined,
    },
  ),
  at: fc.oneof(fc.nat(), fc.double({ noNaN: true }), fc.constantFrom(8.64e15, 8.64e15 + 1, -1)),
  seq: fc.double({ noNaN: true, noDefaultInfinity: true }),
  facts: fc.record({ name: anyText, queue: anyText, queuedAt: fc.oneof(fc.nat(), fc.double()) }, { requiredKeys: [] }),
})

const shortWaits = { longestWaitMs: 5 }

fuzz('web routes', {
  'answer every request, with a documented status and never for long': property({
    of: request,
    holds: (() => {
      const shared = once(async () => {
        const made = await kit({ secret, limits: shortWaits })
        await made.put({ id: 't', state: 'STARTED', facts: { owner: 'me', tags: ['x'] } })
        return made
      })
      return async (given: Given) => {
        const response = await ask(await shared(), given)
        // nothing is broken here: whatever is wrong is the request
        expect(response?.status).not.toBe(503)
        await isSound(response)
      }
    })(),
    runs: 600,
  }),
  'answer whatever the hook of the app does': property({
    of: fc.tuple(
      fc.constantFrom('GET', 'POST'),
      fc.constantFrom('/t', '/t/revoke', '/none', '/stream?handle=t'),
      fc.oneof(fc.record({ gives: jsonLike }), fc.record({ throws: fc.anything() })),
    ),
    holds: (() => {
      let verdict: { readonly gives: unknown } | { readonly throws: unknown } = { gives: true }
      const authorize = (): never => {
        if ('throws' in verdict) throw verdict.throws
        return verdict.gives as never
      }
      const shared = once(async () => {
        const made = await kit({ secret, limits: shortWaits, authorize })
        await made.put({ id: 't', state: 'STARTED' })
        return made
      })
      return async ([method, path, next]: [string, string, typeof verdict]) => {
        const log = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
        try {
          verdict = next
          const headers = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' }
          await isSound(await ask(await shared(), { method, path, headers, body: '{}' } as Given))
        } finally {
          log.mockRestore()
        }
      }
    })(),
    runs: 300,
  }),
  'show any state a store may hold': property({
    of: anyRecord,
    holds: (() => {
      const shared = once(() => kit({ secret, limits: shortWaits }))
      let count = 0
      return async (record: typeof anyRecord extends fc.Arbitrary<infer T> ? T : never) => {
        const { put, ask: read, handle: mint, stream } = await shared()
        const id = `t${count++}`
        await put({ ...record, id })
        const response = await answered(read(`/${id}`, { headers: { authorization: `Bearer ${mint(id)}` } }))
        expect(response.status).toBe(200)
        const snapshot = (await response.json()) as { state: string; ready: boolean }
        expect(snapshot).toMatchObject({ id, state: record.state, ready: isReadyState(record.state) })
        const events = await stream([mint(id)])
        expect(await answered(events.take('snapshot'))).toMatchObject({ data: { id, state: record.state } })
        await events.close()
      }
    })(),
    runs: 200,
  }),
})

const [key = { id: '', secret: '' }] = toHandleKeys([secret])
const payload: fc.Arbitrary<HandlePayload> = fc.record({
  sub: anyText.filter(text => text !== '' && text.isWellFormed()),
  allow: fc.subarray(['read', 'result', 'log', 'revoke'] as const),
  exp: fc.integer({ min: 1_790_000_001, max: 1_790_000_900 }),
  aud: fc.constant('app'),
})

fuzz('handles', {
  'are valid as they were signed, and in no other spelling': property({
    of: fc.tuple(payload, fc.nat(), anyText, fc.constantFrom('replace', 'insert', 'cut')),
    holds([signed, at, text, change]) {
      const good = signHandle(signed, key)
      const check = { keys: [key], audience: 'app', now: 1_790_000_000_000 }
      expect(checkHandle(good, check)).toEqual({ kind: 'valid', payload: signed })
      const place = at % good.length
      const rest = change === 'insert' ? place : place + text.length
      const bad = change === 'cut' ? good.slice(0, place) : good.slice(0, place) + text + good.slice(rest)
      if (bad !== good) expect(checkHandle(bad, check).kind).toBe('forged')
    },
  }),
})
