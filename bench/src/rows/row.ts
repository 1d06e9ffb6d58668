/** A row of the table: what is measured of one side in one round. Runs in a process of its own. */
import type { Client, Peer, Setup } from '../peers/peer.ts'
import type { BrokerName, PeerName, RabbitSetup } from '../peers/peer.ts'
import type { Settings } from '../settings.ts'

export type Figures = Readonly<Record<string, number>>

export interface Metric {
  readonly name: string
  readonly unit: '/s' | 'ms' | 'µs' | 'ns' | '%' | 'MB' | 'kB' | '×'
  /** Shown instead of the name. */
  readonly label?: string
  /** Of the machine and not of the side: not compared. */
  readonly isFact?: boolean
  /** CPU time: what Lovage takes above the hand-written loop is shown too, with the goal. */
  readonly isCpu?: boolean
  /** What is wanted of Lovage; shown, never checked. */
  readonly goal?: string
}

export interface Side {
  readonly peer: Peer
  readonly settings: Settings
  /** A database file that is not there yet, or the copy of a filled one where `prepare` made one. */
  readonly setup: Setup
  readonly prepared: Prepared | undefined
}

/** Filled queues, for every round to copy. */
export type Prepared = Readonly<Record<string, FilledQueue>>

export interface FilledQueue {
  readonly file: string
  readonly count: number
  /** Of every `sampleEvery`th task, in the order they were sent. */
  readonly sampleIds: readonly string[]
}

export interface Row {
  readonly name: string
  readonly title: string
  /** Absent: on SQLite. */
  readonly rabbitmq?: Pick<RabbitSetup, 'results'>
  readonly metrics: (settings: Settings) => readonly Metric[]
  /** Only when it is asked for by name. */
  readonly isExtra?: boolean
  /** Absent: all there are on its broker. */
  readonly peers?: readonly PeerName[]
  /** Once for each side, before the first round. */
  readonly prepare?: (side: Side) => Promise<Prepared>
  readonly measure: (side: Side) => Promise<Figures>
}

const peersOn: Readonly<Record<BrokerName, readonly PeerName[]>> = {
  sqlite: ['lovage', 'hand-written', 'plainjob'],
  rabbitmq: ['lovage', 'hand-written', 'celery', 'celery-best', 'celery-node'],
}

export function brokerOf(row: Pick<Row, 'rabbitmq'>): BrokerName {
  return row.rabbitmq === undefined ? 'sqlite' : 'rabbitmq'
}

export function peersOf(row: Pick<Row, 'peers' | 'rabbitmq'>): readonly PeerName[] {
  return row.peers ?? peersOn[brokerOf(row)]
}

export async function withClient<T>({ peer, setup }: Side, use: (client: Client) => Promise<T>): Promise<T> {
  const client = await peer.openClient(setup)
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}
