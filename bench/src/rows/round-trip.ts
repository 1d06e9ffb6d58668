import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { measureFsync } from '../fsync.ts'
import { median, percentile } from '../measure.ts'
import type { Client } from '../peers/peer.ts'
import { startWorker } from '../worker-process.ts'
import { withClient, type Row } from './row.ts'

/** Between two round trips: both sides have gone back to waiting. */
const pauseMs = 10
const fewest = 3

export const roundTrip: Row = {
  name: 'round-trip',
  title: 'one task at a time on an idle system, from the call until its result is back',
  metrics: () => [
    { name: 'p50', unit: 'ms' },
    { name: 'p99', unit: 'ms' },
    { name: 'fsync', unit: 'ms', isFact: true },
    { name: 'p50 in fsyncs', unit: '×' },
    { name: 'p50 above 2 fsyncs', unit: 'ms', isFact: true, goal: '≤ 1.2' },
  ],
  measure: side =>
    withClient(side, async client => {
      const fsync = measureFsync(dirname(side.setup.file), side.settings.isQuick ? 50 : 300).medianMs
      const worker = await startWorker(side.peer.worker(side.setup))
      try {
        for (let warmUp = 0; warmUp < fewest; warmUp++) await oneTrip(client)
        const times = await trips(client, side.settings.sideMs)
        const p50 = median(times)
        return {
          p50,
          p99: percentile(times, 99),
          fsync,
          'p50 in fsyncs': p50 / fsync,
          'p50 above 2 fsyncs': p50 - 2 * fsync,
        }
      } finally {
        await worker.stop()
      }
    }),
}

async function trips(client: Client, ms: number): Promise<readonly number[]> {
  const times: number[] = []
  const endAt = performance.now() + ms
  while (performance.now() < endAt || times.length < fewest) times.push(await oneTrip(client))
  return times
}

export async function oneTrip(client: Client): Promise<number> {
  await sleep(pauseMs)
  if (client.timeOne) return await client.timeOne()
  const startedAt = performance.now()
  await (await client.send(1)).results()
  return performance.now() - startedAt
}
