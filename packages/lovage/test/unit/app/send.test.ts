import { randomUUID } from 'node:crypto'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import type { Backend } from '../../../src/backend.ts'
import type { Publication } from '../../../src/broker.ts'
import { internals } from '../../../src/app/internals.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import { routeOf } from '../../../src/app/routing.ts'
import { unchecked } from '../../../src/app/schema.ts'
import {
  ConfigurationError,
  EncodeError,
  IllegalStateError,
  InvalidArgumentError,
  MessageTooLargeError,
  PublishError,
  UnsupportedError,
} from '../../../src/core/errors.ts'
import { decodeTaskBody, decodeTaskHeaders } from '../../../src/protocol/task-message.ts'
import { TestClock, startTestWorker } from '../../../src/testing/index.ts'
import { memoryApp, putState, takeDeliveries } from './support.ts'

async function sentMessages(app: Lovage, count = 1, queue = 'celery') {
  const deliveries = await takeDeliveries(await internals(app).backend(), queue, count)
  return deliveries.map(({ message, queue: from }) => ({
    ...decodeTaskHeaders(message),
    ...pick(decodeTaskBody(message)),
    queue: from,
  }))
}
function pick({ args, kwargs }: { args: readonly unknown[]; kwargs: object }) {
  return { args, kwargs: { ...kwargs } }
}

describe('delay', () => {
  it('sends the arguments and gives the id', async () => {
    const app = memoryApp()
    const add = app.task('core.tasks.add', (_task, x: number, y: number) => x + y)
    const { id } = await add.delay(1, 2)
    expect(await sentMessages(app)).toMatchObject([
      { id, task: 'core.tasks.add', args: [1, 2], kwargs: {}, retries: 0, rootId: id },
    ])
  })

  it('sends one object as keyword arguments, after the positional ones', async () => {
    const app = memoryApp()
    const both = app.task('both', { args: z.tuple([z.number()]), kwargs: z.object({ f: z.boolean() }) }, (_t, n) => n)
    await both.delay(1, { f: true })
    expect(await sentMessages(app)).toMatchObject([{ args: [1], kwargs: { f: true } }])
  })

  it('sends the input, not what the schema makes of it', async () => {
    const app = memoryApp()
    const loop = app.task('loop', { args: z.tuple([z.coerce.number<number | string>()]) }, (_t, n) => n)
    await loop.delay('30')
    expect(await sentMessages(app)).toMatchObject([{ args: ['30'] }])
  })

  it('sends what the arguments were when it was called', async () => {
    const app = memoryApp()
    const task = app.task('t', (_t, _order: { n: number }) => 1)
    const order = { n: 0 }
    const sending = [1, 2, 3].map(n => {
      order.n = n
      return task.delay(order)
    })
    await Promise.all(sending)
    expect((await sentMessages(app, 3)).map(({ args }) => args)).toEqual([[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]])
  })

  it('makes the task PENDING with its facts', async () => {
    const app = memoryApp()
    const task = app.task('t', () => 1)
    const result = await task.applyAsync([], { owner: 'ann', tags: ['a'] })
    const snapshot = await result.snapshot()
    expect(snapshot).toMatchObject({ state: 'PENDING', ready: false, name: 't', queue: 'celery', attempt: 1 })
    expect(snapshot?.queuedAt).toBeInstanceOf(Date)
    const { results } = await internals(app).backend()
    expect((await results.list({ owner: 'ann' })).items).toMatchObject([{ id: result.id, facts: { tags: ['a'] } }])
  })

  it('keeps keys that could change all objects from doing so', async () => {
    const app = memoryApp()
    const task = app.task('t', (_t, x: unknown) => x)
    await task.delay(JSON.parse('{"__proto__": {"polluted": 1}, "a": 2}')).catch(() => undefined)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })
})

