/** On RabbitMQ: each side has a virtual host of its own on the one private broker of the run. */
import { dirname } from 'node:path'
import { measureFsync } from '../fsync.ts'
import { median, percentile } from '../measure.ts'
import type { Client, RabbitSetup } from '../peers/peer.ts'
import { startWorker } from '../worker-process.ts'
import { measureEndToEnd } from './end-to-end.ts'
import { measureEnqueue } from './enqueue.ts'
import { oneTrip } from './round-trip.ts'
import { withClient, type Metric, type Row, type Side } from './row.ts'

/** A slow side gets no further in this many times the time that a side has. */
const mostTimes = 3
const fewestTrips = 5

const rpc = { results: 'rpc' } as const
const sqlite = { results: 'sqlite' } as const

export const rabbitmq: readonly Row[] = [
  // celery-node does not tell when a task is sent
  { ...enqueue(rpc, 'rpc:// results'), peers: ['lovage', 'hand-written', 'celery', 'celery-best'] },
  endToEnd(rpc, 'rpc:// results', '≥ 85 % of hand-written, ≥ 20 × celery, ≥ 5 × celery-best'),
  roundTrip(rpc, 'rpc:// results', '≤ 2.0'),
  { ...enqueue(sqlite, 'results in SQLite'), peers: ['lovage', 'hand-written'] },
  { ...endToEnd(sqlite, 'results in SQLite', '≥ 85 % of hand-written'), peers: ['lovage', 'hand-written'] },
  { ...roundTrip(sqlite, 'results in SQLite', '≤ 1.5'), peers: ['lovage', 'hand-written'] },
]

type Results = Pick<RabbitSetup, 'results'>

function suffix({ results }: Results): string {
  return results === 'rpc' ? '' : `-${results}`
}

function enqueue(on: Results, what: string): Row {
  return {
    name: `rabbitmq-enqueue${suffix(on)}`,
    title: `RabbitMQ, ${what}: enqueue in batches, one after the other, each awaited`,
    rabbitmq: on,
    metrics: () => [
      { name: 'enqueued', unit: '/s', goal: '≥ 85 % of hand-written' },
      { name: 'CPU per task', unit: 'µs', isCpu: true, goal: '≤ 12' },
    ],
    measure: side => measureEnqueue(side, side.settings.batch),
  }
}

function endToEnd(on: Results, what: string, goal: string): Row {
  return {
    name: `rabbitmq-end-to-end${suffix(on)}`,
    title: `RabbitMQ, ${what}: client sends batches and waits for the results, worker in a second process; sustained`,
    rabbitmq: on,
    metrics: (): readonly Metric[] => [
      { name: 'results', unit: '/s', goal },
      { name: "client's CPU per task", unit: 'µs', isCpu: true, goal: '≤ 12' },
      { name: "worker's CPU per task", unit: 'µs', isCpu: true, goal: '≤ 12' },
      { name: "worker's memory", unit: 'MB' },
    ],
    measure: measureEndToEnd,
  }
}

function roundTrip(on: Results, what: string, goal: string): Row {
  return {
    name: `rabbitmq-round-trip${suffix(on)}`,
    title: `RabbitMQ, ${what}: one task at a time on an idle system, from the call until its result is back`,
    rabbitmq: on,
    metrics: () => [
      { name: 'p50', unit: 'ms', goal },
      { name: 'p99', unit: 'ms' },
      { name: 'round trips', unit: '×' },
      { name: 'fsync', unit: 'ms', isFact: true },
    ],
    measure: side =>
      withClient(side, async client => {
        const fsync = measureFsync(dirname(side.setup.file), side.settings.isQuick ? 50 : 300).medianMs
        const worker = await startWorker(side.peer.worker(side.setup))
        try {
          for (let warmUp = 0; warmUp < fewestTrips; warmUp++) await oneTrip(client)
          const times = await trips(client, side)
          return { p50: median(times), p99: percentile(times, 99), 'round trips': times.length, fsync }
        } finally {
          await worker.stop()
        }
      }),
  }
}

/** A thousand, and for as long as a side has; fewer where they take too long. */
async function trips(client: Client, { settings: { sideMs, isQuick } }: Side): Promise<readonly number[]> {
  const wanted = isQuick ? 100 : 1000
  const times: number[] = []
  const startedAt = performance.now()
  const elapsedMs = () => performance.now() - startedAt
  const isEnough = () => times.length >= wanted && elapsedMs() >= sideMs
  const isTooSlow = () => times.length >= fewestTrips && elapsedMs() >= mostTimes * sideMs
  while (!isEnough() && !isTooSlow()) times.push(await oneTrip(client))
  return times
}
