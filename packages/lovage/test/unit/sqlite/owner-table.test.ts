import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OwnerTable, type DeadOwner } from '../../../src/drivers/sqlite/owner-table.ts'
import { prepareSchema } from '../../../src/drivers/sqlite/schema.ts'
import { testFile, type TestFile } from '../../faults/support/sqlite-tasks.ts'

const host = { boot: 'boot', pidSpace: 'pids', timeSpace: 'clock' }

let file: TestFile
let db: DatabaseSync

beforeEach(() => {
  file = testFile()
  db = new DatabaseSync(file.path)
  prepareSchema(db, file.path)
})

afterEach(() => {
  db.close()
  file.remove()
})

/** What is judged of the one owner, at an instant of the judge's clock. */
function judge(table: OwnerTable, monotonic: number): DeadOwner | undefined {
  const [owner] = table.all()
  return owner && table.judge(owner, { monotonic, trustsLeases: true, isThorough: true })
}

describe('an owner in a container with a clock of its own', () => {
  const elsewhere = { boot: 'boot', pidSpace: 'other pids', timeSpace: 'other clock' }

  it('is dead when its lease was not renewed for as long as that one lasts, not the judge’s', () => {
    const owner = new OwnerTable(db, { host: elsewhere, leaseMs: 60_000 })
    const other = new OwnerTable(db, { host, leaseMs: 1000 })
    const id = owner.add('worker@there', 7_000_000)
    expect(judge(other, 100)).toBeUndefined()
    expect(judge(other, 50_000)).toBeUndefined()
    owner.renew(id, 7_050_000)
    expect(judge(other, 50_100)).toBeUndefined()
    expect(judge(other, 110_000)).toBeUndefined()
    expect(judge(other, 110_101)).toMatchObject({ id, blame: true })
  })

  it('is not kept alive by a judge whose own lease is longer', () => {
    new OwnerTable(db, { host: elsewhere, leaseMs: 1000 }).add('worker@there', 0)
    const other = new OwnerTable(db, { host, leaseMs: 60_000 })
    expect(judge(other, 0)).toBeUndefined()
    expect(judge(other, 1001)).toMatchObject({ blame: true })
  })
})

it('takes a file of the first version, whose owners told no length', () => {
  db.exec('ALTER TABLE owners DROP COLUMN lease_ms; PRAGMA user_version = 1')
  prepareSchema(db, file.path)
  prepareSchema(db, file.path)
  const table = new OwnerTable(db, { host, leaseMs: 1000 })
  table.add('worker@here', 0)
  expect(table.all()).toMatchObject([{ pid: process.pid, lease_ms: 1000 }])
})