describe('arguments that do not fit', () => {
  const app = new Lovage('test', { brokerUrl: 'memory://never-opened' })
  const loop = app.task('core.tasks.loop', { args: z.tuple([z.coerce.number<number | string>().int()]) }, (_t, n) => n)
  const login = app.task(
    'login',
    { kwargs: z.object({ user: z.string().max(3), password: z.string().max(3) }) },
    () => 1,
  )
  const untyped = (value: unknown) => value as never

  it('are refused before anything is sent, with task, place, value and issue', async () => {
    const error: unknown = await loop.delay('abc').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InvalidArgumentError)
    expect(error).toMatchObject({
      message: 'core.tasks.loop: argument 1 ("abc"): expected number, received NaN',
      code: 'E_INVALID_ARGUMENT',
    })
    expect((error as InvalidArgumentError).issues).toHaveLength(1)
  })

  it('are shown in 80 characters, and not at all under the name of a secret', async () => {
    await expect(login.delay({ user: 'x'.repeat(200), password: 'hunter2' })).rejects.toThrow(
      /^login: argument "user" \("x{78}…\): .*; argument "password" \(\*\*\*\): /,
    )
  })

  it.each([
    [[{}], 'core.tasks.loop: argument 1 ({}): expected number, received NaN'],
    [[Number.NaN], 'core.tasks.loop: argument 1 (NaN): expected number, received NaN'],
    [[1, 2], /^core\.tasks\.loop: arguments \(\[1,2\]\): /],
    [[], /^core\.tasks\.loop: arguments \(\[\]\): /],
  ])('include %j', async (args, message) => {
    await expect(loop.applyAsync(untyped(args))).rejects.toThrow(message)
  })

  it.each([
    ['options', [[1], null], 'core.tasks.loop: the options are null: expected an object'],
    ['headers', [[1], { headers: 'abc' }], 'core.tasks.loop: headers is "abc": expected an object of texts'],
    ['signal', [[1], { signal: 5 }], 'core.tasks.loop: signal is 5: expected an AbortSignal'],
  ])('are read with their %s', async (_what, given, message) => {
    const [args, options] = given as unknown as Parameters<typeof loop.applyAsync>
    await expect(loop.applyAsync(args, options)).rejects.toThrow(new InvalidArgumentError(message))
  })

  it('of many calls are a list of lists', async () => {
    await expect(loop.applyMany(untyped(5))).rejects.toThrow('core.tasks.loop: applyMany got 5: expected a list')
  })

  it('of a keyword task must be one plain object', async () => {
    await expect(login.delay(untyped('ann'))).rejects.toThrow(
      'login: its last argument is "ann": expected one plain object, its keyword arguments',
    )
    await expect(login.delay(untyped(new Map()))).rejects.toThrow(InvalidArgumentError)
  })

  it('are found by asynchronous schemas too', async () => {
    const taken = app.task(
      'taken',
      { args: z.tuple([z.string().refine(async name => name !== 'ann', 'is taken')]) },
      () => 1,
    )
    await expect(taken.delay('ann')).rejects.toThrow('taken: argument 1 ("ann"): is taken')
  })

  it.each([
    ['a Map', new Map()],
    ['a function', () => 1],
    ['NaN', Number.NaN],
  ])('cannot travel as %s', async (_what, value) => {
    const other = memoryApp()
    const task = other.task('t', (_t, x: unknown) => x)
    await expect(task.delay(value)).rejects.toThrow(EncodeError)
    await expect(task.delay({ deep: [value] })).rejects.toThrow(/^t: .*args\[0\]\.deep\[0\]/)
  })
})

describe('the size of a body', () => {
  const mebibytes = (count: number) => 'x'.repeat(count * 1024 * 1024)

  it('is limited to 1 MiB, and the limit can be raised', async () => {
    const small = memoryApp().task('t', (_t, x: string) => x)
    await expect(small.delay(mebibytes(2))).rejects.toThrow(MessageTooLargeError)
    await expect(small.delay(mebibytes(2))).rejects.toThrow(/the limit is 1048576. Send a reference/)
    const app = memoryApp({ maxBodyBytes: 4 * 1024 * 1024 })
    await app.task('t', (_t, x: string) => x).delay(mebibytes(2))
    expect((await sentMessages(app))[0]?.args[0]).toHaveLength(2 * 1024 * 1024)
  })

  it('is never 20 MiB', async () => {
    const task = memoryApp({ maxBodyBytes: 16 * 1024 * 1024 }).task('t', (_t, x: string) => x)
    await expect(task.delay(mebibytes(20))).rejects.toThrow(MessageTooLargeError)
  })

  it('counts bytes, not characters', async () => {
    const task = memoryApp().task('t', (_t, x: string) => x)
    await expect(task.delay('€'.repeat(400_000))).rejects.toThrow(/take 12000\d\d bytes/)
  })

  it('has its like for headers', async () => {
    const task = memoryApp().task('t', () => 1)
    const headers = Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`h${index}`, 'x'.repeat(250)]))
    await expect(task.applyAsync([], { headers })).rejects.toThrow(/the headers take \d+ bytes/)
  })
})

