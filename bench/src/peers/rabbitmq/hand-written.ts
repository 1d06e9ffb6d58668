/**
 * The hand-written loop on RabbitMQ: Celery's messages, persistent and confirmed. Results come as persistent messages
 * to one durable queue, read once, or stand in SQLite.
 */
import type { ConsumeMessage } from 'amqplib'
import { fileURLToPath } from 'node:url'
import { HandWrittenResults } from '../hand-written-results.ts'
import { HandWrittenStore } from '../hand-written-store.ts'
import { celeryMessage } from '../hand-written.ts'
import type { Client, Peer, RabbitSetup, Sent, Setup } from '../peer.ts'
import { byTurns, openLine, resultQueue, taskQueue, type Line } from './loop.ts'

const workerFile = fileURLToPath(import.meta.resolve('./hand-written-worker.ts'))

export const handWrittenOnRabbit: Peer = {
  name: 'hand-written',
  configuration: ({ prefetch }) => ({
    driver: 'amqplib',
    durability: 'persistent, confirmed, acknowledged when the result is confirmed',
    prefetch: String(prefetch),
    results: 'messages to one durable queue, read once; in the rows that say so, SQLite',
  }),
  openClient,
  worker: setup => {
    const { url, results } = rabbitOf(setup)
    return { args: [workerFile, url, String(setup.prefetch), results === 'sqlite' ? setup.file : ''], env: {} }
  },
}

export function rabbitOf({ rabbit }: Setup): RabbitSetup {
  if (rabbit === undefined) throw new Error('this side needs RabbitMQ')
  return rabbit
}

interface Results {
  /** Before they are sent. */
  expect(ids: readonly string[]): void
  wait(ids: readonly string[]): Promise<void>
  close(): void
}

async function openClient(setup: Setup): Promise<Client> {
  const { url, results } = rabbitOf(setup)
  const line = await openLine(url, setup.prefetch)
  const opened = results === 'rpc' ? await openQueueResults(url, setup.prefetch) : openStoredResults(setup.file)
  return new HandWrittenRabbitClient(line, opened)
}

class HandWrittenRabbitClient implements Client {
  readonly #line: Line
  readonly #results: Results

  constructor(line: Line, results: Results) {
    this.#line = line
    this.#results = results
  }

  async send(count: number): Promise<Sent> {
    const messages = Array.from({ length: count }, (_, index) => celeryMessage(index))
    const ids = messages.map(({ id }) => id)
    this.#results.expect(ids)
    const done = this.#results.wait(ids)
    // who does not ask is not told
    done.catch(() => undefined)
    await Promise.all(messages.map(each => this.#publish(each)))
    return { ids, results: () => done }
  }

  async close(): Promise<void> {
    this.#results.close()
    await this.#line.model.close()
  }

  #publish({ id, headers, body }: ReturnType<typeof celeryMessage>): Promise<void> {
    const { channel } = this.#line
    const properties = {
      persistent: true,
      mandatory: true,
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: id,
      replyTo: resultQueue,
      headers,
    }
    return new Promise((resolve, reject) => {
      channel.publish('', taskQueue, Buffer.from(body), properties, (error: unknown) => {
        if (error) reject(new Error('the broker refused a message', { cause: error }))
        else resolve()
      })
    })
  }
}

async function openQueueResults(url: string, prefetch: number): Promise<Results> {
  const { model, channel } = await openLine(url, prefetch)
  const waiting = new Map<string, (value: unknown) => void>()
  const acknowledge = byTurns<ConsumeMessage>(messages => {
    const last = messages.at(-1)
    if (last) channel.ack(last, true)
  })
  await channel.consume(resultQueue, result => {
    if (!result) return
    const { task_id: id, result: value } = JSON.parse(result.content.toString()) as { task_id: string; result: unknown }
    waiting.get(id)?.(value)
    waiting.delete(id)
    acknowledge(result)
  })
  return {
    expect: () => undefined,
    wait: ids => waitFor(ids, waiting),
    close: () => void model.close().catch(() => undefined),
  }
}

function waitFor(ids: readonly string[], waiting: Map<string, (value: unknown) => void>): Promise<void> {
  let left = ids.length
  return new Promise((resolve, reject) => {
    for (const [index, id] of ids.entries()) {
      waiting.set(id, value => {
        if (value !== index + 1) reject(new Error(`${String(index)} + 1 gave ${String(value)}`))
        if (--left === 0) resolve()
      })
    }
  })
}

function openStoredResults(file: string): Results {
  const store = new HandWrittenStore(file)
  const results = new HandWrittenResults(store, file)
  return {
    expect: ids => store.expect(ids),
    wait: ids => results.wait(ids),
    close: () => {
      results.close()
      store.close()
    },
  }
}
