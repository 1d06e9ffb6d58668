/**
 * The experiment of docs/decisions/0012: a broker is killed and started again while results are published from the
 * first moment it takes connections. Counts what was confirmed and cannot be read afterwards.
 *
 *   node packages/lovage/test/faults/stream-restart.ts [runs]
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'amqplib'
import type { ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib'
import { startRabbit } from '../../../../test-support/rabbitmq-server.ts'
import type { RabbitServer } from '../../../../test-support/rabbitmq-server.ts'

/** How a result gets into the stream. */
const ways = ['bare stream', 'inbox, acked when the stream confirms', 'inbox, acked when read back'] as const
type Way = (typeof ways)[number]

const stream = 'results'
const inbox = 'inbox'
/** Of publishing after the first connection; the fault lasts about a second. */
const publishMs = 2000
/** A relayed message that was not read back by then is published again. */
const readBackMs = 300

interface Count {
  readonly confirmed: number
  readonly unreadable: number
  readonly firstMs: number | undefined
  readonly lastMs: number | undefined
}

const runCount = Number(process.argv[2] ?? 4)
for (const way of ways) {
  for (let run = 0; run < runCount; run++) {
    const { confirmed, unreadable, firstMs, lastMs } = await measure(way)
    const when = unreadable === 0 ? '' : `, confirmed ${firstMs}–${lastMs} ms after the first connection`
    console.log(`${way}: ${unreadable} of ${confirmed} confirmed cannot be read${when}`)
  }
}

async function measure(way: Way): Promise<Count> {
  await using server = await startRabbit()
  const before = await open(server)
  await before.channel.assertQueue(stream, { durable: true, arguments: { 'x-queue-type': 'stream' } })
  await before.channel.assertQueue(inbox, { durable: true })
  for (let index = 0; index < 200; index++) publish(before.channel, { queue: stream, id: `before-${index}` })
  await before.channel.waitForConfirms()
  // a broker that is killed within half a second of its first stream has forgotten it for good: that is another matter
  await delay(2000)
  await server.kill()
  const starting = server.start()
  const { model, channel } = await open(server)
  const relay = way === 'bare stream' ? undefined : await startRelay(server, way)
  const confirmed = await publishFor(channel, way === 'bare stream' ? stream : inbox)
  await starting
  await relay?.drained()
  const readable = await readAll(server)
  const lost = [...confirmed].filter(([id]) => !readable.has(id)).map(([, atMs]) => Math.round(atMs))
  await model.close()
  await relay?.close()
  return {
    confirmed: confirmed.size,
    unreadable: lost.length,
    firstMs: lost.toSorted((a, b) => a - b)[0],
    lastMs: lost.toSorted((a, b) => a - b).at(-1),
  }
}

interface Opened {
  readonly model: ChannelModel
  readonly channel: ConfirmChannel
}

/** As soon as the broker takes connections. */
async function open(server: RabbitServer): Promise<Opened> {
  for (;;) {
    try {
      const model = await connect(server.url(), { noDelay: true })
      model.on('error', () => undefined)
      const channel = await model.createConfirmChannel()
      channel.on('error', () => undefined)
      return { model, channel }
    } catch {
      await delay(10)
    }
  }
}

function publish(
  channel: ConfirmChannel,
  { queue, id }: { readonly queue: string; readonly id: string },
  onConfirm?: () => void,
): void {
  channel.sendToQueue(queue, Buffer.from(id), { persistent: true, messageId: id }, error => {
    if (error === null || error === undefined) onConfirm?.()
  })
}

/** Three messages each two milliseconds; gives the confirmed ones and when they were published. */
async function publishFor(channel: ConfirmChannel, queue: string): Promise<Map<string, number>> {
  const began = performance.now()
  const confirmed = new Map<string, number>()
  for (let index = 0; performance.now() - began < publishMs;) {
    const atMs = performance.now() - began
    for (const end = index + 3; index < end; index++) {
      const id = `after-${index}`
      publish(channel, { queue: queue, id }, () => confirmed.set(id, atMs))
    }
    await delay(2)
  }
  // some are never confirmed: those were not promised to be there
  await Promise.race([channel.waitForConfirms(), delay(3000)])
  return confirmed
}

/** From the inbox to the stream; what is acked is never looked at again. */
async function startRelay(
  server: RabbitServer,
  way: Way,
): Promise<{ drained(): Promise<void>; close(): Promise<void> }> {
  const { model, channel } = await open(server)
  const held = new Map<string, { readonly ack: () => void; at: number }>()
  const settle = (id: string): void => {
    held.get(id)?.ack()
    held.delete(id)
  }
  const send = (id: string): void =>
    publish(channel, { queue: stream, id }, () =>
      way === 'inbox, acked when the stream confirms' ? settle(id) : undefined,
    )
  await channel.prefetch(500)
  await channel.consume(inbox, message => {
    if (message === null) return
    const id = message.content.toString()
    held.set(id, { ack: () => channel.ack(message), at: performance.now() })
    send(id)
  })
  const reader = way === 'inbox, acked when read back' ? tail(server, 'first', settle) : undefined
  const again = setInterval(() => {
    for (const [id, entry] of held) {
      if (performance.now() - entry.at < readBackMs) continue
      entry.at = performance.now()
      send(id)
    }
  }, 50)
  return {
    async drained() {
      while (held.size > 0 || (await channel.checkQueue(inbox)).messageCount > 0) await delay(20)
    },
    async close() {
      clearInterval(again)
      await model.close()
      await (await reader)?.close()
    },
  }
}

/** Right after a start the broker says for a while that the stream is not there, or ends the connection that asks. */
async function tail(server: RabbitServer, offset: string, onMessage: (id: string) => void): Promise<ChannelModel> {
  for (;;) {
    const { model, channel } = await open(server)
    try {
      await channel.prefetch(500)
      const onDelivery = (message: ConsumeMessage | null): void => {
        if (message === null) return
        channel.ack(message)
        onMessage(message.content.toString())
      }
      await channel.consume(stream, onDelivery, { arguments: { 'x-stream-offset': offset } })
      return model
    } catch {
      await model.close().catch(() => undefined)
      await delay(20)
    }
  }
}

/** Everything that can be read, up to a mark that is published now. */
async function readAll(server: RabbitServer): Promise<ReadonlySet<string>> {
  const { model, channel } = await open(server)
  const ids = new Set<string>()
  const marked = new EventTarget()
  const mark = once(marked, 'mark')
  const reader = await tail(server, 'first', id => {
    ids.add(id)
    if (id === 'mark') marked.dispatchEvent(new Event('mark'))
  })
  const again = setInterval(() => publish(channel, { queue: stream, id: 'mark' }), 500)
  await mark
  clearInterval(again)
  await model.close()
  await reader.close()
  return ids
}
