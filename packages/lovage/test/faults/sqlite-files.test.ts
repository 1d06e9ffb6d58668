import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Connection } from '../../src/backend.ts'
import { StorageError } from '../../src/core/errors.ts'
import { openSqlite, type SqliteOptions } from '../../src/drivers/sqlite/sqlite.ts'
import { canMount, hasPython } from './support/tools.ts'
import { inspect, taskMessage, testFile, type TestFile } from './support/sqlite-tasks.ts'

let file: TestFile
const connections: Connection[] = []

beforeEach(() => {
  file = testFile()
})

afterEach(async () => {
  await Promise.all(connections.splice(0).map(connection => connection.close()))
  file.remove()
})

function create(options: SqliteOptions = {}, url = file.url): Connection {
  const connection = openSqlite(url, options)
  connections.push(connection)
  return connection
}

async function connect(options: SqliteOptions = {}, url = file.url): Promise<Connection> {
  const connection = create(options, url)
  await connection.broker.open()
  await connection.results.open()
  await connection.coordination.open()
  return connection
}

async function failure(promise: Promise<unknown>): Promise<StorageError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof StorageError) return error
  throw new Error('it did not fail with a StorageError', { cause: error })
}

/** A file with our tables and nothing open. */
async function makeFile(): Promise<void> {
  const connection = await connect()
  await connection.broker.publish([taskMessage('a')])
  await connection.close()
}

describe('a file that cannot be used is refused by name, with the reason', () => {
  it('is no database', async () => {
    writeFileSync(file.path, 'x'.repeat(5000))
    const error = await failure(create().broker.open())
    expect(error).toMatchObject({ reason: 'not-a-database', retryable: false })
    expect(error.message).toContain(file.path)
    expect(readFileSync(file.path, 'utf8')).toBe('x'.repeat(5000))
  })

  it('is a database of something else', async () => {
    const db = new DatabaseSync(file.path)
    db.exec('CREATE TABLE theirs (x)')
    db.close()
    const error = await failure(create().broker.open())
    expect(error).toMatchObject({ reason: 'not-a-database' })
    expect(error.message).toContain('of something else')
  })

  it('was made by a newer version', async () => {
    await makeFile()
    const db = new DatabaseSync(file.path)
    db.exec('PRAGMA user_version = 99')
    db.close()
    expect(await failure(create().broker.open())).toMatchObject({ reason: 'newer-version' })
  })

  it('is damaged', async () => {
    await makeFile()
    const handle = openSync(file.path, 'r+')
    writeSync(handle, Buffer.alloc(statSync(file.path).size - 100, 0xaa), 0, undefined, 100)
    closeSync(handle)
    expect(await failure(create().broker.open())).toMatchObject({ reason: 'corrupt' })
  })

  it('lies under a file instead of a folder', async () => {
    writeFileSync(join(file.folder, 'plain'), '')
    const error = await failure(create({}, `${file.url.replace('queue.db', 'plain/queue.db')}`).broker.open())
    expect(error.message).toContain(join(file.folder, 'plain', 'queue.db'))
  })

  it('can be opened again when the reason is gone', async () => {
    writeFileSync(file.path, 'x'.repeat(5000))
    const connection = create()
    await failure(connection.broker.open())
    rmSync(file.path)
    await connection.broker.open()
    expect(await connection.broker.queues()).toEqual([])
  })
})