describe('applyAsync', () => {
  it('sends options as headers and to the queue named', async () => {
    const app = memoryApp()
    const task = app.task('t', () => 1)
    const expiresAt = new Date(Date.now() + 60_000)
    await task.applyAsync([], {
      queue: 'slow',
      priority: 9,
      expiresAt,
      taskId: 'mine',
      headers: { trace: 'x' },
      timeLimitMs: 2000,
      maxRetries: 7,
    })
    expect(await sentMessages(app, 1, 'slow')).toMatchObject([
      {
        id: 'mine',
        priority: 9,
        expiresAt: expiresAt.getTime(),
        headers: { trace: 'x' },
        timeLimitMs: 2000,
        maxRetries: 7,
      },
    ])
  })

  it('keeps a task back until its time', async () => {
    const app = memoryApp()
    await app.task('t', () => 1).applyAsync([], { countdownMs: 3_600_000 })
    expect(await app.queue('celery').stats()).toMatchObject({ ready: 0, delayed: 1 })
  })

  it.each([
    [{ countdown: 5 }, /there is no option "countdown": did you mean countdownMs\?/],
    [{ priority: 10 }, /priority is 10: expected a whole number from 0 to 9/],
    [{ priority: 1.5 }, /priority is 1.5/],
    [{ countdownMs: -1 }, /countdownMs is -1/],
    [{ countdownMs: 1, eta: new Date() }, /countdownMs and eta say the same/],
    [{ countdownMs: 1e300 }, /countdownMs is 1e\+300: expected milliseconds, 0 to/],
    [{ eta: new Date('never') }, /eta is Invalid Date: expected a Date/],
    [{ eta: new Date(8.64e15) }, /before the year 10000/],
    [{ queue: '' }, /queue is "": expected a text/],
    [{ tags: 'a' }, /tags is "a": expected a list of texts/],
  ])('refuses %j', async (options, message) => {
    const task = new Lovage('test', { brokerUrl: 'memory://never-opened' }).task('t', () => 1)
    await expect(task.applyAsync([], options as never)).rejects.toThrow(message)
  })

  it('throws the reason of a signal that has been aborted, and sends nothing', async () => {
    const app = memoryApp()
    const task = app.task('t', () => 1)
    await expect(task.applyAsync([], { signal: AbortSignal.abort('stop') })).rejects.toBe('stop')
    expect(await app.queue('celery').stats()).toMatchObject({ ready: 0 })
  })
})

describe('applyMany', () => {
  it('sends all in one trip, in order', async () => {
    const app = memoryApp()
    const add = app.task('add', (_t, x: number, y: number) => x + y)
    const results = await add.applyMany([
      [1, 2],
      [3, 4],
    ])
    expect((await sentMessages(app, 2)).map(({ id, args }) => ({ id, args }))).toEqual([
      { id: results[0]?.id, args: [1, 2] },
      { id: results[1]?.id, args: [3, 4] },
    ])
    expect(await add.applyMany([])).toEqual([])
  })

  it('sends none when one does not fit', async () => {
    const app = memoryApp()
    const loop = app.task('loop', { args: z.tuple([z.number()]) }, (_t, n) => n)
    await expect(loop.applyMany([[1], ['x'] as never])).rejects.toThrow(InvalidArgumentError)
    expect(await app.queue('celery').stats()).toMatchObject({ ready: 0 })
  })

  it('cannot take one id for many', async () => {
    const task = memoryApp().task('t', () => 1)
    await expect(task.applyMany([[]], { taskId: 'x' })).rejects.toThrow(/applyMany cannot take taskId/)
  })
})

