/** The public types as users meet them; what must not compile is marked. Compiled, never run. */
/* oxlint-disable max-params, typescript/unbound-method, typescript/only-throw-error */
import { expectTypeOf } from 'expect-type'
import { z } from 'zod'
import { Lovage, currentTask, unchecked } from '../../src/index.ts'
import type { AnyTask, AsyncResult, Kwargs, Snapshot, Task, TaskContext } from '../../src/index.ts'

const app = new Lovage('mysite')

// ── Handlers without a schema: arguments from their annotations, names kept ─────────────────────────
const add = app.task('core.tasks.add', (_task, x: number, y: number) => x + y)
expectTypeOf(add).toEqualTypeOf<Task<'core.tasks.add', (x: number, y: number) => number, {}>>()
expectTypeOf(add.name).toEqualTypeOf<'core.tasks.add'>()
const nap = app.task('core.tasks.nap', async (task, ms: number) => {
  await task.sleep(ms)
})
expectTypeOf(await (await nap.delay(5)).get()).toEqualTypeOf<null>()
expectTypeOf(await nap.run(5)).toEqualTypeOf<null>()
const rest = app.task('rest', (_t, x: number, y: number = 2, ...more: string[]) => x + y + more.length)
await rest.delay(1)
await rest.delay(1, 2, 'a')
const pow = app.task('pow', { params: ['x', 'y'] }, (_t, x: number, y?: number) => x ** (y ?? 2))
await pow.delay(3)
async function named(task: TaskContext, n: number): Promise<string> {
  await task.sleep(n)
  return 'x'
}
expectTypeOf(app.task('named', named).delay).parameters.toEqualTypeOf<[n: number]>()
expectTypeOf(app.task('none', () => 1).delay).parameters.toEqualTypeOf<[]>()
const retrying = app.task('retry', async (task, url: string | undefined): Promise<number> => {
  if (url === undefined) throw task.retry({ countdownMs: 100 })
  return url.length
})
expectTypeOf(await retrying.run('x')).toEqualTypeOf<number>()
// @ts-expect-error a task is not callable
add(2, 3)

// ── Schemas: the caller sees the input, the handler the output ──────────────────────────────────────
const loop = app.task(
  'core.tasks.loop',
  { args: z.tuple([z.coerce.number<number | string>().int().nonnegative()]) },
  async (task, seconds) => {
    expectTypeOf(seconds).toEqualTypeOf<number>()
    task.progress(0, seconds)
    return { current: seconds, total: seconds }
  },
)
await loop.delay(30)
await loop.delay('30')
await loop.applyAsync([30], { countdownMs: 5000, queue: process.env['QUEUE'] })
await loop.applyMany([[1], ['2']], { priority: 3 })
// @ts-expect-error not a number of seconds
await loop.delay({})
// @ts-expect-error one argument is wanted
await loop.delay()
// @ts-expect-error Celery's habit of kwargs second: here options are second
await loop.applyAsync([30], {}, { countdownMs: 5 })
const resize = app.task(
  'images.resize',
  {
    kwargs: z.object({ url: z.url(), width: z.coerce.number<number | string>().default(100) }),
    states: { ENCODING: unchecked<{ frame: number }>() },
    queue: 'slow',
  },
  async (task, { url, width }) => {
    task.updateState('ENCODING', { frame: 1 })
    // @ts-expect-error a frame is a number
    task.updateState('ENCODING', { frame: 'one' })
    // @ts-expect-error Lovage's own
    task.updateState('SUCCESS', {})
    return url + width.toFixed()
  },
)
await resize.delay({ url: 'https://a', width: '30' })
await resize.applyAsync([{ url: 'https://a' }], { priority: 9 })
const both = app.task('both', { args: z.tuple([z.number()]), kwargs: unchecked<{ f: boolean }>() }, (_t, n, { f }) =>
  f ? n : 0,
)
await both.delay(1, { f: true })

