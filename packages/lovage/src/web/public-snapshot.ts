/**
 * From what the store knows to what a browser may: no arguments, no traceback, no process ids; the result by permission;
 * of an error what its author wrote for people, else a reference that stands in the worker's log. Pure.
 */
import { toSnapshot } from '../app/snapshot.ts'
import type { Snapshot, TaskError } from '../app/types.ts'
import type { StoredState } from '../core/record.ts'
import { referenceOf } from '../core/reference.ts'
import { isBuiltInState, isReadyState, stateRank } from '../core/states.ts'
import type { Permission, PublicError, PublicSnapshot, RemainingTime, Version } from './contract.ts'

/** What this process knows besides the record. */
export interface SnapshotDetails {
  /** What the handle, or the session, allows. */
  readonly allow: readonly Permission[]
  readonly title?: string | undefined
  /** The task's author keeps its result from browsers. */
  readonly isResultPrivate?: boolean | undefined
  readonly queue?: { readonly position?: number; readonly workers?: number } | undefined
  readonly remaining?: RemainingTime | undefined
}

export function versionOf(stored: StoredState): Version {
  const { state, retries, delivery, seq } = stored
  return [isReadyState(state) ? 1 : 0, retries, delivery, stateRank(state), seq]
}

/** @throws {DecodeError} what is kept with the state is no JSON. */
export function toPublicSnapshot(stored: StoredState, details: SnapshotDetails): PublicSnapshot {
  const snapshot = toSnapshot(stored)
  const { id, state, ready, name, attempt, seq } = snapshot
  const can = permitted(details, ready)
  return {
    id,
    state,
    ready,
    version: versionOf(stored),
    name,
    title: details.title,
    attempt,
    seq,
    queuedAt: snapshot.queuedAt?.toISOString(),
    startedAt: snapshot.startedAt?.toISOString(),
    readyAt: snapshot.readyAt?.toISOString(),
    progress: snapshot.progress,
    queue: ready ? undefined : details.queue,
    remaining: ready ? undefined : details.remaining,
    can,
    ...stateFields(snapshot as Snapshot<unknown, {}>, can),
  } as PublicSnapshot
}

/** A ready task can no longer be revoked; a private result is nobody's. */
function permitted({ allow, isResultPrivate }: SnapshotDetails, ready: boolean): readonly Permission[] {
  return allow.filter(each => !(each === 'revoke' && ready) && !(each === 'result' && isResultPrivate === true))
}

function stateFields(snapshot: Snapshot<unknown, {}>, can: readonly Permission[]): object {
  const { state } = snapshot
  // what goes with a custom state is its author's; what goes with STARTED is the worker's: process and host
  if (!isBuiltInState(state)) return { meta: (snapshot as Snapshot).meta }
  switch (snapshot.state) {
    case 'SUCCESS':
      return can.includes('result') ? { result: snapshot.result } : {}
    case 'FAILURE':
      return { error: toPublicError(snapshot.error, snapshot.id) }
    case 'RETRY':
      return { error: toPublicError(snapshot.error, snapshot.id), retryAt: snapshot.retryAt.toISOString() }
    case 'REVOKED':
      return { reason: snapshot.reason }
    case 'PENDING':
    case 'RECEIVED':
    case 'STARTED':
    case 'PROGRESS':
      return {}
  }
}

export function toPublicError(error: TaskError, id: string): PublicError {
  const reference = referenceOf(id)
  return { message: publicMessage(error, reference), reference, retryable: error.retryable }
}

function publicMessage(error: TaskError, reference: string): string {
  if (error.isPublic === true && error.message !== '') return error.message
  return `Something went wrong. Reference ${reference}`
}

/** JSON text; what JSON has no word for as text: big integers as digits, bytes in base64. */
export function toJsonText(snapshot: PublicSnapshot): string {
  const isPlain = snapshot.result === undefined && snapshot.meta === undefined
  return isPlain ? JSON.stringify(snapshot) : JSON.stringify(snapshot, (_key, value: unknown) => plainValue(value))
}

function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value
}
