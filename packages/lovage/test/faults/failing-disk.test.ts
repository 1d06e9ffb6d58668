/** Faults 12 and 13: each write and each fsync of a small workload fails in turn, by strace. What was said is true. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { coerceError } from '../../src/core/errors.ts'
import { openSqlite } from '../../src/drivers/sqlite/sqlite.ts'
import { inspect, testFile, type TestFile } from './support/sqlite-tasks.ts'
import { Project } from './support/project.ts'
import { canMount, hasStrace } from './support/tools.ts'
import { isLong, until } from './support/until.ts'

const workload: string = fileURLToPath(new URL('./support/disk-process.ts', import.meta.url))
const ids = ['a', 'b', 'c', 'd']

let file: TestFile

beforeEach(() => {
  file = testFile()
})

afterEach(() => file.remove())

interface Heard {
  /** `word what`, in the order said. */
  readonly lines: readonly string[]
  readonly code: number | null
}

/** Runs the workload with the given system call on the file failing; again, with a sound disk, if it was not opened. */
async function run(call: string, how: string): Promise<Heard> {
  const heard = await runOnce(call, how)
  if (heard.code !== 73) return heard
  const again = await runOnce(call, 'retval=0:when=60000')
  return { lines: [...heard.lines, ...again.lines], code: again.code }
}

