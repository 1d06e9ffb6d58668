import { drain, fill } from './filled.ts'
import type { Row } from './row.ts'

/** Enough for the quickest side to be busy all the time. */
const mostPerSecond = 40_000

export const execute: Row = {
  name: 'execute',
  title: 'one worker empties a filled queue of trivial tasks, with results',
  metrics: () => [
    { name: 'executed', unit: '/s', goal: '≥ 85 % of hand-written, ≥ 2 × plainjob' },
    { name: "worker's CPU per task", unit: 'µs', isCpu: true, goal: '≤ 12' },
  ],
  prepare: async side => ({ queue: await fill(side, (mostPerSecond * side.settings.sideMs) / 1000) }),
  measure: async side => {
    const queue = side.prepared?.['queue']
    if (!queue) throw new Error('the queue was not filled')
    const { tasks, elapsedMs, workerCpuMs } = await drain(side, queue, side.settings.sideMs)
    return { executed: (tasks * 1000) / elapsedMs, "worker's CPU per task": (workerCpuMs * 1000) / tasks }
  },
}
