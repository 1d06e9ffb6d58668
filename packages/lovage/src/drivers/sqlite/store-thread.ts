/** The store thread: owns the file, so that neither its fsync nor its locks ever stop the main thread. */
import { parentPort, receiveMessageOnPort, type MessagePort } from 'node:worker_threads'
import { systemClock } from '../../core/clock.ts'
import type { Report, Request } from './ops.ts'
import { unpackOp } from './packing.ts'
import { toErrorRow } from './storage-errors.ts'
import { Store } from './store.ts'

function serve(port: MessagePort): void {
  const send = (report: Report): void => port.postMessage(report)
  let store: Store | undefined
  const take = (request: Request): void => {
    if (request.kind === 'ops') store?.submit(request.first, request.ops.map(unpackOp))
    else if (request.kind === 'close') close(port, store)
    else store = open(request, send)
  }
  port.on('message', (first: Request) => {
    take(first)
    // all that has arrived travels in one transaction
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
      take(next.message as Request)
    store?.run()
  })
}

function open(request: Request & { kind: 'open' }, send: (report: Report) => void): Store | undefined {
  try {
    const store = new Store(request, systemClock, send)
    send({ kind: 'opened' })
    return store
  } catch (error) {
    send({ kind: 'refused', error: toErrorRow(request.path, error) })
    return undefined
  }
}

function close(port: MessagePort, store: Store | undefined): void {
  try {
    store?.close()
  } finally {
    port.postMessage({ kind: 'closed' } satisfies Report)
    port.close()
  }
}

if (parentPort !== null) serve(parentPort)
