/** The tasks of a chaos run: each writes down that it begins and that it has done its work. */
import { Lovage, type TaskContext } from 'lovage'
import { openHistory, type EffectLine, type Kind } from './history.ts'

export const app = new Lovage('chaos')

const history = openHistory(process.env['CHAOS_HISTORIES'] ?? '.', `effects-${process.pid}`)

/** A suspect runs in a process of its own, whose parent is the worker. */
const parent = process.ppid

/** Writes `start`, does the work, writes `end`; or `threw`, when it was cut short. */
async function effect(task: TaskContext, work: () => unknown): Promise<string> {
  const line = (k: EffectLine['k']): EffectLine => {
    const kind = task.request.name as Kind
    return { k, id: task.id, kind, retries: task.retries, pid: process.pid, parent, at: Date.now() }
  }
  history.write(line('start'))
  try {
    await work()
  } catch (error) {
    history.write(line('threw'))
    throw error
  }
  history.write(line('end'))
  // no two runs return the same: a result that is replaced is seen
  return `${process.pid} ${Date.now()}`
}

app.task('quick', task => effect(task, () => undefined))

app.task('nap', (task, ms: number) => effect(task, () => task.sleep(ms)))

app.task('delayed', task => effect(task, () => undefined))

app.task('doomed', task => effect(task, () => task.sleep(20)))

app.task('expiring', task => effect(task, () => undefined))

app.task('early', { acksLate: false }, (task, ms: number) => effect(task, () => task.sleep(ms)))

app.task('broken', task =>
  effect(task, () => {
    throw new Error('as it always does')
  }),
)

app.task('flaky', { retry: { max: 10, delayMs: 100, backoff: 'fixed' } }, (task, failures: number) =>
  effect(task, () => {
    if (task.retries < failures) throw new Error(`not at attempt ${task.retries + 1}`)
  }),
)

app.task('steps', (task, count: number) => effect(task, () => advance(task, count, 50)))

app.task('long', (task, count: number) => effect(task, () => advance(task, count, 200)))

async function advance(task: TaskContext, count: number, ms: number): Promise<void> {
  for (let step = 0; step < count; step++) {
    task.progress(step, count)
    await task.sleep(ms)
  }
}
