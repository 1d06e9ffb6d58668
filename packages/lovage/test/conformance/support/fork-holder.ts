/** A holder in a process of its own, which dies by SIGKILL. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { DriverOptions } from '../../../src/backend.ts'
import type { Delivery } from '../../../src/broker.ts'
import type { DoomedHolder } from '../../../src/testing/conformance/index.ts'
import type { HolderRequest } from './holder.ts'

export function forkHolder(url: string, options: DriverOptions): DoomedHolder {
  const child = fork(new URL('./holder.ts', import.meta.url), [url, JSON.stringify(options)], { execArgv: [] })
  const ask = async (request: HolderRequest): Promise<readonly Delivery[]> => {
    child.send(request)
    const [deliveries] = (await once(child, 'message')) as [readonly Delivery[]]
    return deliveries
  }
  return {
    take: (queue, count) => ask({ kind: 'take', queue, count }),
    async markStarted(deliveries) {
      await ask({ kind: 'started', deliveries })
    },
    async vanish() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
