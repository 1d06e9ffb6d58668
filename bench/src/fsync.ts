/** What one fsync costs here: the unit in which a durable queue's times are read. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { median, percentile } from './measure.ts'

export interface FsyncFigures {
  readonly medianMs: number
  readonly p99Ms: number
}

const pageBytes = 4096
const filePages = 256

/** Overwrites pages of a file that has its size already, as SQLite does with its log, and waits for each. */
export function measureFsync(folder: string, count: number): FsyncFigures {
  const path = join(folder, 'fsync.tmp')
  const handle = openSync(path, 'w')
  const page = Buffer.alloc(pageBytes, 7)
  for (let i = 0; i < filePages; i++) writeSync(handle, page)
  fdatasyncSync(handle)
  const times = Array.from({ length: count }, (_, index) => {
    const startedAt = performance.now()
    writeSync(handle, page, 0, pageBytes, (index % filePages) * pageBytes)
    fdatasyncSync(handle)
    return performance.now() - startedAt
  })
  closeSync(handle)
  rmSync(path)
  return { medianMs: median(times), p99Ms: percentile(times, 99) }
}
