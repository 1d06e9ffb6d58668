// A process that holds deliveries until it is killed. Told what to do over IPC: one message, one answer.
import type { DriverOptions } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import { openConnection } from '../../../src/drivers/registry.ts'
import { createHolder } from '../../../src/testing/conformance/holder.ts'

export type HolderRequest =
  | { readonly kind: 'take'; readonly queue: string; readonly count: number }
  | { readonly kind: 'started'; readonly deliveries: readonly Delivery[] }

const [url = '', options = '{}'] = process.argv.slice(2)
const opening = openConnection(url, JSON.parse(options) as DriverOptions).then(connection =>
  createHolder(connection, () => undefined),
)

process.on('message', (request: HolderRequest) => {
  const answer = opening.then(holder =>
    request.kind === 'take' ? holder.take(request.queue, request.count) : holder.markStarted(request.deliveries),
  )
  void answer.then(deliveries => process.send?.(deliveries ?? []))
})
