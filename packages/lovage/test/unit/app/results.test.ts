import { describe, expect, it } from 'vitest'
import { internals } from '../../../src/app/internals.ts'
import type { Lovage } from '../../../src/app/lovage.ts'
import type { Snapshot } from '../../../src/app/types.ts'
import {
  InvalidArgumentError,
  ResultTimeoutError,
  TaskFailedError,
  TaskRevokedError,
} from '../../../src/core/errors.ts'
import { memoryApp, putState } from './support.ts'

const failure = JSON.stringify({ type: 'ValueError', message: 'boom', traceback: 'at line 1', retryable: false })

async function sent(app: Lovage) {
  return await app.task('core.tasks.add', (_t, x: number) => x).delay(1)
}

describe('a snapshot', () => {
  it('is undefined for an id that nobody knows', async () => {
    const result = memoryApp().result('nobody')
    expect([await result.snapshot(), await result.state(), await result.info()]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect([await result.ready(), await result.successful(), await result.failed()]).toEqual([false, false, false])
  })

  it.each([
    [{ current: 3, total: 10 }, 30],
    [{ current: 2, total: 3 }, 66.6],
    [{ current: 999_999, total: 1_000_000 }, 99.9],
    [{ current: 20, total: 10 }, 100],
    [{ current: 3 }, undefined],
    [{ current: 0, total: 0 }, undefined],
  ])('has the progress %j as percentage %s', async (progress, percent) => {
    const app = memoryApp()
    const result = await sent(app)
    await putState(app, { id: result.id, state: 'PROGRESS', value: JSON.stringify(progress) })
    expect(await result.snapshot()).toMatchObject({
      state: 'PROGRESS',
      ready: false,
      progress: { ...progress, percent },
    })
    expect(await result.info()).toEqual(progress)
  })

  it('has the error of a failure, and when a retry is due', async () => {
    const app = memoryApp()
    const result = await sent(app)
    const retryAt = Date.now() + 5000
    await putState(app, { id: result.id, state: 'RETRY', value: JSON.stringify({ ...JSON.parse(failure), retryAt }) })
    expect(await result.snapshot()).toMatchObject({
      state: 'RETRY',
      error: { type: 'ValueError', message: 'boom' },
      retryAt: new Date(retryAt),
    })
    await putState(app, { id: result.id, state: 'FAILURE', value: failure, retries: 1 })
    expect(await result.snapshot()).toMatchObject({
      state: 'FAILURE',
      ready: true,
      attempt: 2,
      error: { retryable: false, traceback: 'at line 1' },
      readyAt: expect.any(Date),
    })
    expect(await result.failed()).toBe(true)
  })

  it('has the meta of a custom state and the result with its dates', async () => {
    const app = memoryApp()
    const result = await sent(app)
    await putState(app, { id: result.id, state: 'ENCODING', value: '{"frame":1}' })
    expect(await result.snapshot()).toMatchObject({ state: 'ENCODING', ready: false, meta: { frame: 1 } })
    await putState(app, {
      id: result.id,
      state: 'SUCCESS',
      value: '{"__type__":"datetime","__value__":"2026-11-22T00:00:00+00:00"}',
    })
    expect(await result.info()).toEqual(new Date('2026-11-22T00:00:00Z'))
    expect(await result.successful()).toBe(true)
  })

  it('is gone when forgotten', async () => {
    const app = memoryApp()
    const result = await sent(app)
    await putState(app, { id: result.id, state: 'SUCCESS', value: '1' })
    await result.forget()
    expect(await result.snapshot()).toBeUndefined()
  })
})

describe('get', () => {
  it('waits for the value', async () => {
    const app = memoryApp()
    const result = await sent(app)
    const value = result.get()
    await putState(app, { id: result.id, state: 'SUCCESS', value: '2' })
    expect(await value).toBe(2)
    expect(await app.result(result.id).get()).toBe(2)
  })

  it('throws what was thrown there, by name', async () => {
    const app = memoryApp()
    const result = await sent(app)
    await putState(app, { id: result.id, state: 'FAILURE', value: failure })
    const error: unknown = await result.get().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TaskFailedError)
    expect(error).toMatchObject({
      message: `core.tasks.add (${result.id}) failed: ValueError: boom`,
      taskId: result.id,
      remoteType: 'ValueError',
      remoteMessage: 'boom',
      remoteTraceback: 'at line 1',
    })
  })

  it('throws of a revoked task that it was', async () => {
    const app = memoryApp()
    const result = await sent(app)
    await putState(app, {
      id: result.id,
      state: 'REVOKED',
      value: JSON.stringify({ type: 'TaskRevokedError', message: 'expired', retryable: false, reason: 'expired' }),
    })
    await expect(result.get()).rejects.toThrow(TaskRevokedError)
    await expect(result.get()).rejects.toThrow(/was expired/)
  })

  it('says on time-out whether the task is known', async () => {
    const app = memoryApp()
    const result = await sent(app)
    await expect(result.get({ timeoutMs: 5 })).rejects.toMatchObject({
      known: true,
      message: expect.stringContaining('it is PENDING'),
    })
    const unknown: unknown = await app
      .result('nobody')
      .get({ timeoutMs: 5 })
      .catch((thrown: unknown) => thrown)
    expect(unknown).toBeInstanceOf(ResultTimeoutError)
    expect(unknown).toMatchObject({
      known: false,
      message: 'No result of task nobody within 5 ms: no task with this id is known here',
    })
  })

  it('waits for a task that becomes known later', async () => {
    const app = memoryApp()
    const value = app.result('later').get()
    await putState(app, { id: 'later', state: 'SUCCESS', value: '"here"' })
    expect(await value).toBe('here')
  })

  it('throws the reason of its signal', async () => {
    const app = memoryApp()
    const result = await sent(app)
    const controller = new AbortController()
    const value = result.get({ signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(value).rejects.toThrow('enough')
    await expect(result.get({ signal: AbortSignal.abort('already') })).rejects.toBe('already')
  })

  it('refuses options it has not, and ids that are none', async () => {
    const app = memoryApp()
    await expect(app.result('x').get({ timeout: 5 } as never)).rejects.toThrow(/did you mean timeoutMs\?/)
    for (const id of ['', undefined, 5]) expect(() => app.result(id as string)).toThrow(InvalidArgumentError)
  })
})

describe('watch', () => {
  it('yields every newer snapshot and ends with the ready one', async () => {
    const app = memoryApp()
    const result = await sent(app)
    const states: Snapshot[] = []
    const next = async (state: string, value: string, seq: number) =>
      await putState(app, { id: result.id, state, value, seq })
    for await (const snapshot of result.watch()) {
      states.push(snapshot)
      if (snapshot.state === 'PENDING') await next('PROGRESS', '{"current":1,"total":2}', 1)
      if (snapshot.state === 'PROGRESS') await next('SUCCESS', '7', 2)
    }
    expect(states.map(({ state }) => state)).toEqual(['PENDING', 'PROGRESS', 'SUCCESS'])
    expect(states.at(-1)).toMatchObject({ ready: true, result: 7 })
  })

  it('yields nothing of an unknown task until it is known', async () => {
    const app = memoryApp()
    const iterator = app.result('later').watch()[Symbol.asyncIterator]()
    const first = iterator.next()
    await putState(app, { id: 'later', state: 'STARTED' })
    expect(await first).toMatchObject({ value: { state: 'STARTED' }, done: false })
    await iterator.return?.()
  })

  it('throws the reason of its signal', async () => {
    const app = memoryApp()
    const controller = new AbortController()
    const next = app.result('nobody').watch({ signal: controller.signal })[Symbol.asyncIterator]().next()
    controller.abort('enough')
    await expect(next).rejects.toBe('enough')
  })
})

describe('revoke', () => {
  it('leaves a request that workers watch', async () => {
    const app = memoryApp()
    const result = await sent(app)
    await result.revoke({ terminate: true, reason: 'asked' })
    const { coordination } = await internals(app).backend()
    expect(JSON.parse((await coordination.get(`revoke/${result.id}`)) ?? '')).toMatchObject({
      terminate: true,
      reason: 'asked',
      at: expect.any(Number),
    })
    expect(await result.state()).toBe('PENDING')
  })

  it('leaves a ready task as it is', async () => {
    const app = memoryApp()
    const result = await sent(app)
    await putState(app, { id: result.id, state: 'SUCCESS', value: '1' })
    await result.revoke()
    expect(await (await internals(app).backend()).coordination.get(`revoke/${result.id}`)).toBeUndefined()
  })
})