describe('a broker that refuses', () => {
  /** An app whose broker takes what it is given, but for the calls with this argument. */
  async function appRefusing(argument: string, accepted: 'no' | 'unknown') {
    const [app, behind] = [memoryApp(), memoryApp()]
    const backend = await internals(behind).backend()
    const publish: Backend['publish'] = async batch => {
      const isRefused = ({ message }: Publication) => String(message.body).includes(argument)
      const outcomes = await backend.publish(batch.filter(publication => !isRefused(publication)))
      const taken = [...outcomes]
      return batch.map(publication =>
        isRefused(publication) ? { accepted, error: new Error('full') } : (taken.shift() ?? { accepted: 'yes' }),
      )
    }
    internals(app).takeOver({ ...backend, publish })
    return app
  }

  it('makes the call reject, and says whether it may be in the queue', async () => {
    const app = await appRefusing('bad', 'no')
    const error: unknown = await app.sendTask('t', ['bad'], {}, { taskId: 'mine' }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(PublishError)
    expect(error).toMatchObject({
      message: 't (mine) was not accepted: full',
      accepted: 'no',
      acceptedIds: [],
      rejectedIds: ['mine'],
    })
  })

  it('makes many calls reject with the ids that were and were not accepted', async () => {
    const app = await appRefusing('bad', 'unknown')
    const task = app.task('t', (_t, x: string) => x)
    const error: unknown = await task.applyMany([['good'], ['bad'], ['fine']]).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      message: expect.stringMatching(/^1 of 3 calls of t were perhaps not accepted/),
      accepted: 'unknown',
    })
    const { acceptedIds, rejectedIds } = error as PublishError
    expect([acceptedIds.length, rejectedIds.length]).toEqual([2, 1])
    expect((await sentMessages(app, 2)).map(({ id }) => id)).toEqual(acceptedIds)
  })

  it.each(['no', 'unknown'] as const)('leaves an idempotency key to the next call (%s)', async accepted => {
    const app = await appRefusing('bad', accepted)
    const refused: unknown = await app
      .sendTask('t', ['bad'], {}, { idempotencyKey: 'k' })
      .catch((thrown: unknown) => thrown)
    const again = await app.sendTask('t', ['good'], {}, { idempotencyKey: 'k' })
    expect(again.deduplicated).toBe(false)
    // what may be in the queue keeps its id: run twice, it is one task all the same
    expect(again.id === (refused as PublishError).rejectedIds[0]).toBe(accepted === 'unknown')
  })

  it('leaves a key taken over under its id: the one who had it may have sent (seed 7897 of the simulator)', async () => {
    const app = await appRefusing('bad', 'no')
    const { coordination } = await internals(app).backend()
    const claim = { id: 'perhaps sent', isSent: false, at: 0 }
    await coordination.put('idempotency/test/t/k', JSON.stringify(claim), 60_000)
    await expect(app.sendTask('t', ['bad'], {}, { idempotencyKey: 'k' })).rejects.toThrow(PublishError)
    expect(await app.sendTask('t', ['good'], {}, { idempotencyKey: 'k' })).toMatchObject({ id: 'perhaps sent' })
  })

  it('frees no key that another caller has taken over meanwhile', async () => {
    const [app, behind] = [memoryApp(), memoryApp()]
    const backend = await internals(behind).backend()
    const publish: Backend['publish'] = async batch => {
      const claim = { id: 'sent by another', isSent: true, at: Date.now() }
      await backend.coordination.put('idempotency/test/t/k', JSON.stringify(claim), 60_000)
      return batch.map(() => ({ accepted: 'no', error: new Error('full') }))
    }
    internals(app).takeOver({ ...backend, publish })
    await expect(app.sendTask('t', [], {}, { idempotencyKey: 'k' })).rejects.toThrow(PublishError)
    expect(await app.sendTask('t', [], {}, { idempotencyKey: 'k' })).toMatchObject({
      id: 'sent by another',
      deduplicated: true,
    })
  })
})

