/** A holder over a connection: for drivers without processes, and for the inside of a child process. */
import type { Connection } from '../../backend.ts'
import type { Delivery } from '../../broker.ts'
import type { DoomedHolder } from './driver.ts'

/** @param vanish ends the connection's life without closing it. The connection is opened here. */
export function createHolder(connection: Connection, vanish: () => Promise<void> | void): DoomedHolder {
  return {
    async take(queue, count) {
      await connection.broker.open()
      const { promise, resolve, reject } = Promise.withResolvers<readonly Delivery[]>()
      const held: Delivery[] = []
      await connection.broker.consume([queue], {
        prefetch: count,
        consumer: 'doomed@conformance',
        onDeliveries(batch) {
          held.push(...batch)
          if (held.length >= count) resolve(held)
        },
        onEnd: reject,
      })
      return promise
    },
    markStarted: deliveries => connection.broker.markStarted(deliveries),
    async vanish() {
      await vanish()
    },
  }
}
