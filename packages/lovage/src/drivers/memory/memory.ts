/**
 * The memory driver: for tests. `memory://name` is one namespace for all connections of this process that name it,
 * gone when the last of them closes; `memory:` is a namespace of its own. It passes the suites the servers pass.
 */
import { randomUUID } from 'node:crypto'
import type { Connection, DriverOptions } from '../../backend.ts'
import type { Clock } from '../../core/clock.ts'
import { systemClock } from '../../core/clock.ts'
import { MemoryBroker } from './broker.ts'
import { MemoryCoordination } from './coordination.ts'
import { Namespace } from './namespace.ts'
import { MemoryResults } from './results.ts'

export interface MemoryOptions extends DriverOptions {
  /** Of the namespace: the first connection's counts. */
  readonly clock?: Clock | undefined
}

export interface MemoryConnection extends Connection {
  /** For tests: ends without giving anything back, as a process that dies. What it held comes back with its lease. */
  vanish(): Promise<void>
}

/** The namespaces of this process by name, with their number of connections. */
export type MemoryRegistry = Map<string, { readonly namespace: Namespace; connectionCount: number }>

const registryKey: unique symbol = Symbol.for('lovage.memory.namespaces') as never

/** Shared by all copies of this package in the process: two of them that name one URL must meet. */
function processRegistry(): MemoryRegistry {
  const home = globalThis as { [registryKey]?: MemoryRegistry }
  return (home[registryKey] ??= new Map())
}

export function openMemory(
  url: URL,
  options: MemoryOptions = {},
  registry: MemoryRegistry = processRegistry(),
): MemoryConnection {
  const name = `${url.host}${url.pathname}`
  const { namespace, leave } = join(name === '' ? randomUUID() : name, {
    registry,
    clock: options.clock ?? systemClock,
  })
  const { leaseMs = 30_000, resultExpiresMs = 86_400_000 } = options
  const broker = new MemoryBroker(namespace, { owner: randomUUID(), leaseMs, resultExpiresMs })
  const results = new MemoryResults(namespace, resultExpiresMs)
  const coordination = new MemoryCoordination(namespace)
  const closeRest = async (): Promise<void> => {
    await results.close()
    await coordination.close()
    leave()
  }
  return {
    broker,
    results,
    coordination,
    description: `memory://${name}`,
    async close() {
      await broker.close()
      await closeRest()
    },
    async vanish() {
      broker.vanish()
      await closeRest()
    },
  }
}

/** Takes part in a namespace. `leave` is idempotent; the last to leave takes the namespace with it. */
function join(
  name: string,
  { registry, clock }: { readonly registry: MemoryRegistry; readonly clock: Clock },
): { readonly namespace: Namespace; readonly leave: () => void } {
  const entry = registry.get(name) ?? { namespace: new Namespace(clock), connectionCount: 0 }
  registry.set(name, entry)
  entry.connectionCount += 1
  let hasLeft = false
  const leave = (): void => {
    if (hasLeft) return
    hasLeft = true
    entry.connectionCount -= 1
    if (entry.connectionCount === 0) registry.delete(name)
  }
  return { namespace: entry.namespace, leave }
}
