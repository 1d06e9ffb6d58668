/**
 * What travels between the server kit and the browser: routes, snapshots, stream events, handles. Browser-safe: types
 * and constants only, shared by `routes.ts`, the client, the elements and the React hook.
 */
import type { AnyStates, Progress, States, TaskHandle } from '../app/types.ts'

export type { AnyStates, Progress, States, TaskHandle }

// ── Numbers both sides hold to ─────────────────────────────────────────────────────────────────────

/** Where the routes are mounted unless told otherwise. */
export const defaultBasePath = '/tasks'
/** Handles in one stream's list. */
export const subscriptionLimit = 200
/** Changes are gathered this long before they are sent. */
export const frameMs = 100
/** A comment line comes this often on a silent stream. */
export const heartbeatMs = 15_000
/** A stream silent for longer is dead: reconnect. */
export const silenceLimitMs = 40_000
/** The longest that `Prefer: wait=…` is honoured, seconds. */
export const longestWaitS = 25

// ── Handles ────────────────────────────────────────────────────────────────────────────────────────

/**
 * What a handle allows. `read`: state, times, progress. `result`: the return value. `log`: reserved. `revoke`: Cancel.
 */
export type Permission = 'read' | 'result' | 'log' | 'revoke'

/**
 * The second part of `v1.<kid>.<payload>.<mac>`: base64url of this as JSON in UTF-8. `mac` is the base64url of
 * HMAC-SHA256 over `v1.<kid>.<payload>`. A reader may look at `sub` and `exp` for its own convenience; only the server
 * can tell whether they are true. A string that does not begin with `v1.` is a bare task id.
 */
export interface HandlePayload {
  /** `<task id>`, `owner:<owner>` or `tag:<tag>`. */
  readonly sub: string
  readonly allow: readonly Permission[]
  /** Epoch seconds. */
  readonly exp: number
  /** The app's name. */
  readonly aud: string
  /** Epoch seconds of the first one of a chain of renewals: no renewal lives longer than a day from here. */
  readonly iat?: number
}

/** A signed string for a list: all tasks of one owner, or with one tag. */
export type ListHandle = string & { readonly '~list'?: true }

// ── Snapshots ──────────────────────────────────────────────────────────────────────────────────────

/**
 * `[ready, retries, delivery, rank, seq]`, compared from left to right, the greater one newer. A ready snapshot is never
 * replaced, not even by another ready one; an unready one also by one of the same version, which knows more of the
 * queue or the remaining time. Compare only versions of one task.
 */
export type Version = readonly [ready: 0 | 1, retries: number, delivery: number, rank: number, seq: number]

/** What a person may know of a failure: what the author wrote for people, else only that something went wrong. */
export interface PublicError {
  readonly message: string
  /** `7F3A-91C2`: also stands in the worker's log. */
  readonly reference: string
  readonly retryable: boolean
}

export interface RemainingTime {
  readonly ms: number
  /** `measured`: from this run's own pace. `usual`: from what earlier runs of this task took. */
  readonly confidence: 'measured' | 'usual'
}

/** No arguments, no traceback; instants are ISO 8601 texts in UTC. */
interface PublicFields {
  readonly id: string
  readonly version: Version
  readonly name?: string
  /** What the task's author calls it, for people. */
  readonly title?: string
  /** 1 for the first. */
  readonly attempt: number
  readonly seq: number
  readonly queuedAt?: string
  readonly startedAt?: string
  readonly readyAt?: string
  readonly progress?: Progress
  /** While it waits. `workers: 0` is "Waiting for a worker. None is running." `position`: 1 is next; about right. */
  readonly queue?: { readonly position?: number; readonly workers?: number }
  readonly remaining?: RemainingTime
  /** What this handle, or this session, allows. */
  readonly can: readonly Permission[]
  readonly meta?: unknown
  readonly result?: unknown
  readonly error?: PublicError
}

type PublicCustom<St extends States> = string extends keyof St
  ? PublicFields & { readonly state: string & {}; readonly ready: false; readonly meta: unknown }
  : {
      [K in keyof St & string]: PublicFields & { readonly state: K; readonly ready: false; readonly meta: St[K] }
    }[keyof St & string]

/** Where a task stands, as a browser may know it: switch on `state` and its fields become certain. */
export type PublicSnapshot<T = unknown, St extends States = AnyStates> =
  | (PublicFields & { readonly state: 'PENDING' | 'RECEIVED' | 'STARTED'; readonly ready: false })
  | (PublicFields & { readonly state: 'PROGRESS'; readonly ready: false; readonly progress: Progress })
  | (PublicFields & {
      readonly state: 'RETRY'
      readonly ready: false
      readonly error: PublicError
      readonly retryAt: string
    })
  /** Without the permission `result`, `result` is not there. */
  | (PublicFields & { readonly state: 'SUCCESS'; readonly ready: true; readonly result: T })
  | (PublicFields & { readonly state: 'FAILURE'; readonly ready: true; readonly error: PublicError })
  | (PublicFields & {
      readonly state: 'REVOKED'
      readonly ready: true
      readonly reason: 'revoked' | 'terminated' | 'expired'
    })
  | PublicCustom<St>

// ── The stream ─────────────────────────────────────────────────────────────────────────────────────

/** The body of `POST /stream`. */
export interface StreamRequest {
  /** 1 to 200. */
  readonly handles: readonly string[]
  /**
   * The last event id of a stream that had exactly these handles: what did not change since is left out. An id the
   * server no longer knows is answered with everything. `Last-Event-ID` says the same.
   */
  readonly after?: string
}

/** `handle` is the index in the request's list that the event answers. */
export interface SnapshotEvent {
  readonly handle: number
}
export type GoneReason = 'unknown' | 'expired' | 'forbidden'
export interface GoneEvent {
  readonly handle: number
  readonly reason: GoneReason
}
/** The handle is about to expire and its task is not ready: from now on use `next`. */
export interface HandleEvent {
  readonly handle: number
  readonly next: string
}
/** The server ends the stream: connect again, to whichever server answers, after `retryMs`. */
interface ByeEvent {
  readonly retryMs: number
}

/**
 * Event name → its data (JSON in one `data:` line). Snapshots are always whole, never parts. `id:` stands on the last
 * snapshot of a frame only, so that an id is proof that all before it came. The comment `: hb` is the heartbeat.
 */
export interface StreamEvents {
  readonly snapshot: PublicSnapshot & SnapshotEvent
  readonly gone: GoneEvent
  readonly handle: HandleEvent
  readonly bye: ByeEvent
}

// ── Other answers ──────────────────────────────────────────────────────────────────────────────────

/** The body of `POST /:id/revoke`; `{}` is enough. Answered with 202 and `{}`. */
export interface RevokeBody {
  /** 200 characters at most. */
  readonly reason?: string
}

/** The body of every answer that is not 2xx or 304. `text` is for the developer, not for the page. */
export interface ProblemBody {
  readonly error: { readonly code: ProblemCode; readonly text: string }
}
export type ProblemCode =
  | 'not-found'
  | 'expired'
  | 'bad-request'
  | 'cross-site'
  | 'method-not-allowed'
  | 'unsupported-media-type'
  | 'too-large'
  | 'too-many'
  | 'unavailable'
