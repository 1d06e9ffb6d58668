/**
 * A thread of an isolated run's process: ends the process once its parent is gone, for a task that never yields does not
 * see the line close. `workerData`: the parent's pid.
 */
import { workerData } from 'node:worker_threads'
import { systemClock } from '../core/clock.ts'

const everyMs = 250

watch(Number(workerData))

function watch(parent: number): void {
  if (isGone(parent)) process.kill(process.pid, 'SIGKILL')
  systemClock.after(everyMs, () => watch(parent))
}

/** Whoever loses its parent gets another one; on Windows the number stays, and names nobody. */
function isGone(parent: number): boolean {
  if (process.ppid !== parent) return true
  try {
    return !process.kill(parent, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}
