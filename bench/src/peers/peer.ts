/** What a bench asks of each of the sides it compares. A side is a client (in this process) and a worker (in its own). */

export const peerNames = ['lovage', 'hand-written', 'plainjob', 'celery', 'celery-best', 'celery-node'] as const

export type PeerName = (typeof peerNames)[number]

/** Where the queue is. */
export type BrokerName = 'sqlite' | 'rabbitmq'

export interface Setup {
  /** The database file; its folder is this side's alone. */
  readonly file: string
  /** Tasks a worker may run at once, where it has the choice. */
  readonly concurrency: number
  /** Messages the hand-written loop on SQLite claims and settles at once: about what Lovage holds of quick tasks. */
  readonly claim: number
  /** Messages the hand-written loop on RabbitMQ holds: what Lovage holds at most. */
  readonly prefetch: number
  /** Absent: the queue is in the file too. */
  readonly rabbit?: RabbitSetup | undefined
}

export interface RabbitSetup {
  /** Of a virtual host that is this side's alone. */
  readonly url: string
  readonly results: 'rpc' | 'sqlite'
  /** A Python that has Celery. */
  readonly celery?: PythonCelery | undefined
}

export interface PythonCelery {
  readonly python: string
  readonly version: string
}

export interface PeerFacts extends Pick<Setup, 'concurrency' | 'claim' | 'prefetch'> {
  readonly celery?: PythonCelery | undefined
}

export interface Peer {
  readonly name: PeerName
  /** Printed with the figures: durability, batches, prefetch. */
  configuration(facts: PeerFacts): Readonly<Record<string, string>>
  /** What it can have on its way at once without breaking down. Absent: as many as the others. */
  readonly load?: Load
  openClient(setup: Setup): Promise<Client>
  worker(setup: Setup): WorkerCommand
}

export interface Load {
  /** Tasks in one call of enqueue. */
  readonly batch: number
  readonly batchesInFlight: number
}

/** A program that prints a line with `ready` when it takes tasks, and ends on SIGTERM. */
export interface WorkerCommand {
  /** Absent: Node. */
  readonly program?: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface Client {
  /** Enqueues that many trivial tasks in one call; resolves when they are as durable as this peer makes them. */
  send(count: number): Promise<Sent>
  /** Whether this task's end is recorded, by a point read. Absent: it is not asked of this peer. */
  isReady?(id: string): Promise<boolean>
  /** One task from the call until its result is back, in ms, timed where the calls are made. Absent: that is here. */
  timeOne?(): Promise<number>
  /** Of the process that sends, when it is not this one. */
  readonly pid?: number
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
