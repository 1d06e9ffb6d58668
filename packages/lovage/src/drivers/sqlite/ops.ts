/**
 * What the two sides of the store thread say to each other: plain data. The main side sends `Op`s in batches and gets one
 * `Report` per transaction, with the answers and whatever its subscriptions are to be told.
 */
import type { Disposition, Page, ParkedMessage, QueueStats, SettleOutcome } from '../../broker.ts'
import type { KeyChange, Lease } from '../../coordination.ts'
import type { StorageReason } from '../../core/errors.ts'
import type { StateRecord } from '../../core/record.ts'
import type { packDeliveries, PackedOp } from './packing.ts'
import type { ListQuery } from '../../result-store.ts'
import type { StateRow } from './state-row.ts'

/** A message as the table keeps it: `head` is the JSON text of `[properties, headers]`. */
export interface MessageRow {
  readonly id: string
  readonly queue: string
  readonly priority: number
  readonly notBefore: number | undefined
  readonly head: string
  readonly body: string | Uint8Array
  readonly record: StateRecord | undefined
}

export interface DeliveryRow {
  readonly token: string
  readonly queue: string
  readonly delivery: number
  readonly crashes: number
  readonly head: string
  readonly body: string | Uint8Array
}

export interface ParkedRow extends Omit<ParkedMessage, 'message'> {
  readonly head: string
  readonly body: string | Uint8Array
}

export interface NoticeRow {
  readonly address: string
  readonly head: string
  readonly body: string | Uint8Array
}

/** How a delivery ends, with `head` for the one the message has from then on; undefined: it keeps its own. */
export type RowDisposition = Disposition & { readonly head?: string | undefined }

/** Every operation: what it takes, what it answers. */
interface Operations {
  declare: { op: { queues: readonly string[] }; answer: void }
  publish: { op: { rows: readonly MessageRow[] }; answer: void }
  consume: { op: { consumer: number; queues: readonly string[]; prefetch: number; node: string }; answer: void }
  prefetch: { op: { consumer: number; prefetch: number }; answer: void }
  pause: { op: { consumer: number; queue: string; paused: boolean }; answer: void }
  unconsume: { op: { consumer: number }; answer: void }
  /** Whether each is still held. */
  started: { op: { tokens: readonly string[] }; answer: readonly boolean[] }
  settle: {
    op: {
      token: string
      disposition: RowDisposition
      successors: readonly MessageRow[]
      record: StateRecord | undefined
    }
    answer: SettleOutcome
  }
  park: { op: { row: MessageRow; reason: string }; answer: void }
  parked: { op: { queue: string | undefined; before: number | undefined; limit: number }; answer: Page<ParkedRow> }
  takeParked: { op: { parkedId: string }; answer: ParkedRow | undefined }
  send: { op: { notice: NoticeRow }; answer: void }
  listen: { op: { listener: number; pattern: string }; answer: void }
  unlisten: { op: { listener: number }; answer: void }
  queues: { op: object; answer: readonly string[] }
  stats: { op: { queue: string }; answer: QueueStats }
  /** Removes a bounded number at a time; `more`: ask again. */
  purge: { op: { queue: string }; answer: { readonly purged: number; readonly more: boolean } }
  /** Gives everything held by this connection back. */
  giveBack: { op: object; answer: void }
  put: { op: { record: StateRecord; isPromise?: boolean | undefined }; answer: boolean }
  get: { op: { ids: readonly string[] }; answer: readonly (StateRow | undefined)[] }
  follow: { op: { ids: readonly string[] }; answer: readonly (StateRow | undefined)[] }
  unfollow: { op: { ids: readonly string[] }; answer: void }
  /** Looks at a bounded number of rows: a page may be short and still have a cursor. */
  list: {
    op: { query: ListQuery; before: number | undefined; limit: number }
    answer: { readonly items: readonly StateRow[]; readonly next: number | undefined }
  }
  forget: { op: { ids: readonly string[] }; answer: number }
  prune: { op: { now: number }; answer: { readonly pruned: number; readonly more: boolean } }
  keyPutIfAbsent: { op: { key: string; value: string; ttlMs: number }; answer: string | undefined }
  keyPut: { op: { key: string; value: string; ttlMs: number }; answer: void }
  keyGet: { op: { key: string }; answer: string | undefined }
  keyDelete: { op: { key: string }; answer: void }
  keyList: { op: { prefix: string }; answer: readonly { readonly key: string; readonly value: string }[] }
  watchKeys: { op: { watcher: number; prefix: string }; answer: readonly KeyChange[] }
  unwatchKeys: { op: { watcher: number }; answer: void }
  lease: { op: { name: string; holder: string; ttlMs: number }; answer: Pick<Lease, 'token'> | undefined }
  release: { op: { name: string; holder: string }; answer: void }
  take: { op: { key: string; n: number; perMs: number }; answer: number }
}

export type OpKind = keyof Operations
export type OpOf<K extends OpKind> = { readonly kind: K } & Readonly<Operations[K]['op']>
export type Op = { [K in OpKind]: OpOf<K> }[OpKind]
export type AnswerOf<K extends OpKind> = Operations[K]['answer']
export type Handlers = { readonly [K in OpKind]: (op: OpOf<K>) => AnswerOf<K> }

/** What an operation asks of the disk: no write, a write that a power cut may undo, a write that it must not. */
export type Durability = 'read' | 'normal' | 'full'

export interface OpenRequest {
  readonly kind: 'open'
  readonly path: string
  readonly leaseMs: number
  readonly watchdogMs: number
  readonly resultExpiresMs: number
  readonly busyMs: number
  /** One counter that the main thread raises while it lives. */
  readonly heartbeat: SharedArrayBuffer
}
interface OpsRequest {
  readonly kind: 'ops'
  /** The number of the first one; the others follow. */
  readonly first: number
  readonly ops: readonly PackedOp[]
}
interface CloseRequest {
  readonly kind: 'close'
}
export type Request = OpenRequest | OpsRequest | CloseRequest

/** An error on its way between the threads. */
export interface ErrorRow {
  readonly message: string
  readonly reason: StorageReason
  /** Whether the write may have happened all the same. */
  readonly unknown: boolean
}

export type StoreEvent =
  | { readonly kind: 'deliveries'; readonly consumer: number; readonly packed: ReturnType<typeof packDeliveries> }
  | { readonly kind: 'states'; readonly states: readonly StateRow[] }
  | { readonly kind: 'notices'; readonly notices: readonly NoticeRow[] }
  | { readonly kind: 'keys'; readonly watcher: number; readonly changes: readonly KeyChange[] }
  /** The file is gone or unusable: nothing works any more. */
  | { readonly kind: 'ended'; readonly error: ErrorRow }

export interface OpsReport {
  readonly kind: 'report'
  readonly answered: readonly number[]
  /** One value for each of `answered`. */
  readonly values: readonly unknown[]
  readonly failed: readonly { readonly number: number; readonly error: ErrorRow }[]
  readonly events: readonly StoreEvent[]
}
export type Report =
  | OpsReport
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly error: ErrorRow }
  | { readonly kind: 'closed' }