// ── Mistakes in definitions ─────────────────────────────────────────────────────────────────────────
// @ts-expect-error the context was forgotten
app.task('w', (x: number, y: number) => x + y)
// @ts-expect-error one name for two parameters
app.task('w', { params: ['x'] }, (_t, x: number, y: number) => x + y)
// @ts-expect-error the schema gives a string
app.task('w', { args: z.tuple([z.string()]) }, (_t, x: number) => x)
// @ts-expect-error did you mean queue?
app.task('w', { queu: 'x' }, (_t, x: number) => x)
app.task('w', task => {
  // @ts-expect-error declare it
  task.updateState('ENCODING', {})
})

// ── Results and snapshots ───────────────────────────────────────────────────────────────────────────
const result = await resize.delay({ url: 'https://a' })
for await (const s of result.watch()) {
  console.log(s.state, s.progress?.percent)
  if (s.state === 'SUCCESS') expectTypeOf(s.result).toEqualTypeOf<string>()
  if (s.state === 'ENCODING') expectTypeOf(s.meta).toEqualTypeOf<{ frame: number }>()
  if (s.state === 'RETRY') expectTypeOf(s.retryAt).toEqualTypeOf<Date>()
  if (s.state === 'REVOKED') expectTypeOf(s.reason).toEqualTypeOf<'revoked' | 'terminated' | 'expired'>()
  if (s.ready) expectTypeOf(s.state).toEqualTypeOf<'SUCCESS' | 'FAILURE' | 'REVOKED'>()
  // @ts-expect-error not a state of this task
  if (s.state === 'ENCODIN') break
}
expectTypeOf(result.deduplicated).toEqualTypeOf<boolean>()
expectTypeOf(loop.result('id').get()).toEqualTypeOf<Promise<{ current: number; total: number }>>()
expectTypeOf(app.result<typeof loop>('id').get()).toEqualTypeOf<Promise<{ current: number; total: number }>>()
expectTypeOf(app.result('id').get()).toEqualTypeOf<Promise<unknown>>()
const everything: AnyTask[] = [add, loop, resize, both]
const results: AsyncResult[] = [result, app.result('id')]
const snapshots: (Snapshot | undefined)[] = [await result.snapshot(), await loop.result('id').snapshot()]
void [everything, results, snapshots]
expectTypeOf(currentTask()).toEqualTypeOf<TaskContext | undefined>()
currentTask()?.progress(1, 2)

// ── Declared here, implemented elsewhere ────────────────────────────────────────────────────────────
const report = app.declareTask('reports.build', {
  kwargs: unchecked<{ year: number; format?: 'pdf' | 'csv' }>(),
  result: unchecked<{ url: string }>(),
})
expectTypeOf(await (await report.delay({ year: 2026 })).get()).toEqualTypeOf<{ url: string }>()
report.implement(async (_task, { year }) => ({ url: `/${String(year)}` }))
// @ts-expect-error the contract says { url }
report.implement(async (_task, { year }) => year)
// @ts-expect-error a year is wanted
await report.delay({ format: 'pdf' })

// ── Defined elsewhere, called by name ───────────────────────────────────────────────────────────────
// oxlint-disable-next-line typescript/no-explicit-any -- an export of that type must not poison the rest
const elsewhere = new Lovage<{ add: typeof add; resize: typeof resize; app: Lovage; cfg: any }>('other')
expectTypeOf(await (await elsewhere.sendTask('core.tasks.add', [1, 2])).get()).toEqualTypeOf<number>()
await elsewhere.sendTask('images.resize', [], { url: 'x' }, { queue: 'q' })
await elsewhere.sendTask('py.loop', [12], {}, { queue: 'q' })
// @ts-expect-error a number is wanted
await elsewhere.sendTask('core.tasks.add', [1, 'x'])
// @ts-expect-error a keyword task
await elsewhere.sendTask('images.resize', [{ url: 'x' }])

// ── As users with isolatedDeclarations write it ─────────────────────────────────────────────────────
export const mine: Lovage = new Lovage('mysite')
export const annotated: Task<'images.thumb', (kwargs: Kwargs<{ url: string }>) => string> = mine.task(
  'images.thumb',
  { kwargs: z.object({ url: z.string() }) },
  (_t, k) => k.url,
)
