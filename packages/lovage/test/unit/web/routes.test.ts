import { randomUUID } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { Lovage } from '../../../src/app/lovage.ts'
import { referenceOf } from '../../../src/core/reference.ts'
import { routeTable } from '../../../src/web/routes.ts'
import { TestClock } from '../../../src/testing/index.ts'
import { bearer, kit } from './support.ts'
import type { Kit } from './support.ts'

const json = { 'content-type': 'application/json' }
const sameOrigin = { ...json, 'sec-fetch-site': 'same-origin' }
const post = (headers: Readonly<Record<string, string>>, body = '{}'): RequestInit => ({
  method: 'POST',
  headers,
  body,
})
const bodyOf = async (answer: Response): Promise<Record<string, unknown>> =>
  (await answer.json()) as Record<string, unknown>
/** Whether somebody asked that this task ends. */
const isRevoked = async ({ backend }: Kit, id: string): Promise<boolean> =>
  (await backend.coordination.get(`revoke/${id}`)) !== undefined

describe('GET /:id', () => {
  it('tells a handle what it allows, and nothing of the worker', async () => {
    const { put, ask, handle } = await kit()
    await put({ id: 't', state: 'STARTED', value: '{"pid":7,"hostname":"inside"}', facts: { name: 'n', queue: 'q' } })
    const answer = await ask('/t', bearer(handle('t')))
    const text = await answer.text()
    expect(JSON.parse(text)).toMatchObject({
      id: 't',
      state: 'STARTED',
      ready: false,
      attempt: 1,
      can: ['read', 'result'],
    })
    expect(text).not.toMatch(/inside|pid/)
  })

  it('gives the result with the permission only, and never a private one', async () => {
    const app = new Lovage('mysite')
    app.task('secret', { result: 'private' }, () => 1)
    const { put, ask, handle } = await kit({ app })
    await put({ id: 'open', state: 'SUCCESS', value: '{"rows":3}', facts: { name: 'plain' } })
    await put({ id: 'shut', state: 'SUCCESS', value: '{"rows":3}', facts: { name: 'secret' } })
    const read = async (id: string, allow: readonly ('read' | 'result')[]): Promise<unknown> =>
      (await bodyOf(await ask(`/${id}`, bearer(handle(id, { allow })))))['result']
    expect(await read('open', ['read', 'result'])).toEqual({ rows: 3 })
    expect(await read('open', ['read'])).toBeUndefined()
    expect(await read('shut', ['read', 'result'])).toBeUndefined()
  })

  it('gives what JSON has no word for as text', async () => {
    const { put, ask, handle } = await kit()
    const value = '{"big":12345678901234567890,"at":{"__type__":"datetime","__value__":"2026-11-22T10:00:00+00:00"}}'
    await put({ id: 't', state: 'SUCCESS', value })
    const { result } = await bodyOf(await ask('/t', bearer(handle('t'))))
    expect(result).toEqual({ big: '12345678901234567890', at: '2026-11-22T10:00:00.000Z' })
  })

  it('still tells the state when what goes with it cannot be read', async () => {
    const { put, ask, handle } = await kit()
    await put({ id: 't', state: 'SUCCESS', value: 'no json' })
    expect(await bodyOf(await ask('/t', bearer(handle('t'))))).toMatchObject({ state: 'SUCCESS', result: null })
  })

  it.each([
    [
      'an error of the code',
      { type: 'TypeError', message: 'password hunter2 at db-7', traceback: 'at /srv/x', retryable: true },
      null,
    ],
    [
      'a PublicError',
      { type: 'PublicError', message: 'This file is empty', retryable: true, isPublic: true },
      'This file is empty',
    ],
    [
      'bad arguments',
      { type: 'InvalidArgumentError', message: 'argument 1 ("abc")', retryable: false, isPublic: true },
      'argument 1 ("abc")',
    ],
  ])('shows %s as people may see it', async (_what, error, shown) => {
    const { put, ask, handle } = await kit()
    await put({ id: 't', state: 'FAILURE', value: JSON.stringify(error) })
    const text = await (await ask('/t', bearer(handle('t')))).text()
    const reference = referenceOf('t')
    expect(JSON.parse(text)).toMatchObject({
      error: {
        message: shown ?? `Something went wrong. Reference ${reference}`,
        reference,
        retryable: error.retryable,
      },
    })
    expect(text).not.toMatch(/hunter2|srv/)
  })

  it('says the same of an id that does not exist, of another task, and of a forged handle', async () => {
    const { put, ask, handle } = await kit({ authorize: () => false })
    await put({ id: 'mine' })
    await put({ id: 'yours' })
    const answers = await Promise.all([
      ask('/nobody', bearer(handle('nobody'))),
      ask('/yours', bearer(handle('mine'))),
      ask('/mine', bearer(`${handle('mine').slice(0, -2)}xx`)),
      ask('/mine', bearer('mine')),
      ask('/mine'),
      ask('/nobody'),
      ask('/owner:ada'),
    ])
    const seen = await Promise.all(
      answers.map(async each => [each.status, await each.text(), ...each.headers].join('\n')),
    )
    expect(new Set(seen).size).toBe(1)
    expect(answers[0]?.status).toBe(404)
  })

  it('asks the app about ids that do not exist too: they take as long', async () => {
    const asked: (string | undefined)[] = []
    const { put, ask } = await kit({ authorize: (_request, { name }) => (asked.push(name), false) })
    await put({ id: 't', facts: { name: 'n' } })
    await ask('/t')
    await ask('/nobody')
    expect(asked).toEqual(['n', undefined])
  })

  it('says that a handle has expired, whatever it was about', async () => {
    const clock = new TestClock()
    const { put, ask, handle } = await kit({ clock })
    await put({ id: 't' })
    const [own, none] = [handle('t', { expiresInMs: 1000 }), handle('nobody', { expiresInMs: 1000 })]
    await clock.advance(3000)
    for (const each of [own, none]) expect((await ask('/t', bearer(each))).status).toBe(410)
  })

  it('reads the tasks of an owner and of a tag with their list handles, and no others', async () => {
    const { put, ask, routes } = await kit()
    await put({ id: 't', facts: { owner: 'ada', tags: ['red'] } })
    const status = async (list: string): Promise<number> => (await ask('/t', bearer(list))).status
    expect(await status(routes.listHandle({ owner: 'ada' }))).toBe(200)
    expect(await status(routes.listHandle({ tag: 'red' }))).toBe(200)
    expect(await status(routes.listHandle({ owner: 'bob' }))).toBe(404)
    expect(await status(routes.listHandle({ tag: 'ada' }))).toBe(404)
  })

  it('asks the app for a bare id: true is everything, a list is what it says', async () => {
    const { put, ask } = await kit({
      authorize: (request, { owner, tags, name }) =>
        request.headers.get('cookie') === `user=${owner}` && (name === 'all' || (tags.includes('x') && ['read'])),
    })
    await put({ id: 'a', facts: { owner: 'ada', name: 'all' } })
    await put({ id: 'b', facts: { owner: 'ada', tags: ['x'] } })
    const can = async (id: string, cookie: string): Promise<unknown> =>
      (await bodyOf(await ask(`/${id}`, { headers: { cookie } })))['can']
    expect(await can('a', 'user=ada')).toEqual(['read', 'result', 'log', 'revoke'])
    expect(await can('b', 'user=ada')).toEqual(['read'])
    expect(await can('a', 'user=bob')).toBeUndefined()
  })

  it('says how many workers there are for a task that waits, and about where it stands', async () => {
    const { put, ask, handle, backend } = await kit()
    for (const id of ['first', 'second']) await put({ id, facts: { queue: 'q' } })
    const queue = async (): Promise<unknown> => (await bodyOf(await ask('/second', bearer(handle('second')))))['queue']
    expect(await queue()).toEqual({ workers: 0, position: 2 })
    await backend.coordination.put('worker/one@here', JSON.stringify({ queues: ['q'] }), 10_000)
    await backend.coordination.put('worker/two@here', JSON.stringify({ queues: ['other'] }), 10_000)
    await expect.poll(queue).toEqual({ workers: 1, position: 2 })
  })

  it('answers 304 while nothing has changed', async () => {
    const { put, ask, handle } = await kit()
    await put({ id: 't', state: 'STARTED' })
    const first = await ask('/t', bearer(handle('t')))
    const etag = first.headers.get('etag') ?? ''
    const again = await ask('/t', bearer(handle('t'), { 'if-none-match': etag }))
    expect([first.status, again.status, await again.text()]).toEqual([200, 304, ''])
    await put({ id: 't', state: 'PROGRESS', value: '{"current":1,"total":4}' })
    const changed = await ask('/t', bearer(handle('t'), { 'if-none-match': `"x", W/${etag}` }))
    expect(await bodyOf(changed)).toMatchObject({ progress: { percent: 25 } })
  })

  it('waits for the next change when it is asked to', async () => {
    const { put, ask, handle, backend } = await kit()
    await put({ id: 't', state: 'STARTED' })
    const etag = (await ask('/t', bearer(handle('t')))).headers.get('etag') ?? ''
    const watch = vi.spyOn(backend.results, 'watch')
    const waiting = ask('/t', bearer(handle('t'), { prefer: 'wait=25', 'if-none-match': etag }))
    await vi.waitUntil(() => watch.mock.calls.length > 0)
    await put({ id: 't', state: 'SUCCESS', value: '1' })
    const answer = await waiting
    expect(await bodyOf(answer)).toMatchObject({ state: 'SUCCESS', result: 1 })
    expect(answer.headers.get('preference-applied')).toBe('wait=25')
    // ready: there is nothing to wait for
    expect((await ask('/t', bearer(handle('t'), { prefer: 'wait=25' }))).status).toBe(200)
  })

  it('waits no longer than 25 s, and then answers 304', async () => {
    const clock = new TestClock()
    const { put, ask, handle } = await kit({ clock })
    await put({ id: 't', state: 'STARTED' })
    const etag = (await ask('/t', bearer(handle('t')))).headers.get('etag') ?? ''
    const waiting = ask('/t', bearer(handle('t'), { prefer: 'wait=9999', 'if-none-match': etag }))
    await clock.advance(25_000)
    expect((await waiting).status).toBe(304)
  })
})

