/** The hand-written loop's worker on RabbitMQ: `node hand-written-worker.ts URL PREFETCH [FILE]`; a file is for results. */
import type { ConfirmChannel, ConsumeMessage } from 'amqplib'
import { HandWrittenStore, WakeFile } from '../hand-written-store.ts'
import { byTurns, openLine, taskQueue } from './loop.ts'

const [url = '', prefetch, file = ''] = process.argv.slice(2)
const { channel } = await openLine(url, Number(prefetch))
const record = file === '' ? (batch: readonly ConsumeMessage[]) => answer(channel, batch) : recorder(file)

/** In order: an acknowledgement is for all before it too. */
let done = Promise.resolve()
const work = byTurns<ConsumeMessage>(batch => {
  const recorded = record(batch)
  done = done.then(async () => {
    await recorded
    const last = batch.at(-1)
    if (last) channel.ack(last, true)
  })
})

await channel.consume(taskQueue, task => task && work(task))
process.on('SIGTERM', () => process.exit(0))
console.log('ready')

function run({ content, properties }: ConsumeMessage): { readonly id: string; readonly value: number } {
  const { task, id } = properties.headers as { readonly task: string; readonly id: string }
  if (task !== 'bench.add') throw new Error(`no task named ${task}`)
  const [[x, y]] = JSON.parse(content.toString()) as [[number, number]]
  return { id, value: x + y }
}

/** Celery's result document to whoever asked, confirmed. */
async function answer(to: ConfirmChannel, batch: readonly ConsumeMessage[]): Promise<void> {
  await Promise.all(
    batch.map(task => {
      const { id, value } = run(task)
      const document = {
        status: 'SUCCESS',
        result: value,
        traceback: null,
        children: [],
        date_done: new Date().toISOString(),
        task_id: id,
      }
      const properties = { persistent: true, contentType: 'application/json', correlationId: id }
      return new Promise<void>((resolve, reject) => {
        to.publish('', String(task.properties.replyTo), Buffer.from(JSON.stringify(document)), properties, error => {
          if (error) reject(new Error('the broker refused a result', { cause: error }))
          else resolve()
        })
      })
    }),
  )
}

function recorder(path: string): (batch: readonly ConsumeMessage[]) => Promise<void> {
  const store = new HandWrittenStore(path)
  const wake = new WakeFile(`${path}.done`)
  return batch => {
    store.record(batch.map(run).map(({ id, value }) => ({ id, value: JSON.stringify(value) })))
    wake.touch()
    return Promise.resolve()
  }
}
