/**
 * What an app or a worker holds: one broker, one result store, one coordination, opened and closed together, and the
 * one place that knows in which order a delivery is settled when the driver cannot do it in one step.
 */
import type { Broker, Publication, PublishOutcome, Reply, Settlement, SettleOutcome } from './broker.ts'
import type { Coordination } from './coordination.ts'
import type { ResultStore } from './result-store.ts'
import { crashPoint } from './core/crash-point.ts'

/** One technology's three halves over one set of connections. */
export interface Connection {
  readonly broker: Broker
  readonly results: ResultStore
  readonly coordination: Coordination
  /** For people: password masked, path absolute. */
  readonly description: string
  close(): Promise<void>
}

/** What every driver may be told. */
export interface DriverOptions {
  /** The app's name: servers keep the results of each apart. @default 'lovage' */
  readonly app?: string | undefined
  /** How long a delivery belongs to a worker that shows no life. @default 30000 */
  readonly leaseMs?: number | undefined
  /** How long a final record is kept. @default 86400000 (a day, as Celery's result_expires) */
  readonly resultExpiresMs?: number | undefined
}

export interface Backend {
  readonly broker: Broker
  readonly results: ResultStore
  readonly coordination: Coordination
  readonly description: { readonly transport: string; readonly results: string }
  /** Whether a message and the record that goes with it are written in one step: who has the one finds the other. */
  readonly atomic: boolean
  open(): Promise<void>
  publish(batch: readonly Publication[]): Promise<readonly PublishOutcome[]>
  settle(settlement: Settlement): Promise<SettleOutcome>
  /** Tells a foreign client the state of its task, where the broker can. */
  reply(reply: Reply): Promise<void>
  close(): Promise<void>
}

/** Joins a broker's connection and a result store's; both may be the same. */
export function joinBackend(transport: Connection, storage: Connection): Backend {
  const { broker, coordination } = transport
  const { results } = storage
  const atomic = transport === storage && broker.capabilities.atomicSettle
  // what is for our own address is in the store already
  const reply = async (reply: Reply): Promise<void> =>
    reply.address === results.replyTo ? undefined : broker.reply?.(reply)
  return {
    broker,
    results,
    coordination,
    description: { transport: transport.description, results: storage.description },
    atomic,
    async open() {
      await broker.open()
      await results.open()
      await coordination.open()
    },
    publish: atomic
      ? batch => broker.publish(batch)
      : batch => publishThenStore(broker, results, withReplyAddress(batch, results)),
    reply,
    settle: settlement =>
      atomic && settlement.ended === undefined && broker.reply === undefined
        ? handOver(broker, settlement)
        : storeThenSettle({ broker, results, reply }, settlement),
    async close() {
      await transport.close()
      if (storage !== transport) await storage.close()
    },
  }
}

/**
 * The records follow what was accepted. A late one is harmless, because the worker's are newer, and so is one that the
 * store refused: to reject for it would make the caller send again what is queued already.
 */
async function publishThenStore(
  broker: Broker,
  results: ResultStore,
  batch: readonly Publication[],
): Promise<readonly PublishOutcome[]> {
  const outcomes = await broker.publish(batch)
  await Promise.all(
    batch.map(async ({ record }, index) => {
      if (record !== undefined && outcomes[index]?.accepted === 'yes')
        await results.put(record, onlySafe).catch(() => false)
    }),
  )
  return outcomes
}

const onlySafe = { isVerdictWanted: false } as const

/** Celery's workers send their results where the message says. */
function withReplyAddress(batch: readonly Publication[], { replyTo }: ResultStore): readonly Publication[] {
  if (replyTo === undefined) return batch
  return batch.map(publication => {
    const { message } = publication
    if (message.properties.replyTo !== undefined) return publication
    return { ...publication, message: { ...message, properties: { ...message.properties, replyTo } } }
  })
}

/**
 * Store first, then what follows, then the delivery. What follows is published from the state that is stored: where
 * that is not ours, our caller is told so. A crash in between leaves a delivery that comes again and finds the attempt
 * closed; whoever gets it publishes the same once more, under the same ids, and runs nothing.
 */
async function storeThenSettle(
  { broker, results, reply }: Pick<Backend, 'broker' | 'results' | 'reply'>,
  settlement: Settlement,
): Promise<SettleOutcome> {
  const { record, ended = [], replies = [], successors = [], ...rest } = settlement
  const isStored = record === undefined || (await results.put(record))
  if (!isStored && settlement.disposition.kind !== 'requeue') return 'overtaken'
  crashPoint('W7')
  if (ended.length > 0) await Promise.all(ended.map(each => results.put(each)))
  if (replies.length > 0) await Promise.all(replies.map(reply))
  // not with the settlement: should the delivery be lost by now, they follow all the same
  if (successors.length > 0) await publishSuccessors(broker, results, successors)
  if (successors.length > 0) crashPoint(record?.state === 'RETRY' ? 'W10' : 'W11')
  return handOver(broker, rest)
}

function handOver(broker: Broker, settlement: Settlement): Promise<SettleOutcome> {
  const answered = broker.settle(settlement)
  crashPoint('W8')
  return answered
}

/** @throws {Error} one was not accepted, for sure or perhaps. To do it all again is safe: their ids stay. */
async function publishSuccessors(
  broker: Broker,
  results: ResultStore,
  successors: readonly Publication[],
): Promise<void> {
  for (const outcome of await publishThenStore(broker, results, withReplyAddress(successors, results)))
    if (outcome.accepted !== 'yes') throw outcome.error
}
