/** A client that sends again what it had no answer for: the store has carried it out twice, and answers the second time. */
import { expect, it } from 'vitest'
import { Lovage } from '../../../src/index.ts'
import { internals } from '../../../src/app/internals.ts'
import { joinBackend } from '../../../src/backend.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { Worker } from '../../../src/worker/worker.ts'

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

it('begins a task that is acknowledged early although its own start was there already (seed 1515 of the simulator)', async () => {
  const connection = openMemory(new URL('memory://'), {}, new Map())
  const { results } = connection
  const put = results.put.bind(results)
  results.put = async (...record) => {
    await put(...record)
    return put(...record)
  }
  const backend = joinBackend(connection, connection)
  await backend.open()
  const app = new Lovage('test')
  const once = app.task('once', { acksLate: false }, () => 'done')
  internals(app).takeOver(backend)
  await using worker = new Worker(app, { pool: 'inline', logger: silent })
  await worker.start()
  const result = await once.applyAsync([])
  expect(await result.get({ timeoutMs: 5000 })).toBe('done')
})
