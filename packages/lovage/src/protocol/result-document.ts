/** Celery's result document, `{"status": "SUCCESS", "result": 5, …}` ⇄ the state a store keeps. */
import type { ErrorDocument, StoredState } from '../core/record.ts'
import { DecodeError } from '../core/errors.ts'
import { isReadyState } from '../core/states.ts'
import { fromCeleryException, toCeleryException } from './exceptions.ts'
import { formatIsoTime, parseIsoTime } from './iso-time.ts'
import { decodeJson, encodeJson } from './json.ts'

/** Celery's EXCEPTION_STATES: their result is what was thrown. */
function holdsException(state: string): boolean {
  return state === 'FAILURE' || state === 'RETRY' || state === 'REVOKED'
}

/**
 * As Celery's key-value backends keep it. Versions, which Celery has no word for, travel in a field of ours that its
 * clients do not look at.
 */
export function toResultDocument(state: StoredState): string {
  const value = state.value ?? 'null'
  const error = holdsException(state.state) ? (decodeJson(value) as ErrorDocument | null) : null
  const { readyAt } = state
  const document = {
    status: state.state,
    result: error === null ? null : toCeleryException(error),
    traceback: error?.traceback ?? null,
    children: [],
    date_done: isReadyState(state.state) ? formatIsoTime(readyAt ?? state.at) : null,
    parent_id: state.facts.parentId,
    name: state.facts.name,
    queue: state.facts.queue,
    task_id: state.id,
    lovage: {
      version: [state.retries, state.delivery, state.seq],
      at: state.at,
      startedAt: state.startedAt,
      facts: state.facts,
      ...(error === null ? {} : { error: { ...error, traceback: undefined } }),
    },
  }
  // the value is JSON text already
  return error === null
    ? encodeJson(document).replace('"result":null', () => `"result":${value}`)
    : encodeJson(document)
}

/** @throws {DecodeError} it is no result document. */
export function fromResultDocument(text: string): StoredState {
  const document = decodeJson(text)
  if (!isMap(document) || typeof document['status'] !== 'string' || typeof document['task_id'] !== 'string') {
    throw new DecodeError('This is no result document: it has no status or no task_id.')
  }
  const { status, task_id: id, result, traceback } = document
  const ours = isMap(document['lovage']) ? document['lovage'] : {}
  const [retries, delivery, seq] = Array.isArray(ours['version']) ? (ours['version'] as unknown[]) : []
  const doneAt = typeof document['date_done'] === 'string' ? parseIsoTime(document['date_done']) : undefined
  const value = holdsException(status) ? errorOf(result, traceback, ours['error']) : result
  return {
    id,
    state: status,
    retries: toNumber(retries) ?? toNumber(document['retries']) ?? 0,
    delivery: toNumber(delivery) ?? 0,
    seq: toNumber(seq) ?? 0,
    at: toNumber(ours['at']) ?? doneAt ?? 0,
    value: encodeTolerantly(value),
    facts: isMap(ours['facts']) ? ours['facts'] : factsOf(document),
    ...(typeof ours['startedAt'] === 'number' ? { startedAt: ours['startedAt'] } : {}),
    ...(doneAt === undefined || !isReadyState(status) ? {} : { readyAt: doneAt }),
  }
}

/** What we wrote ourselves says more than Celery's fields can. */
function errorOf(result: unknown, traceback: unknown, ours: unknown): unknown {
  const trace = typeof traceback === 'string' ? traceback : null
  if (!isMap(ours)) return fromCeleryException(result, trace)
  return trace === null ? ours : { ...ours, traceback: trace }
}

/** Python stores NaN and infinities, which never leave here: they become null. */
function encodeTolerantly(value: unknown): string {
  try {
    return encodeJson(withoutNonFinite(value), 'result')
  } catch (cause) {
    throw new DecodeError(`The result cannot be kept: ${(cause as Error).message}`, { cause })
  }
}

function withoutNonFinite(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (Array.isArray(value)) return value.map(withoutNonFinite)
  if (!isMap(value) || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutNonFinite(item)]))
}

function factsOf(document: Readonly<Record<string, unknown>>): StoredState['facts'] {
  const { name, queue, parent_id: parentId } = document
  return {
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof queue === 'string' ? { queue } : {}),
    ...(typeof parentId === 'string' ? { parentId } : {}),
  }
}

function toNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
