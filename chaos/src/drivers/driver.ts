/**
 * The seam between the harness and what carries the queue. A driver joins by one file and a line in all.ts; what it
 * cannot do it leaves out.
 */
import type { Random } from '../programs/random.ts'

export interface ChaosDriver {
  readonly name: string
  /** What a killed worker's task may take to begin again on the same host: the goal. */
  readonly recoveryGoalMs: number
  /** Starts what the URL needs. `folder` is empty, private, and gone afterwards. @param leaseMs of the workers. */
  start(options: {
    readonly folder: string
    readonly minutes: number
    readonly leaseMs: number
  }): Promise<RunningDriver>
}

export interface RunningDriver {
  readonly brokerUrl: string
  /** Absent: the broker's. */
  readonly resultBackend?: string
  /** For the environment of every process. */
  readonly env?: NodeJS.ProcessEnv
  /** Why a fault of the usual ones is left out, for people. */
  readonly leftOut?: string
  /** A disk that can be filled. */
  readonly volume?: Volume
  /** Faults of its own, one chosen now and then: a broker's restart, its death, a cut connection. */
  readonly faults?: readonly ServerFault[]
  /** What is left of the queue, where the broker cannot count through Lovage: asked of the server itself. */
  left?(): Promise<Left>
  /** Sentences about what is wrong with what is kept, when all is over; nothing: all is well. */
  examine?(): Promise<readonly string[]>
  stop(): Promise<void>
}

/** Messages of the queue `celery`, and those delayed for it. */
export interface Left {
  readonly ready: number
  readonly delayed: number
  readonly unsettled: number
}

interface ServerFault {
  readonly name: string
  /** Resolves when the server is there again. */
  run(random: Random): Promise<void>
}

export interface Volume {
  /** Leaves no room. */
  fill(): void
  free(): void
}
