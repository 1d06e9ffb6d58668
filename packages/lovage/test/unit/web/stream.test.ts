import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { TestClock } from '../../../src/testing/index.ts'
import { bearer, kit } from './support.ts'

const minute = 60_000

describe('a stream', () => {
  it('begins with a snapshot of each, then tells of every change', async () => {
    const { put, stream, handle } = await kit()
    await put({ id: 'a', state: 'STARTED' })
    await put({ id: 'b', state: 'SUCCESS', value: '1' })
    const reader = await stream([handle('a'), handle('b')])
    const [first, second] = [await reader.next(), await reader.next()]
    expect(first?.data).toMatchObject({ handle: 0, id: 'a', state: 'STARTED', version: [0, 0, 1, 2, 1] })
    expect(second?.data).toMatchObject({ handle: 1, id: 'b', state: 'SUCCESS', ready: true, result: 1 })
    // only behind the last: whoever has the id has all of them
    expect([first?.id, second?.id]).toEqual([undefined, expect.stringMatching(/^[0-9a-f]{12}-\d+$/)])
    await put({ id: 'a', state: 'SUCCESS', value: '2' })
    expect((await reader.take('snapshot')).data).toMatchObject({ handle: 0, id: 'a', state: 'SUCCESS', result: 2 })
  })

  it('gathers what changes within 100 ms', async () => {
    const clock = new TestClock()
    const { put, stream, handle } = await kit({ clock })
    await put({ id: 'a', state: 'STARTED' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    const percents: unknown[] = []
    for (let frame = 0; frame < 5; frame++) {
      for (let step = 1; step <= 10; step++)
        await put({ id: 'a', state: 'PROGRESS', value: `{"current":${frame * 10 + step},"total":50}` })
      const [event] = await Promise.all([reader.take('snapshot'), clock.advance(100)])
      percents.push((event.data['progress'] as { percent: number }).percent)
    }
    expect(percents).toEqual([20, 40, 60, 80, 100])
  })

  it('says which handles answer nothing, and goes on with the others', async () => {
    const clock = new TestClock()
    const { put, stream, handle } = await kit({ clock })
    await put({ id: 'a' })
    const expired = handle('a', { expiresInMs: 1000 })
    await clock.advance(5000)
    const reader = await stream([expired, handle('nobody'), 'a', `${handle('a')}x`, handle('a')])
    const gone = [
      await reader.take('gone'),
      await reader.take('gone'),
      await reader.take('gone'),
      await reader.take('gone'),
    ]
    expect(gone.map(({ data }) => data)).toEqual([
      { handle: 0, reason: 'expired' },
      { handle: 1, reason: 'unknown' },
      { handle: 2, reason: 'unknown' },
      { handle: 3, reason: 'forbidden' },
    ])
    expect((await reader.take('snapshot')).data).toMatchObject({ handle: 4, id: 'a' })
  })

  it('tells one viewer what another may not see', async () => {
    const { put, stream, handle } = await kit()
    await put({ id: 'a', state: 'SUCCESS', value: '"secret"' })
    const [all, some] = [await stream([handle('a')]), await stream([handle('a', { allow: ['read'] })])]
    expect((await all.take('snapshot')).data).toMatchObject({ result: 'secret', can: ['read', 'result'] })
    expect((await some.take('snapshot')).data['result']).toBeUndefined()
  })

  it('takes bare ids where the app says so, asked once when it opens', async () => {
    let asked = 0
    const { put, stream } = await kit({
      authorize: (request, { owner }) => (asked++, request.headers.get('cookie') === `user=${owner}`),
    })
    await put({ id: 'a', state: 'STARTED', facts: { owner: 'ada' } })
    const [ada, bob] = [
      await stream(['a'], undefined, { headers: { cookie: 'user=ada' } }),
      await stream(['a'], undefined, { headers: { cookie: 'user=bob' } }),
    ]
    expect((await ada.take('snapshot')).data).toMatchObject({ id: 'a', can: ['read', 'result', 'log', 'revoke'] })
    expect((await bob.next())?.data).toEqual({ handle: 0, reason: 'unknown' })
    await put({ id: 'a', state: 'SUCCESS', value: '1' })
    await ada.until('SUCCESS')
    expect(asked).toBe(2)
  })

  it('tells its server of a hook that throws, and the page once the hook answers', async () => {
    const log = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    onTestFinished(() => log.mockRestore())
    let asked = 0
    const authorize = (): boolean => {
      if (asked++ === 0) throw new TypeError('no session store')
      return true
    }
    const { put, stream } = await kit({ authorize })
    await put({ id: 'a', state: 'STARTED' })
    const page = await stream(['a'])
    expect((await page.take('snapshot')).data).toMatchObject({ id: 'a' })
    expect(log.mock.calls.flat().join('')).toMatch('TypeError: no session store')
  })

  it('makes no search for lists that nobody signed and nobody can allow', async () => {
    const { backend, put, stream } = await kit()
    await put({ id: 'a', facts: { owner: 'ada' } })
    const list = vi.spyOn(backend.results, 'list')
    const page = await stream(['owner:ada', 'tag:x'])
    expect([(await page.take('gone')).data, (await page.take('gone')).data]).toEqual([
      { handle: 0, reason: 'unknown' },
      { handle: 1, reason: 'unknown' },
    ])
    expect(list).not.toHaveBeenCalled()
  })

  it('opens by its address too, for EventSource', async () => {
    const { put, ask, handle } = await kit()
    await put({ id: 'a' })
    const answer = await ask(`/stream?handle=${handle('a')}&handle=x`)
    expect(answer.headers.get('content-type')).toMatch('text/event-stream')
    expect(answer.headers.get('cache-control')).toBe('no-store, no-transform')
    expect(answer.headers.get('x-accel-buffering')).toBe('no')
    await answer.body?.cancel()
  })

  it.each([
    ['no list', { handles: 'x' }, 400],
    ['an empty list', { handles: [] }, 400],
    ['a list of numbers', { handles: [1] }, 400],
    ['no handles', {}, 400],
    ['11 lists that nobody signed', { handles: Array.from({ length: 11 }, (_, index) => `tag:${index}`) }, 400],
    ['201 handles', { handles: Array.from({ length: 201 }, (_, index) => `id-${index}`) }, 400],
    ['10 MB', { handles: ['x'.repeat(10_000_000)] }, 413],
  ])('is not opened with %s', async (_what, body, status) => {
    const { ask } = await kit()
    const headers = { 'content-type': 'application/json' }
    expect((await ask('/stream', { method: 'POST', headers, body: JSON.stringify(body) })).status).toBe(status)
  })

  it('takes 200 handles', async () => {
    const { put, stream, handle } = await kit()
    const ids = Array.from({ length: 200 }, (_, index) => `task-${index}`)
    for (const id of ids) await put({ id })
    const reader = await stream(ids.map(id => handle(id)))
    const seen = new Set<unknown>()
    while (seen.size < 200) seen.add((await reader.take('snapshot')).data['id'])
    expect(seen).toEqual(new Set(ids))
  })

  it('is one of 6 with one handle, whose end makes room', async () => {
    const { put, stream, handle } = await kit()
    await put({ id: 'a' })
    const own = handle('a')
    const readers = await Promise.all(Array.from({ length: 6 }, () => stream([own])))
    const refused = await stream([own])
    expect([refused.response.status, refused.response.headers.get('retry-after')]).toEqual([429, '2'])
    await readers[0]?.close()
    expect((await stream([own])).response.status).toBe(200)
  })

  it('sends a sign of life when nothing else was sent for 15 s', async () => {
    const clock = new TestClock()
    const { put, stream, handle } = await kit({ clock })
    await put({ id: 'a' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    await clock.advance(16_000)
    expect((await reader.take(':')).name).toBe(':')
  })

  it('ends with a goodbye after about a quarter of an hour', async () => {
    const clock = new TestClock()
    const { put, stream, handle } = await kit({ clock })
    await put({ id: 'a', state: 'SUCCESS' })
    const reader = await stream([handle('a')])
    for (let at = 0; at < 17; at++) await clock.advance(minute)
    const { data } = await reader.take('bye')
    expect(data['retryMs']).toBeGreaterThanOrEqual(0)
    expect(await reader.next()).toBeUndefined()
  })

  it('ends with a goodbye when the routes are closed', async () => {
    const { put, stream, handle, routes } = await kit()
    await put({ id: 'a' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    await routes.close()
    expect((await reader.take('bye')).data['retryMs']).toBeGreaterThan(0)
    expect(await reader.next()).toBeUndefined()
  })

  it('is let go of when the client goes', async () => {
    const clock = new TestClock()
    const { put, stream, handle, backend } = await kit({ clock })
    const ended = vi.fn<() => void>()
    const watch = backend.results.watch.bind(backend.results)
    vi.spyOn(backend.results, 'watch').mockImplementation(async (ids, options) => {
      const end = await watch(ids, options)
      return () => (ended(), end())
    })
    await put({ id: 'a' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    await reader.close()
    // for a minute it may come back
    await clock.advance(30_000)
    expect(ended).not.toHaveBeenCalled()
    await clock.advance(60_000)
    expect(ended).toHaveBeenCalledOnce()
  })
})

describe('coming back', () => {
  it('brings what was missed and nothing else', async () => {
    const { put, stream, handle } = await kit()
    const handles = [handle('a'), handle('b')]
    await put({ id: 'a', state: 'STARTED' })
    await put({ id: 'b', state: 'STARTED' })
    const first = await stream(handles)
    await first.take('snapshot')
    const { id } = await first.take('snapshot')
    await first.close()
    await put({ id: 'b', state: 'SUCCESS', value: '1' })
    const second = await stream(handles, id)
    expect((await second.take('snapshot')).data).toMatchObject({ id: 'b', state: 'SUCCESS' })
    await put({ id: 'a', state: 'SUCCESS', value: '2' })
    expect((await second.take('snapshot')).data).toMatchObject({ id: 'a', state: 'SUCCESS' })
    const third = await stream(handles, undefined, { headers: { 'last-event-id': id ?? '' } })
    const seen = [await third.take('snapshot'), await third.take('snapshot')]
    expect(seen.map(({ data }) => data['state'])).toEqual(['SUCCESS', 'SUCCESS'])
  })

  it.each(['0123456789ab-3', 'nonsense', '-', '9'.repeat(400)])(
    'with an id nobody knows (%s) brings everything',
    async after => {
      const { put, stream, handle } = await kit()
      await put({ id: 'a', state: 'STARTED' })
      const reader = await stream([handle('a')], after)
      expect((await reader.take('snapshot')).data).toMatchObject({ id: 'a' })
    },
  )

  it('after the watch had ended brings everything', async () => {
    const clock = new TestClock()
    const { put, stream, handle } = await kit({ clock })
    await put({ id: 'a', state: 'STARTED' })
    const own = handle('a')
    const first = await stream([own])
    const { id } = await first.take('snapshot')
    await first.close()
    await clock.advance(2 * minute)
    await put({ id: 'a', state: 'SUCCESS', value: '1' })
    const second = await stream([own], id)
    expect((await second.take('snapshot')).data).toMatchObject({ state: 'SUCCESS' })
  })
})

describe('a handle on a stream', () => {
  it('is renewed before it ends, while the task is not ready', async () => {
    const clock = new TestClock()
    const { put, stream, handle, ask } = await kit({ clock, limits: { lifeMs: 60 * minute } })
    await put({ id: 'a', state: 'STARTED' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    for (let at = 0; at < 14; at++) await clock.advance(minute)
    const { data } = await reader.take('handle')
    expect(data).toEqual({ handle: 0, next: expect.stringMatching(/^v1\./) as string })
    for (let at = 0; at < 10; at++) await clock.advance(minute)
    expect((await ask('/a', bearer(String(data['next'])))).status).toBe(200)
  })

  it('ends for good when the app no longer agrees', async () => {
    const clock = new TestClock()
    let agrees = true
    const { put, stream, handle } = await kit({ clock, limits: { lifeMs: 60 * minute }, authorize: () => agrees })
    await put({ id: 'a', state: 'STARTED' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    agrees = false
    for (let at = 0; at < 16; at++) await clock.advance(minute)
    expect((await reader.take('gone')).data).toEqual({ handle: 0, reason: 'expired' })
  })

  it('of a ready task ends in silence', async () => {
    const clock = new TestClock()
    const { put, stream, handle, routes } = await kit({ clock, limits: { lifeMs: 60 * minute } })
    await put({ id: 'a', state: 'SUCCESS', value: '1' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    for (let at = 0; at < 20; at++) await clock.advance(minute)
    await routes.close()
    const names: (string | undefined)[] = []
    for (let event = await reader.next(); event !== undefined; event = await reader.next()) names.push(event.name)
    expect(names.filter(name => name !== ':')).toEqual(['bye'])
  })
})

describe('a list', () => {
  it('brings the tasks of an owner, and those that appear', async () => {
    const { put, stream, routes } = await kit({ limits: { listMs: 10 } })
    await put({ id: 'old', state: 'SUCCESS', value: '1', facts: { owner: 'ada' } })
    await put({ id: 'now', state: 'STARTED', facts: { owner: 'ada' } })
    await put({ id: 'his', state: 'STARTED', facts: { owner: 'bob' } })
    const reader = await stream([routes.listHandle({ owner: 'ada' })])
    const first = [await reader.take('snapshot'), await reader.take('snapshot')]
    expect(first.map(({ data }) => [data['handle'], data['id']])).toEqual([
      [0, 'now'],
      [0, 'old'],
    ])
    await put({ id: 'another', facts: { owner: 'bob' } })
    await put({ id: 'new', facts: { owner: 'ada' } })
    expect((await reader.take('snapshot')).data).toMatchObject({ handle: 0, id: 'new' })
    await put({ id: 'new', state: 'SUCCESS', value: '1' })
    expect((await reader.until('SUCCESS')).data).toMatchObject({ id: 'new' })
  })

  it('of a tag begins empty and fills', async () => {
    const { put, stream, routes } = await kit({ limits: { listMs: 10 } })
    const reader = await stream([routes.listHandle({ tag: 'nightly' })])
    for (let count = 0; count < 250; count++) await put({ id: `other-${count}`, facts: { tags: ['x'] } })
    await put({ id: 'mine', facts: { tags: ['x', 'nightly'] } })
    expect((await reader.take('snapshot')).data).toMatchObject({ id: 'mine' })
  })

  it('by session holds what the app lets through', async () => {
    const { put, stream } = await kit({
      limits: { listMs: 10 },
      authorize: (_request, { name }) => name === 'open' && ['read'],
    })
    await put({ id: 'a', facts: { owner: 'ada', name: 'shut' } })
    await put({ id: 'b', facts: { owner: 'ada', name: 'open' } })
    const reader = await stream(['owner:ada'])
    expect((await reader.take('snapshot')).data).toMatchObject({ id: 'b' })
    await put({ id: 'c', facts: { owner: 'ada', name: 'shut' } })
    await put({ id: 'd', facts: { owner: 'ada', name: 'open' } })
    expect((await reader.take('snapshot')).data).toMatchObject({ id: 'd' })
  })
})

describe('many viewers', () => {
  it('cost one watch of the store and one text for all who may see the same', async () => {
    const { put, stream, handle, backend } = await kit()
    const watch = vi.spyOn(backend.results, 'watch')
    await put({ id: 'a', state: 'STARTED' })
    const readers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => stream([handle('a', { expiresInMs: 60_000 + index * 1000 })])),
    )
    for (const reader of readers) await reader.take('snapshot')
    const stringify = vi.spyOn(JSON, 'stringify')
    await put({ id: 'a', state: 'PROGRESS', value: '{"current":1,"total":2}' })
    for (const reader of readers) await reader.until('PROGRESS')
    const texts = stringify.mock.calls.filter(([value]) => (value as { id?: unknown } | undefined)?.id === 'a')
    stringify.mockRestore()
    expect([watch.mock.calls.length, texts.length]).toEqual([1, 1])
  })
})

describe('the store', () => {
  it('that is away for a while costs time, not the stream', async () => {
    const { put, stream, handle, backend } = await kit()
    await put({ id: 'a', state: 'STARTED' })
    const getMany = vi.spyOn(backend.results, 'getMany').mockRejectedValueOnce(new Error('locked'))
    const reader = await stream([handle('a')])
    expect((await reader.take('snapshot')).data).toMatchObject({ id: 'a' })
    expect(getMany).toHaveBeenCalledTimes(2)
  })

  it('whose watch ends is watched again', async () => {
    const { put, stream, handle, backend } = await kit()
    let end: ((error: Error) => void) | undefined
    const watch = backend.results.watch.bind(backend.results)
    const spy = vi.spyOn(backend.results, 'watch').mockImplementation(async (ids, options) => {
      end = options.onEnd
      return await watch(ids, spy.mock.calls.length === 1 ? { onState: () => undefined } : options)
    })
    await put({ id: 'a', state: 'STARTED' })
    const reader = await stream([handle('a')])
    await reader.take('snapshot')
    await put({ id: 'a', state: 'SUCCESS', value: '1' })
    await vi.waitUntil(() => end !== undefined)
    end?.(new Error('gone'))
    expect((await reader.until('SUCCESS')).data).toMatchObject({ result: 1 })
  })
})
