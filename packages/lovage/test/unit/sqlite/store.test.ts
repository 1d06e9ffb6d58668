import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, type Clock } from '../../../src/core/clock.ts'
import type { StateRecord } from '../../../src/core/record.ts'
import { OwnerTable } from '../../../src/drivers/sqlite/owner-table.ts'
import type { MessageRow, Op, OpsReport, Report, StoreEvent } from '../../../src/drivers/sqlite/ops.ts'
import { toStoredState } from '../../../src/drivers/sqlite/state-row.ts'
import { Store } from '../../../src/drivers/sqlite/store.ts'
import { testFile, type TestFile } from '../../faults/support/sqlite-tasks.ts'

let file: TestFile
let other: DatabaseSync | undefined
let store: Store | undefined

beforeEach(() => {
  file = testFile()
})

afterEach(() => {
  store?.close()
  other?.close()
  store = other = undefined
  file.remove()
})

interface Run {
  readonly store: Store
  readonly answers: Map<number, unknown>
  readonly failures: Map<number, string>
  readonly events: StoreEvent[]
  /** Answers given, also those given twice. */
  count: number
}

function open(clock: Clock = systemClock): Run {
  const answers = new Map<number, unknown>()
  const failures = new Map<number, string>()
  const send = (report: Report): void => {
    const { answered, values, failed, events } = report as OpsReport
    run.events.push(...events)
    run.count += answered.length + failed.length
    answered.forEach((number, index) => answers.set(number, values[index]))
    for (const { number, error } of failed) failures.set(number, error.message)
  }
  const heartbeat = new SharedArrayBuffer(4)
  const limits = { leaseMs: 1000, watchdogMs: 30_000, resultExpiresMs: 60_000, busyMs: 1000 }
  const run: Run = {
    store: new Store({ kind: 'open', path: file.path, ...limits, heartbeat }, clock, send),
    answers,
    failures,
    events: [],
    count: 0,
  }
  store = run.store
  other = new DatabaseSync(file.path, { timeout: 5000 })
  return run
}

function message(id: string, queue = 'queue'): Op {
  const row: MessageRow = {
    id,
    queue,
    priority: 0,
    notBefore: undefined,
    head: '[{},{}]',
    body: '[]',
    record: undefined,
  }
  return { kind: 'publish', rows: [row] }
}

function put(id: string, at: unknown = 1): Op {
  const record = { id, state: 'STARTED', retries: 0, delivery: 0, seq: 0, at } as StateRecord
  return { kind: 'put', record }
}

function finished(id: string): Op {
  return { kind: 'put', record: { id, state: 'SUCCESS', retries: 0, delivery: 1, seq: 1, at: 2 } }
}

function messageCount(): number {
  return Number(Object.values(other?.prepare('SELECT count(*) FROM messages').get() ?? {})[0])
}

describe('a batch', () => {
  it('with a bad operation does nothing twice, also when the lock is gone halfway', () => {
    let isLocked = false
    const run = open({
      ...systemClock,
      // set at the end of the first transaction: there somebody else is quicker
      after(ms, callback, options) {
        if (!isLocked) other?.exec('BEGIN IMMEDIATE')
        isLocked = true
        return systemClock.after(ms, callback, options)
      },
    })
    run.store.submit(1, [message('a'), put('bad', 'now'), message('b')])
    run.store.run()
    other?.exec('COMMIT')
    run.store.run()
    expect(messageCount()).toBe(2)
    expect([...run.answers.keys()]).toEqual([1, 3])
    expect([...run.failures.keys()]).toEqual([2])
    expect(run.count).toBe(3)
  })

  it('that is committed stays so when what is followed cannot be read after it', () => {
    const run = open()
    run.store.submit(1, [put('a'), { kind: 'follow', ids: ['a'] }])
    run.store.run()
    other?.exec(`UPDATE tasks SET facts = 'no JSON'`)
    run.store.submit(3, [message('m'), finished('a')])
    run.store.run()
    expect(messageCount()).toBe(1)
    expect([...run.answers.keys()]).toEqual([1, 2, 3, 4])
    expect(run.count).toBe(4)
  })

  it('that fails as a whole stops following once, not once for each try', () => {
    const run = open()
    run.store.submit(1, [put('a'), { kind: 'follow', ids: ['a'] }, { kind: 'follow', ids: ['a'] }])
    run.store.run()
    run.store.submit(4, [{ kind: 'unfollow', ids: ['a'] }, put('bad', 'now')])
    run.store.run()
    run.store.submit(6, [finished('a')])
    run.store.run()
    const last = run.events.at(-1)
    const states = last?.kind === 'states' ? last.states.map(toStoredState) : undefined
    expect(states).toMatchObject([{ id: 'a', state: 'SUCCESS' }])
  })

  it('refuses a queue that the keys have no room for, and goes on', () => {
    const run = open()
    run.store.submit(1, [message('a')])
    run.store.run()
    other?.exec(`INSERT INTO queues (id, name) VALUES (32766, 'last')`)
    run.store.submit(2, [message('b', 'last'), message('c', 'too many'), message('d')])
    run.store.run()
    expect([...run.failures]).toEqual([[3, expect.stringContaining('"too many"')]])
    expect(messageCount()).toBe(3)
    run.store.submit(5, [{ kind: 'purge', queue: 'last' }])
    run.store.run()
    expect(run.answers.get(5)).toEqual({ purged: 1, more: false })
  })
})

