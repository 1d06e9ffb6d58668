import fc from 'fast-check'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { expect } from 'vitest'
import { internals } from '../../src/app/internals.ts'
import { Lovage } from '../../src/app/lovage.ts'
import type { Backend } from '../../src/backend.ts'
import { LovageError } from '../../src/core/errors.ts'
import { Worker } from '../../src/worker/index.ts'
import { fuzz, property } from './support/fuzz.ts'
import { anyText, jsonText } from './support/wire-values.ts'

/** Not the columns that are looked for by, whose loss is the loss of the row. */
const cells: Readonly<Record<string, string>> = {
  messages: 'delivery crashes started owner id head body',
  delayed: 'due delivery crashes id head body',
  parked: 'id queue reason parked_at head body',
  owners: 'node pid process_start boot lease_until seen_at',
  tasks:
    'state ready retries delivery rank seq at value name queue owner queued_at facts started_at ready_at expires_at',
  changes: 'ids keys',
  notices: 'address head body',
  keys: 'value expires_at',
  leases: 'holder token until until_wall',
  buckets: 'tokens filled full_at',
}
const columns = Object.entries(cells).flatMap(([table, names]) => names.split(' ').map(name => `${table}.${name}`))

type Value = string | number | bigint | Uint8Array | null

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(null, 0, -1, 1, 0.5, 2 ** 53, -(2 ** 53), 1e300, Infinity, -Infinity),
  fc.constantFrom<Value>(2n ** 62n, -(2n ** 63n), 2n ** 53n),
  fc.constantFrom<Value>(
    '',
    '{',
    '[]',
    '{}',
    '[0]',
    '[0,null]',
    '[null,{}]',
    '[0,{"id":5}]',
    'null',
    '"x"',
    '[[],{}]',
    '5',
  ),
  jsonText.filter(text => text.length < 2000),
  anyText,
  fc.uint8Array({ maxLength: 30 }),
)

interface Change {
  readonly column: string
  readonly value: Value
}

/** The file as it was left, with some of its cells changed by somebody else. Whether anything was. */
function change(path: string, changes: readonly Change[], adds: boolean): boolean {
  const db = new DatabaseSync(path)
  try {
    let count = 0
    for (const { column, value: given } of changes) {
      const [table = '', name = ''] = column.split('.')
      try {
        count += Number(db.prepare(`UPDATE ${table} SET ${name} = ?`).run(given).changes)
      } catch {
        // of the wrong type: the table is strict, so nobody can have written it
      }
    }
    if (adds) for (const table of ['messages', 'tasks', 'parked']) db.exec(`ALTER TABLE ${table} ADD COLUMN more TEXT`)
    return count > 0 || adds
  } finally {
    db.close()
  }
}

/** Two waiting tasks, one due later, a dead letter, a finished task, a worker that died, keys. */
async function fill({ broker, results, coordination }: Backend, app: Lovage): Promise<void> {
  await app.sendTask('noop', [1], {}, { taskId: 'one' })
  await app.sendTask('noop', [2], {}, { taskId: 'two', owner: 'me', tags: ['a'] })
  await app.sendTask('noop', [3], {}, { taskId: 'late', countdownMs: 3_600_000 })
  const message = { properties: { contentType: 'text', contentEncoding: '' }, headers: { id: 'parked' }, body: '' }
  await broker.park({ id: 'parked', queue: 'celery', message }, 'for a look')
  await broker.send('event', message)
  await results.put({ id: 'done', state: 'FAILURE', retries: 0, delivery: 1, seq: 1, at: Date.now(), value: '{}' })
  await coordination.put('worker/dead@host', '{}', 3_600_000)
  await coordination.put('revoke/x', '{}', 3_600_000)
  await coordination.lease('beat', 'me', 3_600_000)
  await coordination.take('rate', 2, 3_600_000)
}

function openApp(path: string): Lovage {
  const app = new Lovage('rows', { brokerUrl: `sqlite://${pathToFileURL(path).pathname}`, leaseMs: 1000 })
  app.task('noop', (_task, x: number) => x)
  return app
}

/** Reading gives a value or a coded error. */
async function readAll({ broker, results, coordination }: Backend, app: Lovage): Promise<void> {
  const ids = ['one', 'two', 'late', 'parked', 'done']
  const reads: (() => Promise<unknown>)[] = [
    () => results.getMany(ids),
    () => results.list(),
    () => results.list({ tag: 'a' }),
    () => results.list({ owner: 'me' }),
    () => broker.parked(),
    () => broker.queues(),
    () => broker.stats('celery'),
    () => coordination.list(''),
    () => coordination.get('revoke/x'),
    () => coordination.lease('beat', 'me', 1000),
    () => coordination.take('rate', 2, 1000),
    async () => (await coordination.watchKeys('', () => undefined))?.call(undefined),
    async () => (await results.watch(ids, { onState: () => undefined }))(),
    ...ids.map(id => () => app.result(id).snapshot()),
  ]
  for (const read of reads) {
    await read().catch((error: unknown) => {
      if (!(error instanceof LovageError)) throw error
      expect(error.message).not.toBe('')
    })
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** @throws {Error} it has no result within five seconds. */
async function runs(app: Lovage, queue: string): Promise<void> {
  const result = await app.sendTask('noop', [7], {}, { queue })
  expect(await result.get({ timeoutMs: 5000 })).toBe(7)
}

fuzz('rows', {
  'that somebody else wrote are an error with a code, or a dead letter: reader and worker go on': property({
    of: fc.record({
      changes: fc.array(fc.record({ column: fc.constantFrom(...columns), value }), { minLength: 1, maxLength: 3 }),
      adds: fc.boolean(),
    }),
    async holds({ changes, adds }) {
      const folder = mkdtempSync(join(tmpdir(), 'lovage-rows-'))
      const path = join(folder, 'queue.db')
      const before = openApp(path)
      await fill(await internals(before).backend(), before)
      await before.close()
      change(path, changes, adds)
      const app = openApp(path)
      const worker = new Worker(app, { pool: 'inline', concurrency: 2, queues: ['celery', 'other'], logger: silent })
      try {
        await readAll(await internals(app).backend(), app)
        await worker.start()
        await runs(app, 'other')
        await runs(app, 'celery')
        await readAll(await internals(app).backend(), app)
      } finally {
        await worker.stop()
        await app.close()
        rmSync(folder, { recursive: true })
      }
    },
    runs: 12,
  }),
})
