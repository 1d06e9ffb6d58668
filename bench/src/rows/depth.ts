import type { Settings } from '../settings.ts'
import { drain, fill, withCopy } from './filled.ts'
import { withClient, type FilledQueue, type Row, type Side } from './row.ts'

export const depth: Row = {
  name: 'depth',
  title: 'cost of a task in a short and in a long queue',
  metrics: settings => {
    const { short, long } = sizes(settings)
    const label = (size: number) => size.toLocaleString('en')
    return [
      { name: 'execute, short', unit: 'µs', label: `execute, ${label(short)} queued` },
      { name: 'execute, long', unit: 'µs', label: `execute, ${label(long)} queued` },
      { name: 'execute, long / short', unit: '×', goal: '≤ 1.15' },
      { name: 'enqueue, short', unit: 'µs', label: `enqueue, ${label(short)} queued` },
      { name: 'enqueue, long', unit: 'µs', label: `enqueue, ${label(long)} queued` },
      { name: 'enqueue, long / short', unit: '×', goal: '≤ 1.15' },
    ]
  },
  prepare: async side => {
    const { short, long } = sizes(side.settings)
    return { short: await fill(side, short), long: await fill(side, long) }
  },
  measure: async side => {
    const { short, long } = side.prepared ?? {}
    if (!short || !long) throw new Error('the queues were not filled')
    // a short queue is empty after half a second: several copies make one measurement
    const copies = side.settings.isQuick ? 1 : 10
    const executeShort = await executeCost(side, short, copies)
    const executeLong = await executeCost(side, long, 1)
    const enqueueShort = await enqueueCost(side, short)
    const enqueueLong = await enqueueCost(side, long)
    return {
      'execute, short': executeShort,
      'execute, long': executeLong,
      'execute, long / short': executeLong / executeShort,
      'enqueue, short': enqueueShort,
      'enqueue, long': enqueueLong,
      'enqueue, long / short': enqueueLong / enqueueShort,
    }
  },
}

function sizes({ isQuick }: Settings): { readonly short: number; readonly long: number } {
  return isQuick ? { short: 5000, long: 50_000 } : { short: 10_000, long: 1_000_000 }
}

/** Microseconds of wall time per task. */
async function executeCost(side: Side, queue: FilledQueue, copies: number): Promise<number> {
  let tasks = 0
  let elapsedMs = 0
  for (let copy = 0; copy < copies; copy++) {
    const drained = await drain(side, queue, side.settings.sideMs)
    tasks += drained.tasks
    elapsedMs += drained.elapsedMs
  }
  return (elapsedMs * 1000) / tasks
}

/** Microseconds of wall time per task, in batches; few enough that a short queue stays short. */
async function enqueueCost(side: Side, queue: FilledQueue): Promise<number> {
  const { batch } = side.settings
  const count = Math.ceil(2000 / batch) * batch
  const elapsedMs = await withCopy(side, queue, copied =>
    withClient(copied, async client => {
      await client.send(batch)
      const startedAt = performance.now()
      for (let sent = 0; sent < count; sent += batch) await client.send(batch)
      return performance.now() - startedAt
    }),
  )
  return (elapsedMs * 1000) / count
}
