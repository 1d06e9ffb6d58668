import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../measure.ts'
import { usageOf } from '../process-tree.ts'
import { startWorker } from '../worker-process.ts'
import type { Row } from './row.ts'

export const idle: Row = {
  name: 'idle',
  title: 'a worker with nothing to do',
  metrics: () => [
    { name: 'CPU', unit: '%', goal: '< 0.5' },
    { name: 'memory', unit: 'MB', goal: '< 130' },
  ],
  measure: async ({ peer, setup, settings }) => {
    const worker = await startWorker(peer.worker(setup))
    try {
      await sleep(settings.sideMs / 5)
      const start = usageOf(worker.pid)
      const startedAt = performance.now()
      await sleep(settings.sideMs)
      const end = usageOf(worker.pid)
      if (!start || !end) return {}
      return {
        CPU: (100 * (end.cpuMs - start.cpuMs)) / (performance.now() - startedAt),
        memory: end.residentBytes / 1e6,
      }
    } finally {
      await worker.stop()
    }
  },
}

export const start: Row = {
  name: 'start',
  title: 'from the start of the worker until its line with "ready"',
  metrics: () => [{ name: 'ready after', unit: 'ms', goal: '< 500' }],
  measure: async ({ peer, setup, settings }) => {
    const times: number[] = []
    const endAt = performance.now() + settings.sideMs
    while (performance.now() < endAt) {
      const worker = await startWorker(peer.worker(setup))
      times.push(worker.readyAfterMs)
      await worker.stop()
    }
    return { 'ready after': median(times) }
  },
}
