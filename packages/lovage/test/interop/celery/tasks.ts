/** The TypeScript side of the matrix: what the worker runs. */
import { describe } from './describe.ts'
import { Lovage, unchecked, type Task } from '../../../src/index.ts'

export const app: Lovage = new Lovage('interop', { defaultQueue: 'ts', routes: { 'py.*': 'py' } })

app.task('ts.echo', (_task, ...args: unknown[]) => (args.length === 1 ? args[0] : args))
app.task('ts.named', { kwargs: unchecked<Record<string, unknown>>() }, (_task, kwargs) => kwargs)
app.task('ts.describe', (_task, ...args: unknown[]) => describe(args.length === 1 ? args[0] : args))
app.task('ts.length', (_task, text: string) => text.length)
app.task('ts.add', (_task, x: number, y: number) => x + y)
app.task('ts.request', task => ({
  ...task.request,
  eta: task.request.eta?.toISOString(),
  expiresAt: task.request.expiresAt?.toISOString(),
  retries: task.retries,
  now: new Date().toISOString(),
}))
app.task('ts.retryOnce', task => {
  return task.retries === 0 ? task.retry({ countdownMs: 0, cause: new RangeError('not yet') }) : task.retries
})
app.task('ts.policy', { retry: { max: 1, delayMs: 0 } }, task => {
  throw new RangeError(`try ${task.retries + 1}`)
})
class ShopClosedError extends Error {
  override readonly name = 'ShopClosedError'
}
app.task('ts.fails', (_task, kind: string = 'builtin') => {
  if (kind === 'custom') throw new ShopClosedError('closed until 9')
  throw new TypeError('grüße')
})
app.task('ts.progress', { states: { UPLOADING: unchecked<{ bytes: number }>() } }, async task => {
  task.progress(1, 4)
  await task.sleep(300)
  task.updateState('UPLOADING', { bytes: 5 })
  await task.sleep(300)
  return 'done'
})
export const sleep: Task<'ts.sleep', (ms: number) => string> = app.task('ts.sleep', async (task, ms: number) => {
  await task.sleep(ms)
  return 'slept'
})
/** Heeds no signal: only force ends it. */
app.task('ts.spin', (_task, ms: number) => {
  const end = performance.now() + ms
  while (performance.now() < end);
  return 'spun'
})
app.task('ts.quiet', { ignoreResult: true }, () => 'nobody asks')
app.task('ts.note', (_task, x: unknown) => ['noted', x])
