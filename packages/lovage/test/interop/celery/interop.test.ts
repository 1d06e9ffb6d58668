/** Stock Celery and Lovage on one RabbitMQ, results by `rpc://`: each calls the other, cell by cell. */
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../../test-support/rabbitmq.ts'
import { Lovage } from '../../../src/index.ts'
import { findPythonCelery } from '../protocol/python-celery.ts'
import { callCells } from './call-cells.ts'
import { startLovageWorker } from './lovage-worker.ts'
import { PythonClient, startPythonWorker } from './python-client.ts'
import type { Cell, Stage } from './stage.ts'
import { asPage, asTable, familyOf, type Outcomes } from './table.ts'
import { valueCells } from './value-cells.ts'
import { wireCells } from './wire-cells.ts'

const cells = [...valueCells, ...callCells, ...wireCells]
const found = hasRabbit ? findPythonCelery() : []
const outcomes: Outcomes = new Map()

interface Opened extends Stage {
  readonly url: string
  readonly close: () => Promise<void>
}

/** Everything of a matrix starts once, and at the same time. */
async function open(python: string): Promise<Opened> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost('interop')
  const url = rabbit.url(vhost)
  // as Celery's task_queue_max_priority: both declare their queues alike
  const ours = { brokerUrl: `${url}?maxPriority=9`, resultBackend: 'rpc://' }
  const [worker, endCelery] = await Promise.all([
    startLovageWorker({ LOVAGE_BROKER_URL: ours.brokerUrl, LOVAGE_RESULT_BACKEND: ours.resultBackend }),
    startPythonWorker(python, url, 'py'),
  ])
  const client = new PythonClient(python, url)
  const createApp = (name: string): Lovage =>
    new Lovage(name, { ...ours, defaultQueue: 'ts', routes: { 'py.*': 'py' } })
  const app = createApp('interop')
  const close = async (): Promise<void> => {
    await Promise.all([app.close(), worker.end(), endCelery(), client.end()])
    await rabbit.deleteVhost(vhost)
  }
  return { python: client, app, createApp, url, worker, close }
}

// one that is skipped says more than none
const pythons = found.length === 0 ? [{ python: '', version: '(no Python Celery, or no RabbitMQ)' }] : found

describe.skipIf(found.length === 0).each(pythons)('with Celery $version', ({ python, version }) => {
  const isOld = version.startsWith('5.2')
  const running = new Map<Cell, Promise<unknown>>()
  let opened: Opened | undefined

  beforeAll(async () => {
    const stage = await open(python)
    opened = stage
    // all at once: each test waits for its own
    for (const cell of cells)
      running.set(
        cell,
        cell.run(stage).catch((error: unknown) => error),
      )
  }, 60_000)

  afterAll(async () => {
    await opened?.close()
    console.log(asTable(outcomes))
  }, 30_000)

  it.each(cells)('$direction: $what', { timeout: 90_000 }, async cell => {
    const expected = isOld && cell.older !== undefined ? cell.older.sees : cell.sees
    const seen = await running.get(cell)
    outcomes.set(cell, { ...outcomes.get(cell), [familyOf(version)]: isDeepStrictEqual(seen, expected) })
    expect(seen).toEqual(expected)
  })

  // last: it takes what is meant for others
  it('a worker of ours warns of a Celery worker on its queue', { timeout: 60_000 }, async () => {
    if (opened === undefined) throw new Error('The stage was not opened')
    const warning = opened.worker.line(/ts@\S+ takes from ts too, and does not know .* Celery rejects such tasks/)
    const end = await startPythonWorker(python, opened.url, 'ts')
    expect(await warning).toContain('Give each language its own queue')
    await end()
  })
})

it('is at least 60 cells, each named once in its direction', () => {
  expect(cells.length).toBeGreaterThan(60)
  expect(new Set(cells.map(({ direction, what }) => `${direction}: ${what}`)).size).toBe(cells.length)
})

it('is what docs/interop.md tells', async () => {
  const path = fileURLToPath(new URL('../../../../../docs/interop.md', import.meta.url))
  await expect(asPage(cells)).toMatchFileSnapshot(path)
})
