import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../peers/peer.ts'
import { clientCpuUs, usageOf } from '../process-tree.ts'
import { startWorker } from '../worker-process.ts'
import { withClient, type Figures, type Row, type Side } from './row.ts'

/** Batches on their way at once: enough that neither side waits for the other's commit. */
const batchesInFlight = 20

export const endToEnd: Row = {
  name: 'end-to-end',
  title: 'client sends batches and waits for the results, worker in a second process; sustained',
  metrics: ({ batch }) => [
    { name: 'results', unit: '/s', goal: '≥ 85 % of hand-written, ≥ 2 × plainjob' },
    { name: "client's CPU per task", unit: 'µs', isCpu: true, goal: '≤ 12' },
    { name: "worker's CPU per task", unit: 'µs', isCpu: true, goal: '≤ 12' },
    { name: "worker's memory", unit: 'MB', label: `worker's memory, ${String(batchesInFlight * batch)} in flight` },
  ],
  measure: measureEndToEnd,
}

export function measureEndToEnd(side: Side): Promise<Figures> {
  return withClient(side, async client => {
    const worker = await startWorker(side.peer.worker(side.setup))
    try {
      return await sustain(side, client, worker.pid)
    } finally {
      await worker.stop()
    }
  })
}

async function sustain(side: Side, client: Client, workerPid: number): Promise<Figures> {
  const { sideMs } = side.settings
  const { batch, batchesInFlight: inFlight } = side.peer.load ?? { batch: side.settings.batch, batchesInFlight }
  let isOver = false
  let received = 0
  const keepSending = async () => {
    while (!isOver) {
      await (await client.send(batch)).results()
      received += batch
    }
  }
  const senders = Promise.all(Array.from({ length: inFlight }, keepSending))
  const look = () => ({ at: performance.now(), received, ownUs: clientCpuUs(client), worker: usageOf(workerPid) })

  // until all of the first ones are back: what had gathered meanwhile would count as quick
  while (received < batch * inFlight) await Promise.race([senders, sleep(1)])
  await Promise.race([senders, sleep(sideMs / 5)])
  const start = look()
  await Promise.race([senders, sleep(sideMs)])
  const end = look()
  isOver = true
  await senders

  const tasks = end.received - start.received
  const workerMs = (end.worker?.cpuMs ?? Number.NaN) - (start.worker?.cpuMs ?? Number.NaN)
  return {
    results: (tasks * 1000) / (end.at - start.at),
    "client's CPU per task": (end.ownUs - start.ownUs) / tasks,
    "worker's CPU per task": (workerMs * 1000) / tasks,
    "worker's memory": (end.worker?.residentBytes ?? Number.NaN) / 1e6,
  }
}
