/**
 * What a case works with: connections, inboxes and holders of one namespace, closed after it. While it runs, the
 * promises that hold everywhere are watched: prefetch is never exceeded, and nothing is delivered after a close.
 */
import type { Connection } from '../../backend.ts'
import type { ConformanceDriver, ConformanceNamespace, DoomedHolder } from './driver.ts'
import type { ConsumeRequest } from './inbox.ts'
import { Inbox } from './inbox.ts'

export type Half = 'broker' | 'results' | 'coordination'

export interface Lab {
  readonly driver: ConformanceDriver
  /** A further connection, opened. */
  connect(): Promise<Connection>
  /** Another holder that can be made to die. */
  openHolder(): Promise<DoomedHolder>
  /** Consumes; `queue` with a prefetch of 10 unless told. */
  consume(connection: Connection, request?: ConsumeRequest): Promise<Inbox>
  /** Ends everything. @throws when a promise was broken or something is still open. */
  close(): Promise<void>
}

export interface LabRequest {
  readonly driver: ConformanceDriver
  readonly namespace: ConformanceNamespace
  readonly halves: readonly Half[]
}

export function openLab({ driver, namespace, halves }: LabRequest): Lab {
  const connections: Connection[] = []
  const holders: DoomedHolder[] = []
  const inboxes: Inbox[] = []
  return {
    driver,
    async connect() {
      const connection = await namespace.connect()
      connections.push(connection)
      for (const half of halves) await connection[half].open()
      return connection
    },
    async openHolder() {
      if (namespace.openHolder === undefined) throw new Error('The driver declares `vanish`, but has no openHolder')
      const holder = await namespace.openHolder()
      holders.push(holder)
      return holder
    },
    async consume(connection, request = {}) {
      const inbox = await Inbox.open(connection, request)
      inboxes.push(inbox)
      return inbox
    },
    async close() {
      for (const holder of holders) await holder.vanish()
      for (const connection of connections) await connection.close()
      for (const inbox of inboxes) inbox.expectSilence()
      await namespace.drop()
      const violations = inboxes.flatMap(inbox => inbox.violations)
      if (violations.length > 0) throw new Error(violations.join('\n'))
    },
  }
}
