/** Task states (Celery's words) and the one order in which they may replace each other. Pure. */

/** A final state: nothing replaces it. Celery calls these "ready". */
export type ReadyState = 'SUCCESS' | 'FAILURE' | 'REVOKED'
export type BuiltInState = 'PENDING' | 'RECEIVED' | 'STARTED' | 'PROGRESS' | 'RETRY' | ReadyState

const builtInStates: ReadonlySet<string> = new Set([
  'PENDING',
  'RECEIVED',
  'STARTED',
  'PROGRESS',
  'RETRY',
  'SUCCESS',
  'FAILURE',
  'REVOKED',
])

export function isReadyState(state: string): state is ReadyState {
  return state === 'SUCCESS' || state === 'FAILURE' || state === 'REVOKED'
}

export function isBuiltInState(state: string): state is BuiltInState {
  return builtInStates.has(state)
}

/**
 * Where a state stands within one delivery. A custom state is a running task with a phase, so it shares
 * PROGRESS's rank; RETRY closes the attempt, so it comes after everything that attempt reported.
 */
export function stateRank(state: string): number {
  switch (state) {
    case 'PENDING':
      return 0
    case 'RECEIVED':
      return 1
    case 'STARTED':
      return 2
    case 'RETRY':
      return 4
    default:
      return isReadyState(state) ? 5 : 3
  }
}

/** What a state's place in the order is made of: `final > (retries, delivery, rank, seq)`. */
export interface StateVersion {
  readonly state: string
  /** Retries before this attempt; attempt = retries + 1. */
  readonly retries: number
  /** Hand-overs of the message to a worker, this one included; 0 before the first. */
  readonly delivery: number
  /** Grows within one delivery; from the writer's monotonic clock, so it means nothing between writers. */
  readonly seq: number
}

/**
 * Whether `next` may replace `current`. A final state is never replaced, not even by another final one:
 * the first is the only one ever shown.
 */
export function isNewer(next: StateVersion, current: StateVersion | undefined): boolean {
  if (current === undefined) return true
  if (isReadyState(current.state)) return false
  if (isReadyState(next.state)) return true
  return compareVersions(next, current) > 0
}

/** Negative, 0 or positive, as `Array.sort` wants it. Finality is `isNewer`'s business. */
export function compareVersions(a: StateVersion, b: StateVersion): number {
  return a.retries - b.retries || a.delivery - b.delivery || stateRank(a.state) - stateRank(b.state) || a.seq - b.seq
}

/** Whether they are one change of state, told twice. */
export function isSameVersion(a: StateVersion, b: StateVersion): boolean {
  return a.state === b.state && a.retries === b.retries && a.delivery === b.delivery && a.seq === b.seq
}
