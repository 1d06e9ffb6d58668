/**
 * What is shown of a task, from one snapshot to the next. Pure. The invariant: whatever order, repetition or loss the
 * network makes of the snapshots, nothing shown ever steps back; a bar falls only where the work itself began anew or
 * grew, and then says so.
 */
import type { PublicSnapshot, Version } from '../contract.ts'

/** Why a bar stands lower than before. */
type FallReason = 'moreWork' | 'nextPhase' | 'restarted'

export interface Shown {
  readonly snapshot: PublicSnapshot
  /** 0–100; undefined: not known, the bar is indeterminate. */
  readonly percent: number | undefined
  readonly why: FallReason | undefined
  /** When it will be ready, as now believed, epoch milliseconds. */
  readonly finishAt: number | undefined
  /** Since when snapshots have said that it will be later than `finishAt`, epoch milliseconds. */
  readonly laterSince: number | undefined
  /** When this snapshot came, epoch milliseconds. */
  readonly updatedAt: number
  /** What the next percentage of this run is held against. */
  readonly basis: Basis
}

interface Basis {
  readonly percent: number | undefined
  readonly total: number | undefined
  readonly phase: string | undefined
}

/** A new estimate that is later counts only when it is this much later, for this long. */
const laterFactor = 1.2
const laterForMs = 3_000

/** Negative, 0 or positive. */
export function compareVersions(a: Version, b: Version): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** The next thing to show: `previous` itself when `snapshot` is older or the same, or when `previous` was final. */
export function reduce(previous: Shown | undefined, snapshot: PublicSnapshot, now: number): Shown {
  if (previous !== undefined && !mayReplace(snapshot, previous.snapshot)) return previous
  const before = previous !== undefined && isSameRun(previous.snapshot, snapshot) ? previous : undefined
  const basis = nextBasis(before?.basis, snapshot)
  return {
    snapshot,
    basis,
    percent: shownPercent(snapshot, basis),
    why: snapshot.ready ? undefined : whyLower(previous, before, snapshot),
    ...nextFinish(before, snapshot, now),
    updatedAt: now,
  }
}

/** The same version may say something else: the place in the queue changes without the task's doing. */
function mayReplace(next: PublicSnapshot, current: PublicSnapshot): boolean {
  if (current.ready) return false
  const order = compareVersions(next.version, current.version)
  return next.ready || order > 0 || (order === 0 && JSON.stringify(next) !== JSON.stringify(current))
}

/** One hand-over of one attempt. */
function isSameRun(a: PublicSnapshot, b: PublicSnapshot): boolean {
  return a.version[1] === b.version[1] && a.version[2] === b.version[2]
}

function basisOf({ progress, state }: PublicSnapshot): Basis {
  return { percent: progress?.percent, total: progress?.total, phase: progress?.phase ?? phaseOf(state) }
}

/** A custom state is a running task with a phase; the built-in ones say nothing of phases. */
function phaseOf(state: string): string | undefined {
  return /^(PENDING|RECEIVED|STARTED|PROGRESS|RETRY|SUCCESS|FAILURE|REVOKED)$/.test(state) ? undefined : state
}

function nextBasis(before: Basis | undefined, snapshot: PublicSnapshot): Basis {
  const next = basisOf(snapshot)
  if (before?.percent === undefined) return next
  if (next.percent === undefined) return before
  return next.percent < before.percent && fallOf(before, next) === undefined ? before : next
}

function fallOf(before: Basis, next: Basis): FallReason | undefined {
  if (next.phase !== before.phase) return 'nextPhase'
  return (next.total ?? 0) > (before.total ?? 0) ? 'moreWork' : undefined
}

/** A bar that ended early stays where it was; a full one is full. */
function shownPercent(snapshot: PublicSnapshot, basis: Basis): number | undefined {
  if (snapshot.state === 'SUCCESS') return 100
  return snapshot.ready || snapshot.progress?.percent !== undefined ? basis.percent : undefined
}

function whyLower(
  previous: Shown | undefined,
  before: Shown | undefined,
  snapshot: PublicSnapshot,
): FallReason | undefined {
  if (before !== undefined) {
    const next = basisOf(snapshot)
    const isLower = (next.percent ?? 100) < (before.basis.percent ?? 0)
    return (isLower ? fallOf(before.basis, next) : undefined) ?? before.why
  }
  const wasRunning = previous !== undefined && previous.snapshot.version[3] >= 2
  return wasRunning && previous.snapshot.version[1] === snapshot.version[1] ? 'restarted' : undefined
}

/** Earlier is believed at once, later only when it is much later and stays so: a figure that jumps is no help. */
function nextFinish(
  before: Shown | undefined,
  { remaining, ready }: PublicSnapshot,
  now: number,
): Pick<Shown, 'finishAt' | 'laterSince'> {
  if (remaining === undefined || ready) return { finishAt: undefined, laterSince: undefined }
  const next = { finishAt: now + remaining.ms, laterSince: undefined }
  if (before?.finishAt === undefined || next.finishAt <= before.finishAt || before.finishAt <= now) return next
  const isMuchLater = remaining.ms > (before.finishAt - now) * laterFactor
  const laterSince = isMuchLater ? (before.laterSince ?? now) : undefined
  return laterSince !== undefined && now - laterSince >= laterForMs ? next : { finishAt: before.finishAt, laterSince }
}

/** What may be shown at once of a task that a server has just accepted; the first real snapshot replaces it. */
export function acceptedSnapshot(id: string): PublicSnapshot {
  return { id, state: 'PENDING', ready: false, version: [0, 0, 0, 0, -1], attempt: 1, seq: -1, can: [] }
}
