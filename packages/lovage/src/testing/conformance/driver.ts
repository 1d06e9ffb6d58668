/**
 * What a driver's test file hands to the suites: its capabilities, and how to come by a fresh namespace. Capabilities
 * are given up front because they decide, before anything is opened, which cases are skipped; a case checks that the
 * opened connection says the same.
 */
import type { Connection, DriverOptions } from '../../backend.ts'
import type { BrokerCapabilities, Delivery } from '../../broker.ts'
import type { ResultCapabilities } from '../../result-store.ts'

export interface ConformanceDriver {
  readonly broker: BrokerCapabilities
  readonly results: ResultCapabilities
  /** Whether its namespaces have `openHolder`: something that holds deliveries can be made to die. */
  readonly vanish: boolean
  /** An empty namespace that nobody else uses: a file, a schema, a key prefix, a virtual host. */
  openNamespace(options: DriverOptions): Promise<ConformanceNamespace>
}

export interface ConformanceNamespace {
  /**
   * A further connection to this namespace, sharing nothing in the process with those before that a second process
   * would not share. The suite calls `open` on the halves it uses, and `close` on the connection.
   */
  connect(): Promise<Connection>
  /** A holder in a process of its own where the driver knows processes. Absent: `vanish` is false. */
  openHolder?(): Promise<DoomedHolder>
  /** Called when every connection is closed: removes the namespace. @throws when a connection left something open. */
  drop(): Promise<void>
}

/** Holds deliveries until it dies without closing anything: `createHolder` makes one over a connection. */
export interface DoomedHolder {
  /** Consumes `queue` with a prefetch of `count`; resolves when it holds that many. Call it once. */
  take(queue: string, count: number): Promise<readonly Delivery[]>
  /** `Broker.markStarted`. */
  markStarted(deliveries: readonly Delivery[]): Promise<unknown>
  /** Dies now: nothing is closed, given back or renewed. Idempotent; the suite calls it after every case. */
  vanish(): Promise<void>
}
