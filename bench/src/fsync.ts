/** What one fsync costs here: the unit in which a durable queue's times are read. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { median, percentile } from './measure.ts'

export interface FsyncFigures {
  /** Of pages that have their place in the file already, as a log is written once it has come round. */
  readonly medianMs: number
  readonly p99Ms: number
  /** Of pages behind the end, as a new log grows: the file system writes the new length too. */
  readonly growingMedianMs: number
}

const pageBytes = 4096

/** Writes a page and waits for it, `count` times behind the end of a file and `count` times within it. */
export function measureFsync(folder: string, count: number): FsyncFigures {
  const path = join(folder, 'fsync.tmp')
  const handle = openSync(path, 'w')
  const page = Buffer.alloc(pageBytes, 7)
  const times = () =>
    Array.from({ length: count }, (_, index) => {
      const startedAt = performance.now()
      writeSync(handle, page, 0, pageBytes, index * pageBytes)
      fdatasyncSync(handle)
      return performance.now() - startedAt
    })
  const growing = times()
  const within = times()
  closeSync(handle)
  rmSync(path)
  return { medianMs: median(within), p99Ms: percentile(within, 99), growingMedianMs: median(growing) }
}
