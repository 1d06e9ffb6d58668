/** What the Lovage worker runs, `lovage worker lovage-tasks.ts`, and what the client sends. */
import { Lovage } from 'lovage'

/** Calls of progress between two looks at the clock. */
const callsPerLook = 10_000

export const app = new Lovage('bench')
defineTasks(app)

export function defineTasks(owner: Lovage) {
  return {
    add: owner.task('bench.add', (_task, x: number, y: number) => x + y),
    /** Calls progress for that long and does nothing else; it never yields. Gives the nanoseconds per call. */
    spin: owner.task('bench.spin', (task, ms: number) => {
      const startedAt = performance.now()
      let calls = 0
      while (performance.now() - startedAt < ms) {
        for (let i = 0; i < callsPerLook; i++) task.progress(calls++, ms)
      }
      return ((performance.now() - startedAt) * 1e6) / calls
    }),
  }
}
