import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { internals } from '../../../src/app/internals.ts'
import type { Lovage } from '../../../src/app/lovage.ts'
import { currentTask } from '../../../src/app/process-wide.ts'
import { unchecked } from '../../../src/app/schema.ts'
import type { TaskContext } from '../../../src/app/types.ts'
import {
  InvalidArgumentError,
  ShutdownError,
  SoftTimeLimitExceeded,
  TaskNotImplementedError,
  TaskRevokedError,
} from '../../../src/core/errors.ts'
import { decodeTaskHeaders } from '../../../src/protocol/task-message.ts'
import type { AbortReason, RunReport, RunResult } from '../../../src/pools/pool.ts'
import { memoryApp, runNext, takeDeliveries } from './support.ts'

/** Sends it as a foreign client would, and runs it. */
async function runSent(
  app: Lovage,
  name: string,
  [args, kwargs = {}]: readonly [args?: readonly unknown[], kwargs?: Readonly<Record<string, unknown>>] = [],
): Promise<RunResult> {
  await app.sendTask(name, args ?? [], kwargs)
  return await runNext(app)
}

describe('a run', () => {
  it('gives the value as JSON, null for none', async () => {
    const app = memoryApp()
    app.task('add', (_t, x: number, y: number) => x + y)
    app.task('none', () => undefined)
    app.task('later', async () => await Promise.resolve({ at: 1 }))
    expect(await runSent(app, 'add', [[1, 2]])).toEqual({ kind: 'returned', value: '3' })
    expect(await runSent(app, 'none')).toEqual({ kind: 'returned', value: 'null' })
    expect(await runSent(app, 'later')).toEqual({ kind: 'returned', value: '{"at":1}' })
  })

  it('hands the schema’s output to the handler', async () => {
    const app = memoryApp()
    const got: unknown[] = []
    const width = z.coerce.number<number | string>().default(100)
    app.task(
      'resize',
      { args: z.tuple([z.coerce.number<number | string>()]), kwargs: z.object({ width }) },
      (_t, n, { width: wide }) => void got.push(n, wide),
    )
    await runSent(app, 'resize', [['7']])
    expect(got).toEqual([7, 100])
  })

  it('checks what Python sent; bad arguments are no reason to retry', async () => {
    const app = memoryApp()
    app.task('loop', { args: z.tuple([z.number()]), retry: { max: 5 } }, (_t, n) => n)
    expect(await runSent(app, 'loop', [['abc']])).toMatchObject({
      kind: 'threw',
      wantsRetry: false,
      error: {
        type: 'InvalidArgumentError',
        message: 'loop: argument 1 ("abc"): expected number, received string',
        retryable: false,
      },
    })
  })

  it('binds keyword arguments by params', async () => {
    const app = memoryApp()
    app.task('pow', { params: ['x', 'y'] }, (_t, x?: number, y?: number) => [x ?? null, y ?? null])
    expect(await runSent(app, 'pow', [[], { x: 2, y: 3 }])).toEqual({ kind: 'returned', value: '[2,3]' })
    expect(await runSent(app, 'pow', [[2], { y: 3 }])).toEqual({ kind: 'returned', value: '[2,3]' })
    expect(await runSent(app, 'pow', [[2]])).toEqual({ kind: 'returned', value: '[2,null]' })
    expect(await runSent(app, 'pow', [[], { y: 3 }])).toEqual({ kind: 'returned', value: '[null,3]' })
  })

  it.each([
    ['pow', [[2], { x: 3 }], /"x" was given twice, as argument 1 and by name/],
    ['pow', [[2], { z: 3 }], /the keyword argument "z" is not taken \(params: x, y\)\. Name it in the task's params/],
    ['plain', [[], { z: 3 }], /the keyword argument "z" is not taken\. Name it/],
    ['keywords', [['a'], {}], /takes keyword arguments only, and got 1 positional: "a"/],
  ] as const)('refuses %s with %j', async (name, call, message) => {
    const app = memoryApp()
    app.task('pow', { params: ['x', 'y'] }, (_t, x: number, y: number) => x ** y)
    app.task('plain', () => 1)
    app.task('keywords', { kwargs: unchecked<{ a: number }>() }, () => 1)
    const result = await runSent(app, name, call)
    expect(result).toMatchObject({
      kind: 'threw',
      wantsRetry: false,
      error: { type: 'InvalidArgumentError', message: expect.stringMatching(message) },
    })
  })

  it('gives the handler the raw request', async () => {
    const app = memoryApp()
    let seen: TaskContext['request'] | undefined
    app.task('t', { params: ['a'] }, (task, _a: number) => void (seen = task.request))
    const { id } = await app.sendTask('t', [], { a: 1 }, { headers: { trace: 'x' }, expiresInMs: 60_000 })
    await runNext(app)
    expect(seen).toMatchObject({
      id,
      name: 't',
      queue: 'celery',
      retries: 0,
      redelivered: false,
      args: [],
      kwargs: { a: 1 },
      headers: { trace: 'x' },
      rootId: id,
      expiresAt: expect.any(Date),
    })
  })

  it('fails once and for all when the value cannot travel', async () => {
    const app = memoryApp()
    app.task('t', { retry: { max: 5 } }, () => ({ rows: new Map() }))
    expect(await runSent(app, 't')).toMatchObject({
      kind: 'threw',
      wantsRetry: false,
      error: { type: 'EncodeError', retryable: false, message: expect.stringContaining('result.rows') },
    })
  })

  it('fails when the value is more than anybody could read back', async () => {
    const app = memoryApp()
    app.task('t', () => 'x'.repeat(17 * 1024 * 1024))
    expect(await runSent(app, 't')).toMatchObject({
      kind: 'threw',
      wantsRetry: false,
      error: { type: 'MessageTooLargeError', retryable: false, message: expect.stringContaining('Return a reference') },
    })
  })

  it('asks retry.on whether to try again', async () => {
    const app = memoryApp()
    app.task('range', { retry: { max: 1, on: error => error instanceof RangeError } }, () => {
      throw new RangeError('out')
    })
    app.task('type', { retry: { max: 1, on: error => error instanceof RangeError } }, () => {
      throw new TypeError('no')
    })
    app.task('any', () => Promise.reject(new Error('later')))
    expect(await runSent(app, 'range')).toMatchObject({
      kind: 'threw',
      wantsRetry: true,
      error: { type: 'RangeError', message: 'out' },
    })
    expect(await runSent(app, 'type')).toMatchObject({ wantsRetry: false })
    expect(await runSent(app, 'any')).toMatchObject({ wantsRetry: true, error: { message: 'later' } })
  })

  it('knows what it cannot run', async () => {
    const app = memoryApp()
    app.task('core.add', () => 1)
    app.declareTask('declared')
    expect(await runSent(app, 'core.ad')).toMatchObject({
      kind: 'threw',
      wantsRetry: false,
      error: { type: 'TaskNotRegisteredError', message: 'No task "core.ad" is known here. Did you mean core.add?' },
    })
    expect(await runSent(app, 'declared')).toMatchObject({
      wantsRetry: false,
      error: {
        type: 'TaskNotImplementedError',
        message: expect.stringMatching(/declared in .*run-task\.test\.ts:\d+/),
      },
    })
  })
})

describe('the wishes of a task', () => {
  const wish = async (handler: (task: TaskContext) => unknown): Promise<RunResult> => {
    const app = memoryApp()
    app.task('t', task => handler(task))
    return await runSent(app, 't')
  }

  it('are a retry, with or without a cause', async () => {
    expect(await wish(task => task.retry({ countdownMs: 5000, maxRetries: 2 }))).toEqual({
      kind: 'retry',
      countdownMs: 5000,
      maxRetries: 2,
      error: { type: 'Retry', module: 'celery.exceptions', message: 'Retry in 5s', retryable: true },
    })
    expect(await wish(task => task.retry({ cause: new TypeError('busy') }))).toMatchObject({
      kind: 'retry',
      countdownMs: undefined,
      error: { type: 'TypeError', message: 'busy' },
    })
    expect(await wish(task => task.retry({ eta: new Date(0) }))).toMatchObject({ kind: 'retry', countdownMs: 0 })
  })

  it('are to leave no state, or to give the message back', async () => {
    expect(await wish(task => task.ignore('stale'))).toEqual({ kind: 'ignored', reason: 'stale' })
    expect(await wish(task => task.reject())).toEqual({ kind: 'rejected', requeue: false })
    expect(await wish(task => task.reject({ requeue: true }))).toEqual({ kind: 'rejected', requeue: true })
  })

  it('are checked', async () => {
    expect(await wish(task => task.retry({ countdown: 5 } as never))).toMatchObject({
      kind: 'threw',
      error: { message: expect.stringContaining('did you mean countdownMs?') },
    })
    // a time that no date can hold
    expect(await wish(task => task.retry({ countdownMs: 9e15 }))).toMatchObject({
      kind: 'threw',
      error: { type: 'InvalidArgumentError', message: expect.stringContaining('countdownMs is 9000000000000000') },
    })
  })
})

describe('a run that is told to stop', () => {
  async function runAborted(
    reason: AbortReason,
    error: Error,
    handler: (task: TaskContext) => unknown,
  ): Promise<RunResult> {
    const app = memoryApp()
    const controller = new AbortController()
    app.task('t', task => {
      controller.abort(error)
      return handler(task)
    })
    await app.sendTask('t')
    return await runNext(app, { abort: { controller, reason: () => (controller.signal.aborted ? reason : undefined) } })
  }
  const revoked = new TaskRevokedError('revoked', { taskId: 'x' })

  it('has been aborted when it throws, whatever it throws', async () => {
    expect(await runAborted('revoked', revoked, task => task.sleep(1000))).toMatchObject({
      kind: 'aborted',
      reason: 'revoked',
      error: { type: 'TaskRevokedError' },
    })
    expect(
      await runAborted('shutdown', new ShutdownError('stopping'), () => Promise.reject(new Error('other'))),
    ).toMatchObject({ kind: 'aborted', reason: 'shutdown', error: { type: 'ShutdownError' } })
    expect(await runAborted('terminated', revoked, task => task.retry())).toMatchObject({
      kind: 'aborted',
      reason: 'terminated',
    })
  })

  it('has returned when it returns all the same', async () => {
    expect(await runAborted('revoked', revoked, () => 'done')).toEqual({ kind: 'returned', value: '"done"' })
  })

  it('has failed with SoftTimeLimitExceeded when its time was up, also behind a library’s AbortError', async () => {
    const limit = new SoftTimeLimitExceeded('over 10 ms')
    const abortError = Object.assign(new Error('The operation was aborted'), { name: 'AbortError' })
    expect(await runAborted('soft-time-limit', limit, task => task.sleep(1000))).toMatchObject({
      kind: 'threw',
      wantsRetry: true,
      error: { type: 'SoftTimeLimitExceeded' },
    })
    expect(await runAborted('soft-time-limit', limit, () => Promise.reject(abortError))).toMatchObject({
      error: { type: 'SoftTimeLimitExceeded' },
    })
    expect(await runAborted('soft-time-limit', limit, () => Promise.reject(new Error('own')))).toMatchObject({
      error: { type: 'Error', message: 'own' },
    })
    expect(await runAborted('soft-time-limit', limit, task => task.retry())).toMatchObject({ kind: 'retry' })
  })
})

describe('what a task reports', () => {
  async function reportsOf(
    handler: (task: TaskContext<{ ENCODING: { frame: number } }>) => unknown,
  ): Promise<RunReport[]> {
    const app = memoryApp()
    const reports: RunReport[] = []
    app.task('t', { states: { ENCODING: z.object({ frame: z.number() }) } }, task => handler(task))
    await app.sendTask('t')
    await runNext(app, { reports })
    return reports
  }
  const progressOf = (reports: readonly RunReport[]) =>
    reports.flatMap(report => (report.kind === 'progress' ? [report.progress] : []))

  it('leaves at once, and the last one always', async () => {
    const reports = await reportsOf(task => {
      for (let i = 0; i < 1000; i++) task.progress(i, 1000, { message: 'rows' })
    })
    expect(progressOf(reports)).toEqual([
      { current: 0, total: 1000, message: 'rows' },
      { current: 999, total: 1000, message: 'rows' },
    ])
  })

  it('leaves a task that never yields, four times a second', async () => {
    const app = memoryApp()
    const reports: RunReport[] = []
    const seenAt: number[] = []
    app.task('busy', task => {
      const end = Date.now() + 600
      let seen = 0
      for (let i = 0; Date.now() < end; i++) {
        task.progress(i)
        if (reports.length > seen) seen = seenAt.push(i)
      }
    })
    await app.sendTask('busy')
    await runNext(app, { reports })
    // at 0, 250 and 500 ms inside the loop, and once at the end
    expect(seenAt.length).toBeGreaterThanOrEqual(2)
    expect(seenAt.length).toBeLessThanOrEqual(3)
    expect(progressOf(reports)).toHaveLength(seenAt.length + 1)
  })

  it('leaves by itself when the task waits', async () => {
    const app = memoryApp()
    const reports: RunReport[] = []
    const second = Promise.withResolvers<void>()
    app.task('t', async task => {
      task.progress(1)
      task.progress(2)
      await second.promise
    })
    await app.sendTask('t')
    const run = runNext(app, {
      reports: Object.assign(reports, {
        push: (report: RunReport) => (
          report.kind === 'progress' && report.progress.current === 2 && second.resolve(),
          Array.prototype.push.call(reports, report)
        ),
      }),
    })
    await second.promise
    await run
    expect(progressOf(reports).map(({ current }) => current)).toEqual([1, 2])
  })

  it('is kept short and never fails the task', async () => {
    const reports = await reportsOf(task => {
      task.progress(1, Number.NaN, { message: 'x'.repeat(500), unit: 7 as never })
      return 1
    })
    expect(progressOf(reports)).toEqual([{ current: 1, message: `${'x'.repeat(199)}…`, unit: '7' }])
    const wrong = await reportsOf(task => task.progress('one' as never))
    expect(wrong).toMatchObject([
      { kind: 'log', level: 'warn', message: 'progress("one") is not reported: it is no number' },
    ])
  })

  it('is a custom state that was declared and fits', async () => {
    expect(await reportsOf(task => task.updateState('ENCODING', { frame: 1 }))).toMatchObject([
      { kind: 'state', state: 'ENCODING', value: '{"frame":1}' },
    ])
  })

  it.each([
    ['ENCODING', { frame: 'one' }, /State "ENCODING" is not reported: what goes with it does not fit: /],
    ['SUCCESS', 1, /State "SUCCESS" is not reported: it is Lovage's to set/],
    ['PROGRESS', {}, /call task\.progress\(current, total\)/],
    ['OTHER', {}, /declare it in the task's options: { states: { OTHER: … } }/],
    ['__proto__', {}, /declare it/],
  ])('is no state %s with %j, which the log says', async (state, meta, message) => {
    const reports = await reportsOf(task => (task as TaskContext).updateState(state, meta))
    expect(reports).toMatchObject([{ kind: 'log', level: 'warn', message: expect.stringMatching(message) }])
  })

  it('is cut when it is over 4 KiB', async () => {
    const reports = await reportsOf(task =>
      task.updateState('ENCODING', { frame: 1, junk: 'x'.repeat(10_000) } as never),
    )
    expect(JSON.parse((reports[0] as { value: string }).value)).toMatchObject({
      truncated: true,
      bytes: expect.any(Number),
    })
  })

  it('is a log line that can cross a thread border', async () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    const reports = await reportsOf(task => {
      task.log.info('hello', { error: new TypeError('boom'), big: 1n, when: new Date(0) })
      task.log.error('odd', circle)
      task.log.warn('x'.repeat(10_000))
    })
    expect(reports).toMatchObject([
      {
        kind: 'log',
        level: 'info',
        message: 'hello',
        fields: { error: { type: 'TypeError', message: 'boom' }, big: '1n', when: '1970-01-01T00:00:00.000Z' },
      },
      { level: 'error', message: 'odd', fields: { unprintable: expect.any(String) } },
      { level: 'warn', message: expect.stringMatching(/^x{2047}…$/) },
    ])
    expect(() => structuredClone(reports)).not.toThrow()
  })

  it('is nothing any more when it has ended', async () => {
    let late: TaskContext | undefined
    const reports = await reportsOf(task => void (late = task))
    late?.progress(1)
    late?.log.info('late')
    expect(reports).toEqual([])
  })

  it('costs little in a loop', async () => {
    const calls = 2_000_000
    let ns = 0
    await reportsOf(task => {
      for (let i = 0; i < 100_000; i++) task.progress(i, calls)
      const startedAt = performance.now()
      for (let i = 0; i < calls; i++) task.progress(i, calls)
      ns = ((performance.now() - startedAt) * 1e6) / calls
    })
    console.log(`task.progress: ${ns.toFixed(1)} ns per call`)
    expect(ns).toBeGreaterThan(0)
  })
})

describe('the current task', () => {
  it('is known at any depth, and nowhere else', async () => {
    const app = memoryApp()
    const deep = async (): Promise<string | undefined> => await Promise.resolve().then(() => currentTask()?.id)
    app.task('t', async () => await deep())
    const { id } = await app.sendTask('t')
    expect(await runNext(app)).toEqual({ kind: 'returned', value: JSON.stringify(id) })
    expect(currentTask()).toBeUndefined()
  })

  it('is the parent of what is sent inside it', async () => {
    const app = memoryApp()
    app.task('child', () => 1)
    app.task('parent', async () => (await app.sendTask('child')).id)
    const { id } = await app.sendTask('parent')
    await runNext(app)
    const [child] = await takeDeliveries(await internals(app).backend(), 'celery', 1)
    expect(child && decodeTaskHeaders(child.message)).toMatchObject({ task: 'child', parentId: id, rootId: id })
  })
})

describe('run', () => {
  it('is one attempt without a broker, its value as a caller would read it', async () => {
    const app = memoryApp({ brokerUrl: 'redis://nowhere' })
    const add = app.task('add', (_t, x: number, y: number = 2) => ({ sum: x + y, note: undefined }))
    expect(await add.run(1)).toEqual({ sum: 3 })
    expect(await app.task('none', () => undefined).run()).toBeNull()
    const loop = app.task('loop', { args: z.tuple([z.coerce.number<number | string>()]) }, (_t, n) => n)
    expect(await loop.run('30')).toBe(30)
    await expect(loop.run('x')).rejects.toThrow(InvalidArgumentError)
  })

  it('rejects with what the handler throws, signals too', async () => {
    const app = memoryApp()
    await expect(app.task('t', () => Promise.reject(new RangeError('out'))).run()).rejects.toThrow(RangeError)
    await expect(app.task('r', task => task.retry({ countdownMs: 100 })).run()).rejects.toMatchObject({
      kind: 'retry',
      countdownMs: 100,
    })
  })

  it('of a declared task needs its implementation', async () => {
    const app = memoryApp()
    const report = app.declareTask('report', { kwargs: unchecked<{ year: number }>(), result: unchecked<string>() })
    await expect(report.run({ year: 1 })).rejects.toThrow(TaskNotImplementedError)
    report.implement((_task, { year }) => `${year}`)
    expect(await report.run({ year: 2026 })).toBe('2026')
  })
})
