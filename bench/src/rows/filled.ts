/** Queues that were filled before anything is measured, and workers that empty them. */
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { copyOf, freshFile, remove } from '../data.ts'
import { usageOf } from '../process-tree.ts'
import { startWorker } from '../worker-process.ts'
import type { Client } from '../peers/peer.ts'
import { withClient, type FilledQueue, type Side } from './row.ts'

/** Every so many tasks one is looked at. */
const sampleEvery = 100
/** How often we look whether the next ones are ready: seldom enough to cost nothing, often enough for runs of a second. */
const lookEveryMs = 10

export function fill(side: Side, count: number): Promise<FilledQueue> {
  const file = freshFile(dirname(dirname(side.setup.file)))
  return withClient({ ...side, setup: { ...side.setup, file } }, async client => {
    const sampleIds: string[] = []
    for (let sent = 0; sent < count; sent += 1000) {
      const { ids } = await client.send(1000)
      sampleIds.push(...ids.filter((_, index) => index % sampleEvery === 0))
    }
    return { file, count, sampleIds }
  })
}

export interface Drained {
  readonly tasks: number
  readonly elapsedMs: number
  readonly workerCpuMs: number
}

/** A worker takes from a copy of the queue, for `ms` or until it is empty. Its start is not counted, nor its last claim. */
export function drain(side: Side, queue: FilledQueue, ms: number): Promise<Drained> {
  return withCopy(side, queue, copied =>
    withClient(copied, async client => {
      const worker = await startWorker(side.peer.worker(copied.setup))
      try {
        return await watchDrain({ client, workerPid: worker.pid, ids: queue.sampleIds, ms })
      } finally {
        await worker.stop()
      }
    }),
  )
}

export async function withCopy<T>(side: Side, queue: FilledQueue, use: (copied: Side) => Promise<T>): Promise<T> {
  const file = copyOf(queue.file, dirname(dirname(queue.file)))
  try {
    return await use({ ...side, setup: { ...side.setup, file } })
  } finally {
    remove(file)
  }
}

interface Watched {
  readonly client: Client
  readonly workerPid: number
  readonly ids: readonly string[]
  readonly ms: number
}

async function watchDrain({ client, workerPid, ids, ms }: Watched): Promise<Drained> {
  const look = () => ({ at: performance.now(), cpuMs: usageOf(workerPid)?.cpuMs ?? Number.NaN })
  const first = await firstUnready(client, ids, 0)
  let reached = first
  while (reached === first) {
    await sleep(1)
    reached = await firstUnready(client, ids, first)
  }
  const start = { ...look(), reached }
  while (reached < ids.length && performance.now() - start.at < ms) {
    await sleep(lookEveryMs)
    reached = await firstUnready(client, ids, reached)
  }
  const end = look()
  return {
    tasks: (reached - start.reached) * sampleEvery,
    elapsedMs: end.at - start.at,
    workerCpuMs: end.cpuMs - start.cpuMs,
  }
}

/** Queues are emptied in order, so everything before it is ready. */
async function firstUnready(client: Client, ids: readonly string[], from: number): Promise<number> {
  let at = from
  for (let id = ids[at]; id !== undefined && (await client.isReady?.(id)); id = ids[at]) at++
  return at
}