describe('an idempotency key', () => {
  it('sends once, and gives the first result the second time', async () => {
    const app = memoryApp()
    const task = app.task('t', (_t, n: number) => n)
    const [first, second] = await Promise.all([
      task.applyAsync([1], { idempotencyKey: 'k' }),
      task.applyAsync([1], { idempotencyKey: 'k' }),
    ])
    const third = await task.applyAsync([2], { idempotencyKey: 'k' })
    expect(new Set([first.id, second.id, third.id]).size).toBe(1)
    expect([first, second, third].filter(({ deduplicated }) => deduplicated)).toHaveLength(2)
    expect(await app.queue('celery').stats()).toMatchObject({ ready: 1 })
  })

  it('belongs to one task', async () => {
    const app = memoryApp()
    const [a, b] = [app.task('a', () => 1), app.task('b', () => 1)]
    const first = await a.applyAsync([], { idempotencyKey: 'k' })
    const second = await b.applyAsync([], { idempotencyKey: 'k' })
    expect(second).toMatchObject({ deduplicated: false })
    expect(second.id).not.toBe(first.id)
  })

  it('belongs to one app, by its name', async () => {
    const brokerUrl = `memory://${randomUUID()}`
    const [app, sameName] = [memoryApp({ brokerUrl }), memoryApp({ brokerUrl })]
    const other = new Lovage('other', { brokerUrl })
    onTestFinished(() => other.close())
    const first = await app.sendTask('t', [], {}, { idempotencyKey: 'k' })
    expect(await other.sendTask('t', [], {}, { idempotencyKey: 'k' })).toMatchObject({ deduplicated: false })
    expect(await sameName.sendTask('t', [], {}, { idempotencyKey: 'k' })).toMatchObject({
      id: first.id,
      deduplicated: true,
    })
    expect(await app.queue('celery').stats()).toMatchObject({ ready: 2 })
  })

  it('is free again when the call was refused', async () => {
    const app = memoryApp()
    const task = app.task('t', (_t, x: unknown) => x)
    await expect(task.applyAsync([new Map()], { idempotencyKey: 'k' })).rejects.toThrow(EncodeError)
    expect((await task.applyAsync([1], { idempotencyKey: 'k' })).deduplicated).toBe(false)
  })

  it('of a sender that just died is waited for, then taken over: nobody is told that it was sent', async () => {
    const clock = new TestClock()
    const app = new Lovage('test')
    const task = app.task('t', () => 1)
    await using _worker = await startTestWorker(app, { clock })
    const { coordination } = await internals(app).backend()
    await coordination.put(
      'idempotency/test/t/k',
      JSON.stringify({ id: 'left', isSent: false, at: clock.now() }),
      60_000,
    )
    const sending = task.applyAsync([], { idempotencyKey: 'k' })
    await clock.advance(10_000)
    const result = await sending
    expect(result).toMatchObject({ id: 'left', deduplicated: false })
    expect(await result.get({ timeoutMs: 5000 })).toBe(1)
  })

  it('that another caller is about to use gives what became of it', async () => {
    const app = memoryApp()
    const task = app.task('t', () => 1)
    const { coordination } = await internals(app).backend()
    const claim = { id: 'other', isSent: false, at: Date.now() }
    await coordination.put('idempotency/test/t/sent', JSON.stringify(claim), 60_000)
    await coordination.put('idempotency/test/t/refused', JSON.stringify(claim), 60_000)
    const sent = task.applyAsync([], { idempotencyKey: 'sent' })
    const refused = task.applyAsync([], { idempotencyKey: 'refused' })
    await coordination.put('idempotency/test/t/sent', JSON.stringify({ ...claim, isSent: true }), 60_000)
    await coordination.delete('idempotency/test/t/refused')
    expect(await sent).toMatchObject({ id: 'other', deduplicated: true })
    expect(await refused).toMatchObject({ deduplicated: false })
  })

  it('whose claimed task is in the store was sent', async () => {
    const app = memoryApp()
    await putState(app, { id: 'there', state: 'PENDING' })
    const { coordination } = await internals(app).backend()
    const claim = { id: 'there', isSent: false, at: Date.now() - 60_000 }
    await coordination.put('idempotency/test/t/k', JSON.stringify(claim), 60_000)
    expect(await app.sendTask('t', [], {}, { idempotencyKey: 'k' })).toMatchObject({ id: 'there', deduplicated: true })
  })

  it('can be waited for no longer than the caller likes', async () => {
    const app = memoryApp()
    const { coordination } = await internals(app).backend()
    await coordination.put('idempotency/test/t/k', JSON.stringify({ id: 'a', isSent: false, at: Date.now() }), 60_000)
    const caller = new AbortController()
    const sending = app.sendTask('t', [], {}, { idempotencyKey: 'k', signal: caller.signal })
    caller.abort(new Error('no longer'))
    await expect(sending).rejects.toThrow('no longer')
  })

  it('of a sender that died is taken over under the same id', async () => {
    const app = memoryApp()
    const task = app.task('t', () => 1)
    const { coordination } = await internals(app).backend()
    await coordination.put(
      'idempotency/test/t/k',
      JSON.stringify({ id: 'left', isSent: false, at: Date.now() - 60_000 }),
      60_000,
    )
    expect(await task.applyAsync([], { idempotencyKey: 'k' })).toMatchObject({ id: 'left', deduplicated: false })
    expect(await task.applyAsync([], { idempotencyKey: 'k' })).toMatchObject({ id: 'left', deduplicated: true })
    expect(await sentMessages(app)).toMatchObject([{ id: 'left' }])
  })
})

