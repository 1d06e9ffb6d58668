import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StateRecord } from '../../../src/core/record.ts'
import { isNewer } from '../../../src/core/states.ts'
import { isSoundLibrary, sharedMount } from '../../../src/drivers/sqlite/file-checks.ts'
import { canSignal, isProcessAlive, processStart } from '../../../src/drivers/sqlite/host.ts'
import { resolvePath } from '../../../src/drivers/sqlite/location.ts'
import { projectRoot } from '../../../src/drivers/project-root.ts'
import type { Op } from '../../../src/drivers/sqlite/ops.ts'
import { packDeliveries, packOp, unpackDeliveries, unpackOp } from '../../../src/drivers/sqlite/packing.ts'
import { prepareSchema } from '../../../src/drivers/sqlite/schema.ts'
import { toStoredState } from '../../../src/drivers/sqlite/state-row.ts'
import { TaskTable } from '../../../src/drivers/sqlite/task-table.ts'
import { Transaction } from '../../../src/drivers/sqlite/transaction.ts'

describe('a sound library', () => {
  it.each(['3.51.3', '3.52.0', '3.53.4', '3.44.6', '3.50.7', '4.0.0'])('is %s', version => {
    expect(isSoundLibrary(version)).toBe(true)
  })

  it.each(['3.7.0', '3.44.5', '3.45.1', '3.50.6', '3.51.0', '3.51.2'])('is not %s', version => {
    expect(isSoundLibrary(version)).toBe(false)
  })
})

describe('a shared file system', () => {
  const mounts = [
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    '30 22 0:40 / /mnt/team\\040files rw - nfs4 server:/export rw',
    '31 22 0:41 / /mnt/team\\040files/cache rw - tmpfs tmpfs rw',
    '32 22 0:42 / /home/me/shared rw - 9p drvfs rw',
    '33 22 0:43 / /overlay rw - overlay overlay rw',
  ].join('\n')

  it.each([
    ['/mnt/team files', 'nfs4'],
    ['/mnt/team files/a/b', 'nfs4'],
    ['/home/me/shared/project', '9p'],
    ['/mnt/team files/cache', undefined],
    ['/home/me/shared-not', undefined],
    ['/overlay/x', undefined],
    ['/srv', undefined],
  ])('is found by the innermost mount of %s', (folder, type) => {
    expect(sharedMount(mounts, folder)).toBe(type)
  })
})

describe('the path of a URL', () => {
  it('is absolute after three slashes, with escapes decoded', () => {
    expect(resolvePath(new URL('sqlite:///srv/my%20site/queue.db'))).toBe('/srv/my site/queue.db')
  })

  it('is relative to the project without slashes, wherever in it the process was started', () => {
    expect(resolvePath(new URL('sqlite:data/queue.db'))).toBe(join(projectRoot(process.cwd()), 'data/queue.db'))
  })

  it.each(['sqlite://queue.db', 'sqlite:', 'sqlite:///srv/', 'redis://localhost'])('is refused in %s', url => {
    expect(() => resolvePath(new URL(url))).toThrow(expect.objectContaining({ code: 'E_CONFIG' }))
  })

  it('has as its root the nearest folder with a package.json, else the folder itself', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lovage-root-'))
    mkdirSync(join(folder, 'a', 'b'), { recursive: true })
    expect(projectRoot(join(folder, 'a', 'b'))).toBe(join(folder, 'a', 'b'))
    writeFileSync(join(folder, 'package.json'), '{}')
    expect(projectRoot(join(folder, 'a', 'b'))).toBe(folder)
    rmSync(folder, { recursive: true })
  })
})

describe('a process', () => {
  it('lives while it runs, and is told from another of its pid by its start', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'])
    const pid = child.pid ?? 0
    await once(child, 'spawn')
    const start = processStart(pid)
    expect([isProcessAlive(pid, start), canSignal(pid)]).toEqual([true, true])
    expect(isProcessAlive(pid, `${start}1`)).toBe(false)
    // its start is not comparable
    expect(isProcessAlive(pid, '')).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect([isProcessAlive(pid, start), isProcessAlive(pid, ''), canSignal(pid)]).toEqual([false, false, false])
  })
})

