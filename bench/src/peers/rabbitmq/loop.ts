/** What the two programs of the hand-written loop on RabbitMQ share. */
import { connect, type ChannelModel, type ConfirmChannel } from 'amqplib'
import type { Socket } from 'node:net'

export const taskQueue = 'bench.tasks'
export const resultQueue = 'bench.results'

export interface Line {
  readonly model: ChannelModel
  readonly channel: ConfirmChannel
}

/** A connection of its own: who publishes is slowed down by the broker, who acknowledges must not be. */
export async function openLine(url: string, prefetch: number): Promise<Line> {
  const model = await connect(url, { noDelay: true })
  writeByTurns(model)
  const channel = await model.createConfirmChannel()
  for (const queue of [taskQueue, resultQueue]) await channel.assertQueue(queue, { durable: true })
  await channel.prefetch(prefetch)
  return { model, channel }
}

/** The client writes frame by frame, each a system call. Lovage spares itself that, so this does too. */
function writeByTurns(model: ChannelModel): void {
  const { stream } = model.connection as unknown as { readonly stream: Socket }
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
  let isCorked = false
  stream.write = (...args: unknown[]) => {
    if (!isCorked) {
      isCorked = true
      stream.cork()
      process.nextTick(() => {
        isCorked = false
        stream.uncork()
      })
    }
    return write(...args)
  }
}

/** Gathers what comes in one turn of the event loop. */
export function byTurns<T>(use: (batch: readonly T[]) => void): (item: T) => void {
  let batch: T[] = []
  return item => {
    batch.push(item)
    if (batch.length > 1) return
    setImmediate(() => {
      const gathered = batch
      batch = []
      use(gathered)
    })
  }
}