describe('the queue', () => {
  const routes = { 'ts.*': 'ts', 'ts.slow.exact': 'exact', 'img?': 'images', '*.report': 'reports' }

  it.each([
    ['ts.add', 'ts'],
    ['ts.slow.exact', 'exact'],
    ['img1', 'images'],
    ['img12', undefined],
    ['a.b.report', 'reports'],
    ['tsXadd', undefined],
    ['__proto__', undefined],
  ])('of %s is %s', (name, queue) => expect(routeOf(name, routes)).toBe(queue))

  it('is the call’s, else the task’s, else the route’s, else the default', async () => {
    const app = memoryApp({ routes: { 'ts.*': 'routed' }, defaultQueue: 'other' })
    const owned = app.task('ts.owned', { queue: 'owned' }, () => 1)
    await owned.applyAsync([], { queue: 'called' })
    await owned.delay()
    await app.task('ts.routed', () => 1).delay()
    await app.sendTask('py.default')
    const lengths = await Promise.all(
      ['called', 'owned', 'routed', 'other'].map(async name => (await app.queue(name).stats()).ready),
    )
    expect(lengths).toEqual([1, 1, 1, 1])
  })

  it('can be paused, taken up and emptied', async () => {
    const app = memoryApp()
    const { coordination } = await internals(app).backend()
    await app.queue('celery').pause()
    expect(await coordination.list('paused/')).toMatchObject([{ key: 'paused/celery' }])
    await app.queue('celery').resume()
    expect(await coordination.list('paused/')).toEqual([])
    await app.sendTask('t')
    expect(await app.queue('celery').purge()).toBe(1)
  })
})

describe('sendTask', () => {
  it('sends what it is given, unchecked', async () => {
    const app = memoryApp()
    app.task('loop', { args: z.tuple([z.number()]) }, (_t, n) => n)
    await app.sendTask('loop', ['not a number'], { x: 2 }, { queue: 'q' })
    expect(await sentMessages(app, 1, 'q')).toMatchObject([{ task: 'loop', args: ['not a number'], kwargs: { x: 2 } }])
  })

  it.each([
    [['t', 'args'], /the arguments are "args": expected an array/],
    [['t', [], 'kwargs'], /the keyword arguments are "kwargs"/],
    [['', []], /The name of a task is "": expected a text/],
    [['t', [], {}, { countdown: 1 }], /no option "countdown"/],
  ])('refuses %j', async (call, message) => {
    const app = new Lovage('test', { brokerUrl: 'memory://never-opened' })
    await expect(app.sendTask(...(call as [string]))).rejects.toThrow(message)
  })
})

