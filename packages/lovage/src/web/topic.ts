/** One task as this process watches it: its newest state, what else is known, and its text for each set of permissions. */
import type { StoredState } from '../core/record.ts'
import { decodeJson } from '../protocol/json.ts'
import type { Permission, RemainingTime } from './contract.ts'
import { permissions } from './handles.ts'
import { Pace } from './pace.ts'
import { toJsonText, toPublicSnapshot } from './public-snapshot.ts'
import type { SnapshotDetails } from './public-snapshot.ts'
import type { QueueInfo } from './queue-info.ts'

/** A text kept longer than this says a wrong remaining time. */
const textKeptMs = 1000

interface KeptText {
  readonly text: string
  /** Monotonic milliseconds. */
  readonly madeAt: number
}

export interface TextFacts extends Omit<SnapshotDetails, 'allow' | 'queue'> {
  /** Monotonic milliseconds. */
  readonly now: number
}

export class Topic<Subscription> {
  readonly id: string
  readonly subscriptions: Set<Subscription> = new Set()
  /** Since which frame its changes are seen here. */
  readonly bornFrame: number
  /** The frame that brought its last change; Infinity while that is still to come. */
  changedFrame: number
  state: StoredState | undefined
  queue: QueueInfo | undefined
  /** Grows with whatever there is to tell. */
  revision = 0
  /** Ends the watch of the store; undefined while there is none. */
  unwatch: (() => void) | undefined
  /** Monotonic milliseconds at which the last subscription went; undefined while there is one. */
  idleSince: number | undefined
  readonly #texts = new Map<number, KeptText>()
  #pace: Pace | undefined

  constructor(id: string, frame: number) {
    this.id = id
    this.bornFrame = frame
    this.changedFrame = frame
  }

  take(state: StoredState): void {
    const before = this.state
    this.state = state
    this.revision++
    this.#texts.clear()
    if (before?.retries !== state.retries || before.delivery !== state.delivery) this.#pace = undefined
    if (state.state === 'PROGRESS') this.#observe(state)
  }

  takeQueue(queue: QueueInfo | undefined): void {
    this.queue = queue
    this.revision++
    this.#texts.clear()
  }

  /** Milliseconds left by this run's own pace, at `now` (epoch milliseconds). */
  measuredMs(now: number): number | undefined {
    return this.#pace?.remainingMs(now)
  }

  /** The public snapshot as JSON without its opening brace; made once for all who may see the same. */
  textFor(allow: readonly Permission[], facts: () => TextFacts, now: number): string {
    const mask = maskOf(allow)
    const kept = this.#texts.get(mask)
    if (kept !== undefined && (this.state?.readyAt !== undefined || now - kept.madeAt < textKeptMs)) return kept.text
    if (this.state === undefined) throw new RangeError(`${this.id} has no state to tell`)
    const text = publicText(this.state, { ...facts(), allow, queue: this.queue }).slice(1)
    this.#texts.set(mask, { text, madeAt: now })
    return text
  }

  #observe(state: StoredState): void {
    this.#pace ??= new Pace(state.startedAt ?? state.at)
    const { current, total, phase } = progressOf(state)
    if (typeof current !== 'number') return
    this.#pace.observe({
      at: state.at,
      current,
      total: typeof total === 'number' ? total : undefined,
      phase: typeof phase === 'string' ? phase : undefined,
    })
  }
}

/** JSON of the public snapshot. What cannot be read, as a foreign writer may leave it, is left out: the state still counts. */
export function publicText(state: StoredState, details: SnapshotDetails): string {
  try {
    return toJsonText(toPublicSnapshot(state, details))
  } catch {
    return toJsonText(toPublicSnapshot({ ...state, value: undefined }, details))
  }
}

/** The remaining time of one look at a state, without a history: its average pace so far. */
export function measureOnce(state: StoredState, now: number): number | undefined {
  const { current, total } = state.state === 'PROGRESS' ? progressOf(state) : {}
  if (typeof current !== 'number' || typeof total !== 'number' || state.startedAt === undefined) return undefined
  const pace = new Pace(state.startedAt)
  pace.observe({ at: state.at, current, total })
  return pace.remainingMs(now)
}

export function toRemaining(measured: number | undefined, usual: () => number | undefined): RemainingTime | undefined {
  if (measured !== undefined) return { ms: measured, confidence: 'measured' }
  const ms = usual()
  return ms === undefined ? undefined : { ms, confidence: 'usual' }
}

function progressOf({ value }: StoredState): Readonly<Record<'current' | 'total' | 'phase', unknown>> {
  let document: unknown
  try {
    document = value === undefined ? undefined : decodeJson(value)
  } catch {
    // a foreign writer's: it says no progress
  }
  return (typeof document === 'object' && document !== null ? document : {}) as ReturnType<typeof progressOf>
}

function maskOf(allow: readonly Permission[]): number {
  let mask = 0
  for (const each of allow) mask |= 1 << permissions.indexOf(each)
  return mask
}