describe('fault 37: a file that goes away while it is open', { timeout: 15_000 }, () => {
  it.each([
    ['deleted', () => rmSync(file.path)],
    ['moved', () => renameSync(file.path, `${file.path}.old`)],
    ['replaced', () => (copyFileSync(file.path, `${file.path}.copy`), renameSync(`${file.path}.copy`, file.path))],
  ])('accepts nothing more and says that it was %s', async (_, act) => {
    const connection = await connect()
    const ended = Promise.withResolvers<Error>()
    await connection.broker.consume(['other'], {
      prefetch: 1,
      consumer: 'a@b',
      onDeliveries: () => undefined,
      onEnd: ended.resolve,
    })
    await connection.broker.publish([taskMessage('a')])
    act()
    const [outcome] = await connection.broker.publish([taskMessage('b')])
    expect(outcome).toMatchObject({ error: { reason: 'missing' } })
    expect(outcome?.accepted).not.toBe('yes')
    expect(await ended.promise).toMatchObject({ reason: 'missing' })
  })

  it('tells those who only wait, too', async () => {
    const connection = await connect()
    const ended = Promise.withResolvers<Error>()
    await connection.results.watch(['a'], { onState: () => undefined, onEnd: ended.resolve })
    rmSync(file.path)
    expect(await ended.promise).toMatchObject({ reason: 'missing' })
  })
})

describe('fault 37: a write lock that another process does not let go', { timeout: 15_000 }, () => {
  it('fails writes as busy after their time, answers reads meanwhile, and goes on by itself', async () => {
    const connection = await connect({ busyMs: 300 })
    await connection.broker.publish([taskMessage('a')])
    const other = new DatabaseSync(file.path)
    other.exec('BEGIN IMMEDIATE')
    const publishing = connection.broker.publish([taskMessage('b')])
    expect(await connection.results.get('a')).toMatchObject({ kind: 'state' })
    expect(await publishing).toMatchObject([{ accepted: 'no', error: { reason: 'busy', retryable: true } }])
    other.exec('ROLLBACK')
    other.close()
    expect(await connection.broker.publish([taskMessage('b')])).toEqual([{ accepted: 'yes' }])
    expect(await connection.broker.stats('queue')).toMatchObject({ ready: 2 })
  })

  it('lets a write that waits go through as soon as the lock is free', async () => {
    const connection = await connect()
    const other = new DatabaseSync(file.path)
    other.exec('BEGIN IMMEDIATE')
    const publishing = connection.broker.publish([taskMessage('a')])
    await connection.results.get('a')
    other.exec('ROLLBACK')
    other.close()
    expect(await publishing).toEqual([{ accepted: 'yes' }])
  })
})

/** Locks that only the log's recovery takes, and a log that looks as if it needed one. */
const recovering = `
import fcntl, sys
with open(sys.argv[1], 'r+b') as shared:
    fcntl.lockf(shared, fcntl.LOCK_EX, 1, 120)
    fcntl.lockf(shared, fcntl.LOCK_EX, 1, 122)
    shared.write(b'recovery')
    shared.flush()
    print('locked', flush=True)
    sys.stdin.readline()
`