describe('routes that change something', () => {
  const mutating = routeTable.filter(({ mutates }) => mutates)

  it('are these, and all others are GET or the stream', () => {
    expect(mutating.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /:id/revoke'])
    const others = routeTable.filter(({ mutates, method }) => !mutates && method !== 'GET')
    expect(others.map(({ path }) => path)).toEqual(['/stream'])
  })

  describe.each(mutating)('$method $path', ({ path }) => {
    const at = (id: string): string => path.replace(':id', id)
    const session = { authorize: (request: Request) => request.headers.get('cookie') === 'user=ada' }

    it.each([
      [
        'a handle that allows it',
        202,
        (each: Kit) => post({ ...json, ...headersOf(each.handle('t', { allow: ['read', 'revoke'] })) }),
      ],
      ['a session, from a page of this origin', 202, () => post({ ...sameOrigin, cookie: 'user=ada' })],
      [
        'a session of an old browser that tells the origin',
        202,
        () => post({ ...json, cookie: 'user=ada', host: 'app.test', origin: 'http://app.test' }),
      ],
      ['a handle that only reads', 404, (each: Kit) => post({ ...json, ...headersOf(each.handle('t')) })],
      [
        'a handle that may revoke and not read',
        404,
        (each: Kit) => post({ ...json, ...headersOf(each.handle('t', { allow: ['revoke'] })) }),
      ],
      [
        'the handle of another task',
        404,
        (each: Kit) => post({ ...json, ...headersOf(each.handle('u', { allow: ['read', 'revoke'] })) }),
      ],
      [
        'a forged handle beside a good session',
        404,
        () => post({ ...sameOrigin, cookie: 'user=ada', ...headersOf('v1.x.y.z') }),
      ],
      ['nobody', 404, () => post(sameOrigin)],
      [
        'a session, from another site',
        403,
        () => post({ ...json, cookie: 'user=ada', 'sec-fetch-site': 'cross-site' }),
      ],
      [
        'a session, from another subdomain',
        403,
        () => post({ ...json, cookie: 'user=ada', 'sec-fetch-site': 'same-site' }),
      ],
      [
        'a session, from another origin',
        403,
        () => post({ ...json, cookie: 'user=ada', host: 'app.test', origin: 'http://evil.test' }),
      ],
      ['a session, from a sandboxed frame', 403, () => post({ ...json, cookie: 'user=ada', origin: 'null' })],
      ['a session that says nothing of its origin', 403, () => post({ ...json, cookie: 'user=ada' })],
      [
        'a form',
        415,
        () => post({ ...sameOrigin, cookie: 'user=ada', 'content-type': 'application/x-www-form-urlencoded' }, 'a=1'),
      ],
      ['plain text that is JSON', 415, () => post({ ...sameOrigin, cookie: 'user=ada', 'content-type': 'text/plain' })],
    ])('from %s: %i', async (_who, status, request) => {
      const each = await kit(session)
      await each.put({ id: 't', state: 'STARTED' })
      const answer = await each.ask(at('t'), request(each))
      expect(answer.status).toBe(status)
      expect(await isRevoked(each, 't')).toBe(status === 202)
    })

    it.each([
      ['no JSON', 'no json', 400],
      ['a list', '[]', 400],
      ['a reason that is no text', '{"reason":1}', 400],
      ['a reason that is too long', JSON.stringify({ reason: 'x'.repeat(201) }), 400],
      ['10 MB', JSON.stringify({ reason: 'x'.repeat(10_000_000) }), 413],
      ['nothing', '', 202],
      ['a reason', '{"reason":"wrong file"}', 202],
    ])('with %s in the body', async (_what, body, status) => {
      const each = await kit()
      await each.put({ id: 't' })
      const headers = { ...json, ...headersOf(each.handle('t', { allow: ['read', 'revoke'] })) }
      expect((await each.ask(at('t'), post(headers, body))).status).toBe(status)
      expect(await isRevoked(each, 't')).toBe(status === 202)
    })
  })
})

function headersOf(handle: string): { authorization: string } {
  return { authorization: `Bearer ${handle}` }
}

describe('GET /lovage.js', () => {
  it('is the script, kept for ever under its hash and asked about otherwise', async () => {
    const { ask } = await kit()
    const answer = await ask('/lovage.js')
    const etag = answer.headers.get('etag') ?? ''
    expect(answer.headers.get('content-type')).toMatch('text/javascript')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
    expect(await answer.text()).toContain('lovage-task')
    expect((await ask('/lovage.js', { headers: { 'if-none-match': etag } })).status).toBe(304)
    const pinned = await ask(`/lovage.js?v=${etag.slice(1, -1)}`)
    expect(pinned.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect((await ask('/lovage.js?v=older')).headers.get('cache-control')).toBe('no-cache')
  })
})

describe('any answer', () => {
  it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'POST'])('%s of a task says which methods there are', async method => {
    const { ask } = await kit()
    const answer = await ask('/t', {
      method,
      headers: { origin: 'http://evil.test', 'access-control-request-method': 'POST' },
    })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET'])
    expect([...answer.headers.keys()].filter(name => name.startsWith('access-control'))).toEqual([])
  })

  it('has the headers that keep it from being taken for something else', async () => {
    const { put, ask, handle } = await kit()
    await put({ id: 't' })
    const answers = await Promise.all([
      ask('/t', bearer(handle('t'))),
      ask('/nobody'),
      ask('/t', { method: 'PUT' }),
      ask('/stream', post({ ...json }, 'x')),
      ask(`/stream?handle=${handle('t')}`),
      ask('/a/b/c'),
      ask('/'),
    ])
    for (const { headers } of answers) {
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('cache-control')).toMatch(/no-store|no-cache/)
      expect(headers.get('content-type')).toMatch(/^(application\/json|text\/event-stream)/)
    }
    for (const { body } of answers) await body?.cancel()
  })

  it.each([
    ['with its base, as Next leaves it', '/tasks', '/tasks/t'],
    ['without, as Express strips it', '/tasks', '/t'],
    ['under another base', '/api/jobs/', '/api/jobs/t'],
    ['with a slash at its end', '/tasks', '/tasks/t/'],
    ['with no base at all', '', '/t'],
  ])('finds a path %s', async (_how, basePath, path) => {
    const { put, routes, handle } = await kit({ basePath })
    await put({ id: 't' })
    expect((await routes.fetch(new Request(`http://x${path}`, bearer(handle('t'))))).status).toBe(200)
  })

  it.each(['a/b', 'ü ?#', '<script>', 'a%2Fb', "'; DROP TABLE tasks; --", 'stream', 'lovage.js/'])(
    'takes the id %j',
    async id => {
      const { put, ask, handle } = await kit()
      await put({ id })
      const answer = await ask(`/${encodeURIComponent(id)}`, bearer(handle(id)))
      // a fixed name wins over an id
      expect(answer.status).toBe(id === 'stream' ? 400 : 200)
    },
  )

  it('of a path that climbs is 404', async () => {
    const { ask } = await kit()
    expect((await ask('/%2e%2e%2f..')).status).toBe(404)
  })

  it('is 503 and not a wrong one while the store is away', async () => {
    const { ask, handle, backend } = await kit()
    const own = handle('t')
    await backend.close()
    const answer = await ask('/t', bearer(own))
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2'])
    expect(await answer.text()).not.toMatch(/memory|closed/)
  })

  it('is 503 when the app cannot say who asks, and does not say why', async () => {
    const { ask, put } = await kit({
      authorize: () => {
        throw new Error('session store at 10.0.0.7 is down')
      },
    })
    await put({ id: 't' })
    const answer = await ask('/t')
    expect([answer.status, (await answer.text()).includes('10.0.0.7')]).toEqual([503, false])
  })

  it('is 503 once the routes are closed', async () => {
    const { ask, routes } = await kit()
    await routes.close()
    await routes.close()
    expect((await ask('/t')).status).toBe(503)
  })

  it('carries markup in every field as JSON text', async () => {
    const corpus = [
      '<script>alert(1)</script>',
      '"><img src=x onerror=alert(1)>',
      '</script><svg/onload=alert(1)>',
      '\u2028\u2029 javascript:alert(1)',
      '{{7*7}}${7*7}',
      '\n\ndata: {"state":"SUCCESS"}\n\n',
      '\u0000\u001b[31m',
    ]
    const { put, stream, handle } = await kit()
    for (const evil of corpus) {
      const id = randomUUID()
      const value = JSON.stringify({ [evil]: evil })
      await put({ id, state: 'SUCCESS', value, facts: { name: evil, owner: evil, tags: [evil], queue: evil } })
      const failed = randomUUID()
      const error = { type: evil, message: evil, traceback: evil, retryable: true, isPublic: true }
      await put({ id: failed, state: 'FAILURE', value: JSON.stringify(error) })
      const reader = await stream([handle(id), handle(failed)])
      expect((await reader.take('snapshot')).data).toMatchObject({ handle: 0, name: evil, result: { [evil]: evil } })
      expect((await reader.take('snapshot')).data).toMatchObject({ handle: 1, error: { message: evil } })
      await reader.close()
    }
  })
})
