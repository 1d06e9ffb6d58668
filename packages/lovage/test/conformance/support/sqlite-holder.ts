// A process that holds deliveries of an SQLite file until it is killed. Told what to do over IPC: one message, one answer.
import { openSqlite } from '../../../src/drivers/sqlite/sqlite.ts'
import type { DriverOptions } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { createHolder } from '../../../src/testing/conformance/holder.ts'

export type HolderRequest =
  | { readonly kind: 'take'; readonly queue: string; readonly count: number }
  | { readonly kind: 'started'; readonly deliveries: readonly Delivery[] }

const [url = '', options = '{}'] = process.argv.slice(2)
const holder = createHolder(openSqlite(url, JSON.parse(options) as DriverOptions), () => undefined)

process.on('message', (request: HolderRequest) => {
  const answer =
    request.kind === 'take' ? holder.take(request.queue, request.count) : holder.markStarted(request.deliveries)
  void answer.then(deliveries => process.send?.(deliveries ?? []))
})
