/** What stands in the stream: JSON, written by the relay alone. */
import type { StoredState } from '../../../core/record.ts'

/** One task's state, as it is from now on. */
export interface StateEntry {
  readonly kind: 'state'
  readonly state: StoredState
  /** The task's place among all tasks: grows with each new one. */
  readonly born: number
  /** Of the inbox message it was made of. */
  readonly mark: string
}

/** A ready task was forgotten. */
interface ForgetEntry {
  readonly kind: 'forget'
  readonly id: string
}

export type Entry = StateEntry | ForgetEntry

/** Several entries, written at once. */
export interface Batch {
  readonly kind: 'batch'
  /** The term of the relay that wrote it: the offset of its `TermStart`. */
  readonly term: number
  /** Its number within the term. */
  readonly number: number
  readonly entries: readonly Entry[]
}

/** A relay takes over. Its place in the stream is the number of its term; what older ones still write is void. */
interface TermStart {
  readonly kind: 'term'
  /** Drawn by the relay, to know its own. */
  readonly token: string
}

export type StreamMessage = Batch | TermStart

export function encodeStreamMessage(message: StreamMessage): Buffer {
  return Buffer.from(JSON.stringify(message))
}

/** Undefined: nothing of ours, or of a version to come. */
export function decodeStreamMessage(body: Buffer): StreamMessage | undefined {
  const message = parseMap(body.toString('utf8'))
  if (message?.['kind'] === 'term' && typeof message['token'] === 'string')
    return { kind: 'term', token: message['token'] }
  if (message?.['kind'] !== 'batch' || !Array.isArray(message['entries'])) return undefined
  return message['entries'].every(isEntry) ? (message as unknown as Batch) : undefined
}

function isEntry(value: unknown): value is Entry {
  if (!isMap(value)) return false
  if (value['kind'] === 'forget') return typeof value['id'] === 'string'
  const { born, mark, state } = value
  return typeof born === 'number' && typeof mark === 'string' && isRecord(state) && isMap(state['facts'])
}

/** What a record cannot be without. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (!isMap(value) || typeof value['id'] !== 'string' || typeof value['state'] !== 'string') return false
  return [value['retries'], value['delivery'], value['seq'], value['at']].every(each => typeof each === 'number')
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A JSON object; undefined for anything else. */
export function parseMap(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isMap(value) ? value : undefined
  } catch {
    return undefined
  }
}
