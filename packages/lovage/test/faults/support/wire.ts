/** Messages as a stranger, or a broken program, would put them into a queue. */
import { randomUUID } from 'node:crypto'
import type { WireMessage } from '../../../src/core/wire.ts'
import type { Project } from './project.ts'

export interface RawMessage {
  readonly task?: unknown
  readonly headers?: Readonly<Record<string, unknown>>
  readonly body?: Uint8Array | string
  readonly contentType?: string
  readonly contentEncoding?: string
  readonly priority?: number
}

/** Publishes past every check of the app. @returns the id of the task. */
export async function publishRaw(project: Project, raw: RawMessage): Promise<string> {
  const id = randomUUID()
  const {
    task = 'echo',
    headers,
    body = '[[1], {}, {}]',
    contentType = 'application/json',
    contentEncoding = 'utf-8',
    priority,
  } = raw
  const message: WireMessage = {
    properties: { contentType, contentEncoding, correlationId: id, deliveryMode: 2, priority },
    headers: headers ?? { lang: 'py', id, task, retries: 0, root_id: id },
    body,
  }
  const { broker } = await project.backend()
  const [outcome] = await broker.publish([{ id, queue: 'celery', message }])
  if (outcome?.accepted !== 'yes') throw outcome?.error ?? new Error('not accepted')
  return id
}
