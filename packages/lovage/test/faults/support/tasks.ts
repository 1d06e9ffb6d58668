/** Tasks that do to a worker what tasks do: copied into each project as its tasks.ts. Marks are its side effects. */
import { appendFileSync, readFileSync } from 'node:fs'
import { Lovage } from 'lovage'

export const app = new Lovage('faults')

/** A side effect that outlives the process: one line in the project's `effects`. */
function mark(word: string, task: { readonly id: string }): void {
  appendFileSync('effects', `${word} ${task.id} ${process.pid} ${Date.now()}\n`)
}

export const tiny = app.task('tiny', (_task, n: number) => n)

/** A chance for each word that says where a task has come. */
export const nap = app.task('nap', async (task, ms: number) => {
  mark('nap', task)
  await task.sleep(ms)
  mark('napped', task)
  return ms
})

export const steps = app.task('steps', async (task, count: number, ms: number) => {
  for (let step = 0; step < count; step++) {
    task.progress(step, count)
    await task.sleep(ms)
  }
  return count
})

/** Holds its thread: never yields, and reports on its way. */
export const spin = app.task('spin', (task, ms: number) => {
  mark('spin', task)
  const until = performance.now() + ms
  let left = ms
  while ((left = until - performance.now()) > 0) task.progress(Math.floor(ms - left), ms)
  mark('spun', task)
  return ms
})

/** Ten minutes the first time, a moment the second. */
export const patient = app.task('patient', async task => {
  mark('patient', task)
  await task.sleep(task.request.redelivered ? 20 : 600_000)
  return task.request.redelivered
})

/** The same, and never looks at its signal. */
export const deaf = app.task('deaf', async task => {
  mark('deaf', task)
  await new Promise(resolve => setTimeout(resolve, task.request.redelivered ? 20 : 600_000))
  return task.request.redelivered
})

/** Never looks at its signal. */
export const heedless = app.task('heedless', async (task, ms: number) => {
  mark('heedless', task)
  await new Promise(resolve => setTimeout(resolve, ms))
  mark('unheeded', task)
  return ms
})

export const forever = app.task('forever', task => {
  mark('forever', task)
  for (;;);
})

/** Fails until its third attempt. */
export const flaky = app.task(
  'flaky',
  { retry: { max: 3, backoff: 'exponential', delayMs: 100, jitter: false } },
  task => {
    mark('flaky', task)
    if (task.retries < 2) throw new Error(`attempt ${task.retries + 1}`)
    return task.retries
  },
)

export const hopeless = app.task('hopeless', { retry: { max: 1, delayMs: 20, jitter: false } }, () => {
  throw new TypeError('never')
})

export const again = app.task('again', (task): string => {
  mark('again', task)
  return task.retries === 0 ? task.retry({ countdownMs: 200 }) : 'second'
})

export const explode = app.task('explode', task => {
  mark('explode', task)
  process.kill(process.pid, 'SIGKILL')
})

/** Kills its process twice, then waits long, then is well. */
export const convalescent = app.task('convalescent', async task => {
  mark('convalescent', task)
  const attempt = readFileSync('effects', 'utf8').match(/^convalescent /gm)?.length ?? 0
  if (attempt <= 2) process.kill(process.pid, 'SIGKILL')
  await task.sleep(attempt === 3 ? 60_000 : 10)
  return attempt
})

export const once = app.task('once', { acksLate: false }, async (task, ms: number) => {
  mark('once', task)
  await task.sleep(ms)
  return ms
})

export const ignored = app.task('ignored', task => task.ignore('not today'))

export const rejected = app.task('rejected', task => {
  mark('rejected', task)
  task.reject()
})

/** Gives itself back once. */
export const returned = app.task('returned', task => {
  mark('returned', task)
  if (!task.request.redelivered) task.reject({ requeue: true })
  return 'the second time'
})

export const ordered = app.task('ordered', (task, word: string) => {
  mark(word, task)
})

export const limited = app.task('limited', { softTimeLimitMs: 150 }, async task => {
  await task.sleep(60_000)
})

export const echo = app.task('echo', (_task, ...values: unknown[]) => values)

export const stringsOnly = app.task(
  'stringsOnly',
  { args: { '~standard': { version: 1, vendor: 'test', validate } } },
  (_task, text) => text,
)

function validate(value: unknown): { value: readonly [string] } | { issues: [{ message: string; path: [number] }] } {
  const [text] = value as unknown[]
  return typeof text === 'string' ? { value: [text] } : { issues: [{ message: 'expected a string', path: [0] }] }
}

/** What every object of the task thread has that nobody gave it. */
export const polluted = app.task('polluted', () => Reflect.get({}, 'polluted') ?? null)

/** Where a worker spends its bytes. */
export const blob = app.task('blob', (_task, text: string) => text.length)