/** @param how as strace has it: `error=ENOSPC:when=3`. */
async function runOnce(call: string, how: string): Promise<Heard> {
  const paths = ['', '-wal', '-shm', '-journal'].flatMap(end => ['-P', file.path + end])
  const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:${how}`, '-e', 'signal=none']
  const strace = ['-D', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', ...paths, ...inject]
  const child = spawn('strace', [...strace, process.execPath, workload, file.url], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    for (const [word, [what]] of Object.entries(JSON.parse(line) as Record<string, string[]>))
      lines.push(`${word} ${what ?? ''}`)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { lines, code }
}

const said = ({ lines }: Heard, word: string): string[] =>
  lines.filter(line => line.startsWith(`${word} `)).map(line => line.slice(word.length + 1))

/** The states the file has, by id; the messages that wait. */
function stored(): { readonly states: Record<string, string>; readonly waiting: string[] } {
  const db = new DatabaseSync(file.path)
  try {
    const states = db.prepare('SELECT id, state FROM tasks').all() as { id: string; state: string }[]
    const waiting = db.prepare('SELECT id FROM messages').all() as { id: string }[]
    return {
      states: Object.fromEntries(states.map(({ id, state }) => [id, state])),
      waiting: waiting.map(({ id }) => id),
    }
  } finally {
    db.close()
  }
}

/**
 * Runs it with the 1st, the 2nd, … call failing, until there are none left to fail; without LONG_TESTS with one of
 * `every` of them. `isNew`: the file is made by the workload, too.
 */
async function withEach(
  call: string,
  error: string,
  {
    every,
    isNew,
    check,
  }: { readonly every: number; readonly isNew: boolean; readonly check: (heard: Heard, n: number) => void },
): Promise<number> {
  let failures = 0
  for (
    let [n, untouched] = [isLong ? 1 : every, 0];
    untouched < (isLong ? 12 : 3) && failures < (isNew && !isLong ? 2 : Infinity);
    n += isLong ? 1 : every
  ) {
    if (!isNew) await makeFile()
    const heard = await run(call, `error=${error}:when=${n}`)
    const isTouched = said(heard, 'refused').length + said(heard, 'ended').length > 0
    // some are of no consequence: only many of them in a row are the end
    untouched = isTouched ? 0 : untouched + 1
    if (isTouched) failures++
    check(heard, n)
    file.remove()
    file = testFile()
  }
  return failures
}

async function makeFile(): Promise<void> {
  const connection = openSqlite(file.url)
  await connection.broker.open()
  await connection.close()
}

/** What each refusal was of, in order of the first. */
function tally(counts: Map<string, number>, heard: Heard): void {
  for (const refusal of said(heard, 'refused')) {
    const what = /^\w+/.exec(refusal)?.[0] ?? ''
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
}

function isWholeInTheEnd(heard: Heard, n: number): void {
  const context = { n, ...heard }
  expect({ ...context, settled: said(heard, 'settled').toSorted() }).toMatchObject({ code: 0, settled: ids })
  // never "unknown": nothing of it was stored
  expect({
    ...context,
    unknown: said(heard, 'refused').filter(each => each.startsWith('publish unknown')),
  }).toMatchObject({ unknown: [] })
  for (const read of said(heard, 'read'))
    expect({ ...context, read }).toMatchObject({ read: expect.stringMatching(/^(state|absent)$/) })
  expect({ ...context, file: inspect(file.path), ...stored() }).toMatchObject({
    file: { integrity: 'ok', miscounted: 0 },
    states: { a: 'SUCCESS', b: 'SUCCESS', c: 'SUCCESS', d: 'SUCCESS' },
    waiting: [],
  })
}

describe.skipIf(!hasStrace())('a disk that fails', () => {
  test.each([
    ['of the workload', false],
    ['of a new file', true],
  ])(
    'fault 12: when it is full at any write %s, calls fail as full, reads go on, and so does all else by itself',
    async (_, isNew) => {
      const counts = new Map<string, number>()
      const failures = await withEach('pwrite64', 'ENOSPC', {
        every: isNew ? 20 : 13,
        isNew,
        check(heard, n) {
          tally(counts, heard)
          isWholeInTheEnd(heard, n)
          for (const refusal of said(heard, 'refused'))
            expect({ n, refusal }).toMatchObject({ refusal: expect.stringMatching(/: full: .* the disk is full/) })
        },
      })
      console.log(`${failures} writes failed as full: ${JSON.stringify(Object.fromEntries(counts))}`)
      expect(failures).toBeGreaterThanOrEqual(2)
    },
    600_000,
  )

  test('fault 12: when it cannot be written for another reason, the same holds, and the reason is told', async () => {
    const failures = await withEach('pwrite64', 'EIO', {
      every: 30,
      isNew: false,
      check(heard, n) {
        isWholeInTheEnd(heard, n)
        for (const refusal of said(heard, 'refused'))
          expect({ n, refusal }).toMatchObject({ refusal: expect.stringMatching(/: (failed|full): /) })
      },
    })
    expect(failures).toBeGreaterThanOrEqual(1)
  }, 600_000)

  test('fault 13: after a failed fsync nothing is called a success, it stops, and what was accepted is there', async () => {
    const failures = await withEach('fsync,fdatasync', 'EIO', { every: 3, isNew: false, check: isHonest })
    expect(failures).toBeGreaterThanOrEqual(2)
  }, 600_000)
})

test.skipIf(!hasStrace())(
  'fault 13: a worker whose disk fails says so and stops, and the next one ends what it was told to do',
  async () => {
    const project = new Project()
    const ids: string[] = []
    for (let n = 0; n < 20; n++) ids.push((await project.app.sendTask('tiny', [n])).id)
    // the store thread's own third: of one of the first results
    const paths = ['-P', project.database, '-P', `${project.database}-wal`]
    const how = ['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO:when=3', '-e', 'signal=none']
    const under = ['strace', '-D', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', ...paths, ...how]
    const worker = project.start(['-A', 'tasks.ts', 'worker', '-l', 'info'], {}, under)
    // more work, until it meets the failure
    const more = until('the end of the worker', async () => {
      if (!worker.isAlive) return true
      ids.push((await project.app.sendTask('tiny', [0])).id)
      return false
    })
    expect(await worker.ended).toEqual({ code: 69, signal: null })
    await more
    expect(worker.output).toMatch(/gone for good: .*fsync failed/)
    await project.worker()
    for (const id of ids) await project.reaches(id, 'SUCCESS')
    expect(project.integrity()).toBe('ok')
  },
  60_000,
)

test.skipIf(!canMount())(
  'fault 12: on a full disk a sender is told so, and worker and sender go on by themselves when there is space',
  async () => {
    const project = new Project()
    const disk = join(project.root, '.lovage')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk])
    onTestFinished(async () => {
      await project.app.close()
      execFileSync('umount', ['-l', disk])
    })
    const worker = await project.worker()
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(1024 * 1024))
    const ids: string[] = []
    const refusal = await until('a full disk', async () => {
      const sent = await project.app.sendTask('blob', ['x'.repeat(5000)]).catch(coerceError)
      if (sent instanceof Error) return sent
      ids.push(sent.id)
      return undefined
    })
    expect(refusal).toMatchObject({ code: 'E_PUBLISH', accepted: 'no', message: expect.stringMatching(/disk is full/) })
    expect(await project.stored(ids[0] ?? '')).toBeDefined()
    rmSync(join(disk, 'ballast'))
    await until('space', () =>
      project.app
        .sendTask('tiny', [1])
        .then(({ id }) => ids.push(id))
        .catch(() => false),
    )
    for (const id of ids) await project.reaches(id, 'SUCCESS')
    expect(worker.isAlive).toBe(true)
    worker.kill('SIGTERM')
    expect(await worker.ended).toEqual({ code: 0, signal: null })
    expect(project.integrity()).toBe('ok')
  },
  60_000,
)

function isHonest(heard: Heard, n: number): void {
  const context = { n, ...heard }
  const failedAt = heard.lines.findIndex(line => /^(refused (publish|consume|progress|settle)|ended)/.test(line))
  const isStopped = failedAt >= 0
  const after = isStopped ? heard.lines.slice(failedAt).filter(line => /^(accepted|settled|closed)/.test(line)) : []
  expect({ ...context, after }).toMatchObject({ code: isStopped ? 70 : 0, after: [] })
  expect(said(heard, 'ended').filter(why => !/not written to the disk for certain \(fsync failed\)/.test(why))).toEqual(
    [],
  )
  for (const refusal of said(heard, 'refused')) expect(refusal).not.toMatch(/^publish no/)
  expect({ ...context, file: inspect(file.path) }).toMatchObject({ file: { integrity: 'ok', miscounted: 0 } })
  const { states, waiting } = stored()
  for (const id of said(heard, 'settled')) expect({ ...context, state: states[id] }).toMatchObject({ state: 'SUCCESS' })
  const lost = said(heard, 'accepted').filter(id => states[id] !== 'SUCCESS' && !waiting.includes(id))
  expect({ ...context, lost }).toMatchObject({ lost: [] })
}
