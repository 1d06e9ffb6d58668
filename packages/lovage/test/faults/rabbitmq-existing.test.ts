// Task queues that somebody else declared, with arguments of his own.
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { Lovage } from '../../src/app/lovage.ts'
import { loadClient } from '../../src/drivers/rabbitmq/client.ts'
import { Worker } from '../../src/worker/worker.ts'

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

describe.skipIf(!hasRabbit)('?queueType=existing', { timeout: 60_000 }, () => {
  it('takes a queue as it is, which could not be joined otherwise', async () => {
    const url = await freshVhost()
    const client = await loadClient()
    const model = await client.connect(url)
    const channel = await model.createChannel()
    const theirs = { 'x-message-ttl': 3_600_000, 'x-dead-letter-exchange': 'dead', 'x-max-length': 1000 }
    await channel.assertQueue('celery', { durable: true, arguments: theirs })
    await model.close()
    const declaring = openApp(url)
    await expect(declaring.sendTask('add', [1, 2])).rejects.toThrow(/declared otherwise.*\?queueType=existing/)
    const app = openApp(`${url}?queueType=existing`)
    const add = app.task('add', (_task, x: number, y: number) => x + y)
    await using worker = new Worker(app, { pool: 'inline', logger: silent })
    await worker.start()
    const [now, later] = [await add.delay(1, 2), await add.applyAsync([3, 4], { countdownMs: 1500 })]
    expect(await Promise.all([now, later].map(result => result.get({ timeoutMs: 20_000 })))).toEqual([3, 7])
  })

  it('declares none: who sends and who works are told', async () => {
    const app = openApp(`${await freshVhost()}?queueType=existing`)
    const add = app.task('add', (_task, x: number, y: number) => x + y)
    const says = /There is no queue "celery", and by \?queueType=existing none is declared here: start who declares it/
    await expect(add.delay(1, 2)).rejects.toThrow(says)
    const worker = new Worker(app, { pool: 'inline', logger: silent })
    await expect(worker.start()).rejects.toThrow(says)
  })
})

async function freshVhost(): Promise<string> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost()
  onTestFinished(() => rabbit.deleteVhost(vhost))
  return rabbit.url(vhost)
}

function openApp(brokerUrl: string): Lovage {
  const app = new Lovage('existing', { brokerUrl })
  onTestFinished(() => app.close())
  return app
}