const text = fc.option(fc.string(), { nil: undefined })
const anyRecord: fc.Arbitrary<StateRecord> = fc.record({
  id: fc.constant('task'),
  state: fc.constantFrom(
    'PENDING',
    'RECEIVED',
    'STARTED',
    'PROGRESS',
    'UPLOADING',
    'RETRY',
    'SUCCESS',
    'FAILURE',
    'REVOKED',
  ),
  retries: fc.nat(2),
  delivery: fc.nat(2),
  seq: fc.oneof(fc.nat(2), fc.double({ min: 0, max: 3, noNaN: true })),
  at: fc.nat(),
  value: text,
  facts: fc.option(fc.record({ name: text, owner: text, tags: fc.option(fc.array(fc.string()), { nil: undefined }) }), {
    nil: undefined,
  }),
})

describe('the version rule in SQL', () => {
  it('takes exactly the records that isNewer takes, in any order', () => {
    const tables = tableStatements()
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 12 }), records => {
        const db = new DatabaseSync(':memory:')
        db.exec(tables)
        const table = new TaskTable(db, new Transaction(db), 1000)
        let current: StateRecord | undefined
        for (const record of records) {
          const expected = isNewer(record, current)
          expect(table.put(record)).toBe(expected)
          if (expected) current = record
        }
        const row = table.get('task')
        const stored = row && toStoredState(row)
        expect(stored?.state).toBe(current?.state)
        expect(stored?.value).toBe(current?.value)
        expect(stored?.facts.name).toBe(records.find(({ facts }) => facts?.name !== undefined)?.facts?.name)
        db.close()
      }),
      { numRuns: 300 },
    )
  })
})

describe('what passes between the threads', () => {
  it('comes out as it went in, whatever it holds', () => {
    const row = fc.record({
      id: fc.string(),
      queue: fc.string(),
      priority: fc.nat(9),
      notBefore: fc.option(fc.nat(), { nil: undefined }),
      head: fc.string(),
      body: fc.oneof(fc.string(), fc.uint8Array()),
      record: fc.option(anyRecord, { nil: undefined }),
    })
    const settle = fc.record({
      kind: fc.constant('settle' as const),
      token: fc.string(),
      disposition: fc.constantFrom({ kind: 'ack' as const }, { kind: 'requeue' as const, delayMs: 5 }),
      successors: fc.array(row, { maxLength: 1 }),
      record: fc.option(anyRecord, { nil: undefined }),
    })
    const publish = fc.record({ kind: fc.constant('publish' as const), rows: fc.array(row) })
    fc.assert(
      fc.property(fc.oneof(settle, publish), (op: Op) => {
        expect(plain(unpackOp(structuredClone(packOp(op))))).toEqual(plain(op))
      }),
    )
  })

  it('brings deliveries in order', () => {
    const batch = [1, 2, 3].map(n => ({
      token: `1.9.${n}.1`,
      queue: 'q',
      delivery: n,
      crashes: 0,
      head: '[]',
      body: 'x',
    }))
    expect(unpackDeliveries(structuredClone(packDeliveries(batch)))).toEqual(batch)
  })
})

/** Without members that are undefined: structured clone keeps them, the packing need not. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, member: unknown) => (member instanceof Uint8Array ? Array.from(member) : member)),
  )
}

/** In memory there is no write-ahead log, so the tables are copied from a file. */
function tableStatements(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lovage-schema-'))
  const file = new DatabaseSync(join(folder, 'queue.db'))
  prepareSchema(file, 'queue.db')
  const rows = file.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'").all()
  file.close()
  rmSync(folder, { recursive: true })
  return rows.map(({ sql }) => `${String(sql)};`).join('\n')
}
