import { clientCpuUs } from '../process-tree.ts'
import { withClient, type Figures, type Row, type Side } from './row.ts'

export const enqueue: Row = {
  name: 'enqueue',
  title: 'enqueue in batches, one after the other, each awaited',
  metrics: () => [
    { name: 'enqueued', unit: '/s', goal: '≥ 85 % of hand-written' },
    { name: 'CPU per task', unit: 'µs', isCpu: true, goal: '≤ 12' },
  ],
  measure: side => measureEnqueue(side, side.settings.batch),
}

export const enqueueOne: Row = {
  name: 'enqueue-one',
  title: 'enqueue one task, await it, the next: a web request',
  metrics: () => [
    { name: 'enqueued', unit: '/s' },
    { name: 'CPU per task', unit: 'µs', isCpu: true, goal: '≤ 12' },
  ],
  measure: side => measureEnqueue(side, 1),
}

export function measureEnqueue(side: Side, batch: number): Promise<Figures> {
  return withClient(side, async client => {
    await client.send(batch)
    const startedAt = performance.now()
    const startedCpuUs = clientCpuUs(client)
    let sent = 0
    while (performance.now() - startedAt < side.settings.sideMs) {
      await client.send(batch)
      sent += batch
    }
    return {
      enqueued: (sent * 1000) / (performance.now() - startedAt),
      'CPU per task': (clientCpuUs(client) - startedCpuUs) / sent,
    }
  })
}
