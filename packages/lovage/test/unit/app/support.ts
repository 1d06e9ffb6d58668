import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import type { Backend } from '../../../src/backend.ts'
import { internals } from '../../../src/app/internals.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import type { LovageOptions } from '../../../src/app/lovage.ts'
import { createRunTask } from '../../../src/app/run-task.ts'
import type { Delivery } from '../../../src/broker.ts'
import type { StateRecord } from '../../../src/core/record.ts'
import { decodeTaskHeaders } from '../../../src/protocol/task-message.ts'
import type { AbortReason, RunReport, RunResult } from '../../../src/pools/pool.ts'

/** An app on a memory broker of its own, closed when the test ends. */
export function memoryApp(options: LovageOptions = {}): Lovage {
  const app = new Lovage('test', { brokerUrl: `memory://${randomUUID()}`, ...options })
  onTestFinished(() => app.close())
  return app
}

/** Takes the next messages of a queue, as a worker would. */
export async function takeDeliveries(backend: Backend, queue: string, count: number): Promise<readonly Delivery[]> {
  const taken: Delivery[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const onDeliveries = (batch: readonly Delivery[]): void => {
    taken.push(...batch)
    if (taken.length >= count) resolve()
  }
  const subscription = await backend.broker.consume([queue], { prefetch: count, consumer: 'test@here', onDeliveries })
  await promise
  await subscription.close()
  return taken
}

/** Runs one message of a queue where the test runs and gives what the pool would give. */
export async function runNext(app: Lovage, options: RunOptions = {}): Promise<RunResult> {
  const [delivery] = await takeDeliveries(await internals(app).backend(), options.queue ?? 'celery', 1)
  if (delivery === undefined) throw new Error('nothing was delivered')
  return await runDelivery(app, delivery, options)
}

interface RunOptions {
  readonly queue?: string
  readonly reports?: RunReport[]
  readonly abort?: { readonly controller: AbortController; readonly reason: () => AbortReason | undefined }
}

async function runDelivery(app: Lovage, delivery: Delivery, options: RunOptions = {}): Promise<RunResult> {
  const { headers } = delivery.message
  const request = {
    runId: 1,
    id: String(headers['id']),
    name: String(headers['task']),
    queue: delivery.queue,
    redelivered: delivery.redelivered,
    message: delivery.message,
    details: decodeTaskHeaders(delivery.message),
  }
  const control = {
    signal: options.abort?.controller.signal ?? new AbortController().signal,
    abortReason: options.abort?.reason ?? (() => undefined),
    report: (report: RunReport) => void options.reports?.push(report),
  }
  return await createRunTask(app)(request, control)
}

/** Writes a state as a worker would. */
export async function putState(
  app: Lovage,
  record: Pick<StateRecord, 'id' | 'state'> & Partial<StateRecord>,
): Promise<void> {
  const backend = await internals(app).backend()
  await backend.results.put({ retries: 0, delivery: 1, seq: 1, at: Date.now(), ...record })
}
