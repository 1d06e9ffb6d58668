/** What a store knows of a task, as its readers see it. */
import type { ErrorDocument, ProgressDocument, StoredState } from '../core/record.ts'
import { isReadyState } from '../core/states.ts'
import { decodeJson } from '../protocol/json.ts'
import type { Progress, Snapshot, TaskError } from './types.ts'

/**
 * @throws {DecodeError} the value kept with the state is no JSON.
 */
export function toSnapshot(stored: StoredState): Snapshot {
  return {
    ...commonFields(stored),
    ...stateFields(stored),
    state: stored.state,
    ready: isReadyState(stored.state),
  } as Snapshot
}

function commonFields({ id, facts, retries, seq, startedAt, readyAt }: StoredState): object {
  return {
    id,
    name: facts.name,
    queue: facts.queue,
    attempt: retries + 1,
    seq,
    queuedAt: toDate(facts.queuedAt),
    startedAt: toDate(startedAt),
    readyAt: toDate(readyAt),
  }
}

function stateFields(stored: StoredState): object {
  const value = stored.value === undefined ? undefined : decodeJson(stored.value)
  switch (stored.state) {
    case 'SUCCESS':
      return { result: value ?? null }
    case 'FAILURE':
      return { error: toTaskError(value) }
    case 'RETRY':
      return { error: toTaskError(value), retryAt: new Date(documentOf(value).retryAt ?? stored.at) }
    case 'REVOKED':
      return { error: toTaskError(value), reason: documentOf(value).reason ?? 'revoked' }
    case 'PROGRESS':
      return { progress: toProgress(value), meta: value }
    default:
      return { meta: value }
  }
}

function toDate(at: number | undefined): Date | undefined {
  return at === undefined ? undefined : new Date(at)
}

/** A store that Python writes to may hold anything: what is no object is an empty one. */
function documentOf(value: unknown): Partial<ErrorDocument> {
  return typeof value === 'object' && value !== null ? value : {}
}

function toTaskError(value: unknown): TaskError {
  const { type, message, traceback, retryable, isPublic, note } = documentOf(value)
  return { type: type ?? 'Error', message: message ?? '', traceback, retryable: retryable ?? true, isPublic, note }
}

function toProgress(value: unknown): Progress {
  const { current, total, message, phase, unit } = (
    typeof value === 'object' && value !== null ? value : {}
  ) as Partial<ProgressDocument>
  const known = typeof current === 'number' ? current : 0
  return { current: known, total, percent: toPercent(known, total), message, phase, unit }
}

/** To a tenth and downwards, so that 100 is shown only when it is. */
function toPercent(current: number, total: number | undefined): number | undefined {
  if (typeof total !== 'number' || !(total > 0)) return undefined
  return Math.min(100, Math.max(0, Math.floor((current / total) * 1000) / 10))
}
