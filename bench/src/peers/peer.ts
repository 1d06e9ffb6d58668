/** What a bench asks of each of the sides it compares. A side is a client (in this process) and a worker (in its own). */

export type PeerName = 'lovage' | 'hand-written' | 'plainjob'

export interface Setup {
  /** The database file; its folder is this side's alone. */
  readonly file: string
  /** Tasks a worker may run at once, where it has the choice. */
  readonly concurrency: number
  /** Messages the hand-written loop claims and settles at once: about what Lovage holds of quick tasks. */
  readonly claim: number
}

export interface Peer {
  readonly name: PeerName
  /** Printed with the figures: durability, batches, prefetch. */
  configuration(setup: Omit<Setup, 'file'>): Readonly<Record<string, string>>
  openClient(setup: Setup): Promise<Client>
  worker(setup: Setup): WorkerCommand
}

/** A Node program that prints a line with `ready` when it takes tasks, and ends on SIGTERM. */
export interface WorkerCommand {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface Client {
  /** Enqueues that many trivial tasks in one call; resolves when they are as durable as this peer makes them. */
  send(count: number): Promise<Sent>
  /** Whether this task's end is recorded, by a point read. */
  isReady(id: string): Promise<boolean>
  /** Runs one task that does nothing but call progress for that long. Absent: this peer has no progress. */
  measureProgress?(ms: number): Promise<ProgressFigures>
  close(): Promise<void>
}

export interface Sent {
  readonly ids: readonly string[]
  /** Resolves when all results are here. */
  results(): Promise<void>
}

export interface ProgressFigures {
  readonly nsPerCall: number
  readonly writesPerSecond: number
}