describe.skipIf(!hasPython())('fault 37: a log that another process recovers', { timeout: 15_000 }, () => {
  async function recovery(): Promise<{ readonly end: () => Promise<void> }> {
    const python = spawn('python3', ['-c', recovering, `${file.path}-shm`], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(python.stdout, 'data')
    return {
      async end() {
        python.stdin.end()
        await once(python, 'close')
      },
    }
  }

  it('makes reads wait for its end', async () => {
    const [connection, impatient] = [await connect(), await connect({ busyMs: 100 })]
    await connection.broker.publish([taskMessage('a')])
    const { end } = await recovery()
    const read = { isDone: false }
    const reading = connection.results.get('a').finally(() => (read.isDone = true))
    // asked later, so by its answer the other has met the lock too
    expect(await failure(impatient.results.get('a'))).toMatchObject({ reason: 'busy' })
    expect(read.isDone).toBe(false)
    await end()
    expect(await reading).toMatchObject({ kind: 'state' })
  })
})

describe('a bad operation among good ones', () => {
  it('does not spoil its neighbours', async () => {
    const connection = await connect()
    // SQLite takes no text of this kind of value; nothing before it looks inside
    const broken = { id: 'x', state: 'STARTED', retries: 0, delivery: 0, seq: 0, at: 'now' as unknown as number }
    const [good, bad, other] = await Promise.allSettled([
      connection.broker.publish([taskMessage('a')]),
      connection.results.put(broken),
      connection.coordination.put('key', 'value', 1000),
    ])
    expect(good).toMatchObject({ status: 'fulfilled', value: [{ accepted: 'yes' }] })
    expect(bad.status).toBe('rejected')
    expect(other.status).toBe('fulfilled')
    expect(await connection.broker.stats('queue')).toMatchObject({ ready: 1 })
  })
})

describe.skipIf(!canMount())('fault 12, 37: a small disk', { timeout: 30_000 }, () => {
  let disk = ''

  beforeEach(() => {
    disk = mkdtempSync(join(tmpdir(), 'lovage-disk-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk])
  })

  afterEach(async () => {
    await Promise.all(connections.splice(0).map(connection => connection.close()))
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  })

  it('fails as full, keeps what it accepted, answers reads, and goes on when there is space', async () => {
    const small = testFile(disk)
    const connection = await connect({}, small.url)
    const accepted: string[] = []
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(1024 * 1024))
    let refusal
    for (let n = 0; refusal === undefined; n++) {
      const { message, ...rest } = taskMessage(`task-${n}`)
      const [outcome] = await connection.broker.publish([{ ...rest, message: { ...message, body: 'x'.repeat(5000) } }])
      if (outcome?.accepted === 'yes') accepted.push(rest.id)
      else refusal = outcome
    }
    expect(refusal).toMatchObject({ accepted: 'no', error: { reason: 'full', retryable: true } })
    expect(await connection.broker.stats('queue')).toMatchObject({ ready: accepted.length })
    expect(await connection.results.get(accepted[0] ?? '')).toMatchObject({ kind: 'state' })
    rmSync(join(disk, 'ballast'))
    expect(await connection.broker.publish([taskMessage('after')])).toEqual([{ accepted: 'yes' }])
    await connection.close()
    expect(inspect(small.path)).toEqual({ integrity: 'ok', miscounted: 0 })
  })

  it('is refused as read-only when it is mounted so, with a file and without', async () => {
    const small = testFile(disk)
    await (await connect({}, small.url)).close()
    execFileSync('mount', ['-o', 'remount,ro', disk])
    expect(await failure(create({}, small.url).broker.open())).toMatchObject({ reason: 'read-only' })
    expect(await failure(create({}, small.url.replace('queue.db', 'other.db')).broker.open())).toMatchObject({
      reason: 'read-only',
    })
    expect(await failure(create({}, small.url.replace('queue.db', 'new/other.db')).broker.open())).toMatchObject({
      reason: 'read-only',
    })
  })
})

describe('the default folder', () => {
  it('is made with a .gitignore of its own, and an existing one is left alone', async () => {
    const url = file.url.replace('queue.db', '.lovage/queue.db')
    await (await connect({}, url)).close()
    expect(readFileSync(join(file.folder, '.lovage', '.gitignore'), 'utf8')).toBe('*\n')
    rmSync(join(file.folder, '.lovage', '.gitignore'))
    await (await connect({}, url)).close()
    expect(existsSync(join(file.folder, '.lovage', '.gitignore'))).toBe(false)
  })

  it('belongs to its user alone, and one that exists keeps its rights', async () => {
    const url = file.url.replace('queue.db', '.lovage/queue.db')
    const folder = join(file.folder, '.lovage')
    await (await connect({}, url)).close()
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    chmodSync(folder, 0o750)
    await (await connect({}, url)).close()
    expect(statSync(folder).mode & 0o777).toBe(0o750)
  })

  it('holds one file and two empty ones when everybody has closed', async () => {
    await makeFile()
    expect(readdirSync(file.folder).sort()).toEqual(['queue.db', 'queue.db-wake-q', 'queue.db-wake-s'])
  })
})
