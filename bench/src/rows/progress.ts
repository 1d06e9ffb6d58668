import { startWorker } from '../worker-process.ts'
import { withClient, type Row } from './row.ts'

export const progress: Row = {
  name: 'progress',
  title: 'a task that does nothing but call progress, never yielding',
  peers: ['lovage', 'hand-written'],
  metrics: () => [
    { name: 'call', unit: 'ns', goal: '≤ 60' },
    { name: 'states seen by a watcher', unit: '/s', goal: '≤ 4' },
  ],
  measure: side =>
    withClient(side, async client => {
      if (!client.measureProgress) return {}
      const worker = await startWorker(side.peer.worker(side.setup))
      try {
        const { nsPerCall, writesPerSecond } = await client.measureProgress(side.settings.sideMs)
        return { call: nsPerCall, 'states seen by a watcher': writesPerSecond }
      } finally {
        await worker.stop()
      }
    }),
}
