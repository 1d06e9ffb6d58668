/** What the executor must know of a task, from the app's registry. */
import type { AppInternals } from '../app/internals.ts'
import type { RunnableTask } from './run.ts'

/** Undefined: no such task, or it is declared and nothing loaded here implements it. */
export function findRunnable(app: AppInternals, name: string): RunnableTask | undefined {
  const task = app.tasks.get(name)
  if (task?.handler === undefined) return undefined
  const { retry, acksLate, ignoreResult, resultExpiresMs, softTimeLimitMs, timeLimitMs } = task.options
  return { policy: { retry, acksLate, ignoreResult, resultExpiresMs }, softTimeLimitMs, timeLimitMs }
}
