/** What the executor must know of a task, from the app's registry. */
import type { AppInternals } from '../app/internals.ts'
import type { RunnableTask } from './run.ts'

/** The worker's own limits, for tasks that have none. */
export interface DefaultLimits {
  readonly softTimeLimitMs: number | undefined
  readonly timeLimitMs: number | undefined
}

/** Undefined: no such task, or it is declared and nothing loaded here implements it. */
export function findRunnable(app: AppInternals, name: string, limits: DefaultLimits): RunnableTask | undefined {
  const task = app.tasks.get(name)
  if (task?.handler === undefined) return undefined
  const { retry, acksLate, ignoreResult, resultExpiresMs } = task.options
  return {
    policy: { retry, acksLate, ignoreResult, resultExpiresMs },
    softTimeLimitMs: task.options.softTimeLimitMs ?? limits.softTimeLimitMs,
    timeLimitMs: task.options.timeLimitMs ?? limits.timeLimitMs,
  }
}