/** Its ticks come when they are called; of one of them the reading fails. */
function tickingClock(): { readonly clock: Clock; readonly tick: () => void; readonly tickLocked: () => void } {
  let [tick, isLocked] = [(): void => undefined, false]
  const clock: Clock = {
    ...systemClock,
    every(ms, callback) {
      tick = callback
      return systemClock.every(ms, callback)
    },
    now() {
      if (!isLocked) return systemClock.now()
      isLocked = false
      throw Object.assign(new Error('database is locked'), { errcode: 5 })
    },
  }
  const tickLocked = (): void => {
    isLocked = true
    tick()
  }
  return { clock, tick: () => tick(), tickLocked }
}

describe('a tick that could not read', () => {
  it('is made good by the next one for who follows, without another commit', () => {
    const { clock, tick, tickLocked } = tickingClock()
    const run = open(clock)
    run.store.submit(1, [put('a'), { kind: 'follow', ids: ['a'] }])
    run.store.run()
    tick()
    const heard = run.events.length
    other?.exec(`INSERT INTO changes (ids, keys) VALUES ('["a"]', '[]')`)
    tickLocked()
    expect(run.events).toHaveLength(heard)
    tick()
    expect(run.events.slice(heard)).toMatchObject([{ kind: 'states' }])
  })

  it('hides no owner that has come and gone meanwhile', () => {
    const { clock, tick, tickLocked } = tickingClock()
    const run = open(clock)
    run.store.submit(1, [
      { kind: 'follow', ids: ['a'] },
      { kind: 'consume', consumer: 1, queues: ['queue'], prefetch: 1, node: 'w@h' },
    ])
    run.store.run()
    tick()
    if (other === undefined) throw new Error('not open')
    const host = { boot: 'an earlier one', pidSpace: 'pids', timeSpace: 'times' }
    new OwnerTable(other, { host, leaseMs: 1000 }).add('gone@h', 0)
    tickLocked()
    tick()
    expect(other.prepare('SELECT node FROM owners').all()).toEqual([{ node: 'w@h' }])
  })
})

describe('an owner', () => {
  const host = { boot: 'boot', pidSpace: 'pids', timeSpace: 'times' }
  const inquiry = { monotonic: 1000, trustsLeases: true, isThorough: true }

  it('with a longer lease than the one who judges is not dead', () => {
    open()
    if (other === undefined) throw new Error('not open')
    const patient = new OwnerTable(other, { host, leaseMs: 600_000 })
    const hasty = new OwnerTable(other, { host, leaseMs: 1000 })
    patient.add('a', 1000)
    expect(hasty.all().map(owner => hasty.judge(owner, inquiry))).toEqual([undefined])
  })

  it('who has renewed since it was judged is not buried', () => {
    open()
    if (other === undefined) throw new Error('not open')
    const table = new OwnerTable(other, { host, leaseMs: 500 })
    const id = table.add('a', 0)
    const [verdict] = table.all().map(owner => table.judge(owner, inquiry))
    if (verdict === undefined) throw new Error('it was not judged dead')
    table.renew(id, 1000)
    expect(table.bury(verdict)).toBe(false)
    expect(table.renew(id, 1100)).toBe(true)
  })
})