describe('an app', () => {
  it('does no I/O when it is made, and refuses options it has not', () => {
    expect(() => new Lovage('a', { brokerUrl: 'nonsense' })).not.toThrow()
    expect(() => new Lovage('a', { brokerurl: 'x' } as never)).toThrow(
      /there is no option "brokerurl": did you mean brokerUrl\?/,
    )
    expect(() => new Lovage('')).toThrow(ConfigurationError)
  })

  it('says which drivers come next', async () => {
    const app = new Lovage('a', { brokerUrl: 'redis://me:hunter2@host' })
    await expect(app.sendTask('t')).rejects.toThrow(UnsupportedError)
    await expect(app.sendTask('t')).rejects.toThrow('The driver for Redis (redis:) comes next')
  })

  it('shares its connection with every app of the process that has the same URL', async () => {
    const [a, b] = [memoryApp({ brokerUrl: 'memory://shared' }), memoryApp({ brokerUrl: 'memory://shared' })]
    const [left, right] = await Promise.all([internals(a).backend(), internals(b).backend()])
    expect(left.broker).toBe(right.broker)
    await a.close()
    await b.sendTask('t')
    expect(await b.queue('celery').stats()).toMatchObject({ ready: 1 })
  })

  it('is closed for good, and close is idempotent', async () => {
    const app = memoryApp()
    await app.sendTask('t')
    await Promise.all([app.close(), app.close()])
    await expect(app.sendTask('t')).rejects.toThrow(IllegalStateError)
  })

  it('can be taken over before its first use, and given back', async () => {
    const [app, other] = [memoryApp(), memoryApp()]
    const giveBack = internals(app).takeOver(await internals(other).backend())
    await app.sendTask('t')
    expect(await other.queue('celery').stats()).toMatchObject({ ready: 1 })
    expect(() => internals(app).takeOver({} as never)).toThrow(IllegalStateError)
    giveBack()
    expect(await app.queue('celery').stats()).toMatchObject({ ready: 0 })
  })

  it('tells of names defined twice, with both places', () => {
    const app = memoryApp()
    app.task('twice', () => 1)
    app.task('twice', () => 2)
    app.declareTask('declared').implement(() => 1)
    for (let round = 0; round < 2; round++) app.task('reloaded', () => round)
    expect(internals(app).duplicates()).toEqual([
      {
        name: 'twice',
        files: [expect.stringMatching(/send\.test\.ts:\d+:\d+$/), expect.stringMatching(/send\.test\.ts/)],
      },
    ])
  })

  it.each([
    [{ queu: 'x' }, /t: there is no option "queu": did you mean queue\?/],
    [{ retry: { backoff: 'fixed' } }, /t: retry says no max/],
    [{ retry: { max: 3, backof: 1 } }, /no option "backof": did you mean backoff\?/],
    [{ priority: 11 }, /t: priority is 11/],
    [{ args: {} }, /t: args is no schema/],
  ])('refuses a task with %j', (options, message) => {
    expect(() => memoryApp().task('t', options as never, () => 1)).toThrow(message)
  })

  it('hints once at a worker that is missing, outside production', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    vi.stubEnv('NODE_ENV', 'development')
    const hints = () => write.mock.calls.map(([line]) => String(line)).filter(line => line.startsWith('No worker'))
    const app = memoryApp({ brokerUrl: 'memory://without-worker' })
    await app.sendTask('t')
    await app.sendTask('t')
    await vi.waitFor(() =>
      expect(hints()).toEqual(['No worker has been seen on memory://without-worker. Start one: npx lovage worker\n']),
    )
    const busy = memoryApp({ brokerUrl: 'memory://with-worker' })
    const { coordination } = await internals(busy).backend()
    await coordination.put('worker/w@here', '{}', 60_000)
    await busy.sendTask('t')
    await coordination.list('worker/')
    expect(hints()).toHaveLength(1)
    vi.unstubAllEnvs()
    write.mockRestore()
  })
})

it('unchecked takes anything', async () => {
  expect(await unchecked<number>()['~standard'].validate('text')).toEqual({ value: 'text' })
})
