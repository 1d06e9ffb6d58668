/** What the books know of one task, and where in its life that puts it. */
import type { Delivery } from '../../src/broker.ts'
import type { StoredState } from '../../src/core/record.ts'
import type { Run } from '../../src/worker/run.ts'
import type { TaskState } from './coverage.ts'
import type { Process } from './process.ts'
import type { TaskPlan } from './tasks.ts'

/** One life of a worker, as the books see it. */
export interface Life {
  readonly process: Process
  readonly slots: number
  /** True time when the server began to tell it of revokes. */
  readonly watchesSince: number
  knowsRevoked(id: string): boolean
}

interface Holding {
  readonly process: Process
  /** What the worker knows of it, once it has arrived. */
  run: Run | undefined
  /** Whether the holder's death is blamed on it. */
  isBlamed: boolean
  readonly message: Delivery['message']
  readonly handedOverAt: number
  /** It was final before it was handed over. */
  readonly isDone: boolean
  readonly isRedelivery: boolean
}

/** What the books know of one task. */
export interface Entry {
  readonly id: string
  readonly plan: TaskPlan
  /** It follows from the success of another task. */
  readonly after: string | undefined
  acknowledged: boolean
  /** Messages of it in the broker, whoever holds them. */
  messages: number
  /** Messages ever accepted: publications, repeated ones too, and retries. */
  accepted: number
  handOvers: number
  /** Hand-overs that were given back, or taken back: each allows another. */
  givenBack: number
  /** Of those, by the death or silence of the holder. */
  crashes: number
  /** Runs, by the token of their hand-over. */
  readonly runs: Map<string, number>
  /** Runs that did not end by themselves. */
  cutRuns: number
  stored: StoredState | undefined
  /** The first final record, as text. */
  final: string | undefined
  /** The broker's wall time before which its last message waits. */
  notBefore: number
  /** True time when its revoke was stored. */
  revokedAt: number | undefined
  readonly held: Map<string, Holding>
}

export function createEntry(id: string, plan: TaskPlan, after?: string): Entry {
  const counts = { messages: 0, accepted: 0, handOvers: 0, givenBack: 0, crashes: 0, cutRuns: 0, notBefore: 0 }
  const unknown = { stored: undefined, final: undefined, revokedAt: undefined }
  return { id, plan, after, acknowledged: false, ...counts, ...unknown, runs: new Map(), held: new Map() }
}

/** @param brokerWall epoch milliseconds, as the broker sees them. */
export function stateOf(entry: Entry, brokerWall: number): TaskState {
  const { messages, stored } = entry
  if (entry.final !== undefined) return messages > 0 ? 'final, not acked' : 'final'
  if (messages === 0) return 'absent'
  if (entry.held.size > 0) return heldState(entry)
  if (stored?.state === 'RETRY') return 'RETRY waiting'
  return entry.notBefore > brokerWall ? 'delayed' : 'queued'
}

/** The furthest that somebody living has come with it. */
function heldState({ held, stored }: Entry): TaskState {
  const living = [...held.values()].filter(({ process }) => process.state !== 'dead')
  if (living.length === 0) return 'orphaned'
  const phases = living.map(({ run }) => run?.phase)
  if (phases.includes('settling')) return 'settling'
  if (!phases.includes('running')) return 'waiting in worker'
  const running = living.find(({ run }) => run?.phase === 'running')?.run
  const isShown = stored?.retries === running?.request.retries && stored?.delivery === running?.handOver
  return isShown && (stored?.state === 'STARTED' || stored?.state === 'PROGRESS') ? stored.state : 'running'
}
