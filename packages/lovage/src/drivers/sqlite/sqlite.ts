/**
 * The embedded driver: queue, results and coordination in one SQLite file, for the processes of one machine.
 * docs/sqlite.md tells how it works.
 */
import { pathToFileURL } from 'node:url'
import type { Connection, DriverOptions } from '../../backend.ts'
import { describe, InvalidArgumentError } from '../../core/errors.ts'
import { SqliteBroker } from './broker.ts'
import { SqliteCoordination } from './coordination.ts'
import { Half } from './half.ts'
import { resolvePath } from './location.ts'
import { SqliteResults } from './results.ts'
import { StoreClient } from './store-client.ts'

export interface SqliteOptions extends DriverOptions {
  /**
   * How long the main thread may show no life before its lease is no longer renewed: then it runs no task either, and
   * others shall have them. Task code that blocks the main thread (the inline pool) needs more. @default 30000
   */
  readonly watchdogMs?: number | undefined
  /** How long a write waits for a lock that another process does not let go. @default 10000 */
  readonly busyMs?: number | undefined
}

/**
 * A connection of its own to one file; `open` on one of its halves is the first I/O.
 * @param location `sqlite:///absolute/path.db`, or `sqlite:relative/path.db` from the project's root: the nearest
 * folder upwards from the working directory that has a package.json.
 * @throws {ConfigurationError} it names no file. @throws {InvalidArgumentError} an option.
 */
export function openSqlite(location: string | URL, options: SqliteOptions = {}): Connection {
  const path = resolvePath(new URL(location))
  const client = new StoreClient({
    path,
    leaseMs: positive('leaseMs', options.leaseMs ?? 30_000),
    watchdogMs: positive('watchdogMs', options.watchdogMs ?? 30_000),
    resultExpiresMs: positive('resultExpiresMs', options.resultExpiresMs ?? 86_400_000),
    busyMs: positive('busyMs', options.busyMs ?? 10_000),
  })
  const halves = new Set<Half>()
  const broker = new SqliteBroker(new Half(client, halves))
  const results = new SqliteResults(new Half(client, halves))
  const coordination = new SqliteCoordination(new Half(client, halves))
  return {
    broker,
    results,
    coordination,
    description: `sqlite://${pathToFileURL(path).pathname}`,
    async close() {
      await Promise.all([broker.close(), results.close(), coordination.close()])
      await client.close()
    },
  }
}

function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value
  throw new InvalidArgumentError(`${name} is a number of milliseconds above 0; it is ${describe(value)}`)
}
