/** The result store seam: keeps what is known of every task, for every process. The contract is the suite in `testing/conformance/results/`. */
import type { Page } from './broker.ts'
import type { StateRecord, StoredState } from './core/record.ts'

export interface ResultCapabilities {
  /** `put` compares versions atomically. */
  readonly conditional: boolean
  /** One id can be read without reading others; else a look-up may answer `unknown`. */
  readonly pointRead: boolean
  /** How long a record is kept: per record, by the store as a whole, or for ever. */
  readonly retention: 'record' | 'store' | 'none'
}

/** What a look-up finds. Only `absent` is a 404: the store would know. */
export type Lookup =
  | { readonly kind: 'state'; readonly state: StoredState }
  | { readonly kind: 'absent' }
  /** Not seen here, but the store cannot rule it out; says why. */
  | { readonly kind: 'unknown'; readonly reason: string }

export interface PutOptions {
  /** Something irrevocable follows from it, so it is made as durable as a final one. @default false */
  readonly isPromise?: boolean | undefined
  /** False: the writer only needs to know that it is safe, and may be told `true` of what was no news. @default true */
  readonly isVerdictWanted?: boolean | undefined
}

export interface LookupOptions {
  /** Rejects when the store cannot be asked now, rather than answer from what this process has seen. @default false */
  readonly isFresh?: boolean | undefined
}

export interface WatchOptions {
  /** Every newer version, the present one first. Versions in between may be skipped, none comes twice, none goes backwards. */
  readonly onState: (state: StoredState) => void
  /** The watch ended by itself. */
  readonly onEnd?: ((error: Error) => void) | undefined
}

export interface ListQuery {
  readonly states?: readonly string[] | undefined
  readonly name?: string | undefined
  readonly queue?: string | undefined
  readonly owner?: string | undefined
  readonly tag?: string | undefined
  /** @default 50 */
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

export interface ResultStore {
  readonly capabilities: ResultCapabilities
  /**
   * Where workers of other makes may send states that this store then has; absent: nowhere. It goes with every message
   * that names no other address, and is there before a publish resolves.
   */
  readonly replyTo?: string | undefined
  open(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /**
   * Keeps a record if it is newer than what is there (`isNewer` in core/states.ts); whether it was.
   * A final record is never replaced. Resolves when it is as durable as the store makes such a record.
   */
  put(record: StateRecord, options?: PutOptions): Promise<boolean>
  get(id: string, options?: LookupOptions): Promise<Lookup>
  getMany(ids: readonly string[]): Promise<readonly Lookup[]>
  /** Follows some ids; the function ends it. Ids not yet known are followed too. Behind all watches of a process stands one cursor. */
  watch(ids: readonly string[], options: WatchOptions): Promise<() => void>
  /** Newest first. */
  list(query?: ListQuery): Promise<Page<StoredState>>
  /** Removes the records of ready tasks; unready ones are left. How many. */
  forget(ids: readonly string[]): Promise<number>
  /** Removes what has expired by `now` (epoch ms); how many. Drivers also do this by themselves now and then. */
  prune(now: number): Promise<number>
  close(): Promise<void>
}
