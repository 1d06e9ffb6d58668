/** What the figures depend on. */
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import type { FsyncFigures } from './fsync.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  readonly node: string
  readonly sqlite: string
  /** Absent: no row needs it. */
  readonly rabbitmq?: string | undefined
  readonly load: readonly number[]
  readonly fsync: FsyncFigures
}

export function describeMachine(fsync: FsyncFigures): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
    sqlite: sqliteVersion(),
    load: loadavg().map(value => Number(value.toFixed(2))),
    fsync,
  }
}

function sqliteVersion(): string {
  const database = new DatabaseSync(':memory:')
  const version = String(database.prepare('SELECT sqlite_version() AS version').get()?.['version'])
  database.close()
  return version
}
