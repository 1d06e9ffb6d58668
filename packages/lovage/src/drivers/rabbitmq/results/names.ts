/** The inbox and the stream of one app, and how they are declared. */
import type { Channel } from 'amqplib'
import { ConfigurationError } from '../../../core/errors.ts'

export interface ResultQueues {
  /** Named in `reply_to`: durable, classic, read by one process at a time. */
  readonly inbox: string
  /** What every process reads. How long it keeps what is in it is a policy of the broker's. */
  readonly stream: string
}

const longestNameBytes = 255

/** @throws {ConfigurationError} the app's name is too long for a queue's. */
export function resultQueues(app: string): ResultQueues {
  const queues = { inbox: `lovage.inbox.${app}`, stream: `lovage.results.${app}` }
  if (Buffer.byteLength(queues.stream) <= longestNameBytes) return queues
  throw new ConfigurationError(
    `The app's name takes ${Buffer.byteLength(app)} bytes: with rpc:// results it names queues, whose names take ${longestNameBytes} at most`,
  )
}

/** Idempotent. Whoever sends a task has this behind it, or a worker's answer would lead nowhere. */
export async function declareInbox(channel: Channel, { inbox }: ResultQueues): Promise<void> {
  await channel.assertQueue(inbox, { durable: true, arguments: { 'x-single-active-consumer': true } })
}

export async function declareStream(channel: Channel, { stream }: ResultQueues): Promise<void> {
  await channel.assertQueue(stream, { durable: true, arguments: { 'x-queue-type': 'stream' } })
}
