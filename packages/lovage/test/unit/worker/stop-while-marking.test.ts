/** A stop that comes while it is being written that a task begins. */
import { expect, it } from 'vitest'
import { Lovage } from '../../../src/index.ts'
import { internals } from '../../../src/app/internals.ts'
import { joinBackend } from '../../../src/backend.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { Worker } from '../../../src/worker/worker.ts'

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

it('gives back what has not begun, also a task that may not run twice (seed 10768 of the simulator)', async () => {
  const connection = openMemory(new URL('memory://'), {}, new Map())
  const backend = joinBackend(connection, connection)
  await backend.open()
  const app = new Lovage('test')
  let runs = 0
  const once = app.task('once', { acksLate: false }, () => void runs++)
  internals(app).takeOver(backend)
  const worker = new Worker(app, { pool: 'inline', logger: silent })
  const { broker } = connection
  const markStarted = broker.markStarted.bind(broker)
  const marked = Promise.withResolvers<void>()
  broker.markStarted = async deliveries => {
    const lost = await markStarted(deliveries)
    const stopped = worker.stop({ graceMs: 0 })
    // its steps up to the pool's are turns of the event loop
    for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
    marked.resolve(stopped)
    return lost
  }
  await worker.start()
  const { id } = await once.applyAsync([])
  await marked.promise
  expect(runs).toBe(0)
  expect(await connection.results.get(id)).toMatchObject({ state: { state: 'PENDING' } })
  expect(await broker.stats('celery')).toMatchObject({ ready: 1, unsettled: 0 })
})
