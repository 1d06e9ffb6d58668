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
      return {
        error: toTaskError(value),
        retryAt: toDate(documentOf(value).retryAt) ?? toDate(stored.at) ?? new Date(0),
      }
    case 'REVOKED':
      return { error: toTaskError(value), reason: reasonOf(documentOf(value)) }
    case 'PROGRESS':
      return { progress: toProgress(value), meta: value }
    default:
      return { meta: value }
  }
}

/** A store that others write to may hold anything: what is no instant is none, what is no text is left out. */
function toDate(at: unknown): Date | undefined {
  const date = typeof at === 'number' ? new Date(at) : undefined
  return date === undefined || Number.isNaN(date.getTime()) ? undefined : date
}

function toText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

type Fields<T> = Readonly<Partial<Record<keyof T, unknown>>>

function documentOf(value: unknown): Fields<ErrorDocument & ProgressDocument> {
  return typeof value === 'object' && value !== null ? value : {}
}

function toTaskError(value: unknown): TaskError {
  const { type, message, traceback, retryable, isPublic, note } = documentOf(value)
  return {
    type: toText(type) ?? 'Error',
    message: toText(message) ?? '',
    traceback: toText(traceback),
    retryable: retryable !== false,
    isPublic: isPublic === true ? true : undefined,
    note: toText(note),
  }
}

function reasonOf({ reason }: Fields<ErrorDocument>): ErrorDocument['reason'] {
  return reason === 'terminated' || reason === 'expired' ? reason : 'revoked'
}

function toProgress(value: unknown): Progress {
  const { current, total, message, phase, unit } = documentOf(value)
  const known = typeof current === 'number' ? current : 0
  const whole = typeof total === 'number' ? total : undefined
  return {
    current: known,
    total: whole,
    percent: toPercent(known, whole),
    message: toText(message),
    phase: toText(phase),
    unit: toText(unit),
  }
}

/** To a tenth and downwards, so that 100 is shown only when it is. */
function toPercent(current: number, total: number | undefined): number | undefined {
  if (total === undefined || !(total > 0)) return undefined
  return Math.min(100, Math.max(0, Math.floor((current / total) * 1000) / 10))
}
