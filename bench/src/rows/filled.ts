/** Queues that were filled before anything is measured, and workers that empty them. */
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { copyOf, freshFile, remove } from '../data.ts'
import { usageOf } from '../process-tree.ts'
import { startWorker } from '../worker-process.ts'
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
export async function drain(side: Side, queue: FilledQueue, ms: number): Promise<Drained> {
  const file = copyOf(queue.file, dirname(dirname(queue.file)))
  const setup = { ...side.setup, file }
  const drained = await withClient({ ...side, setup }, async client => {
    const worker = await startWorker(side.peer.worker(setup))
    try {
      const { sampleIds } = queue
      const next = async (from: number): Promise<number> => {
        let at = from
        for (let id = sampleIds[at]; id !== undefined && (await client.isReady(id)); id = sampleIds[at]) at++
        return at
      }
      const look = () => ({ at: performance.now(), cpuMs: usageOf(worker.pid)?.cpuMs ?? Number.NaN })
      const last = sampleIds.length - 1
      let first = await next(0)
      while (first === 0) {
        await sleep(1)
        first = await next(0)
      }
      const start = look()
      let reached = first
      while (reached <= last && performance.now() - start.at < ms) {
        await sleep(lookEveryMs)
        reached = await next(reached)
      }
      const end = look()
      return {
        tasks: (reached - first) * sampleEvery,
        elapsedMs: end.at - start.at,
        workerCpuMs: end.cpuMs - start.cpuMs,
      }
    } finally {
      await worker.stop()
    }
  })
  remove(file)
  return drained
}
