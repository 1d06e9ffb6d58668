/** What cannot be used: each is a coded error with the value and the remedy, and the worker goes on. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Child } from './support/child.ts'
import { Project, type Said } from './support/project.ts'
import { isLong, until } from './support/until.ts'
import { publishRaw, type RawMessage } from './support/wire.ts'

const mebibyte = 1024 * 1024

/** The worker that has met it takes the next one, from the same thread, in the same process. */
async function stillWorks(project: Project, worker: Child): Promise<void> {
  const { id } = await project.app.sendTask('tiny', [42])
  expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: '42' })
  expect(worker.isAlive).toBe(true)
}

function deep(depth: number): unknown {
  let value: unknown = []
  for (let level = 1; level < depth; level++) value = [value]
  return value
}

/** An explained error, not a stack: its code, and what else it must say. */
function explains(said: Said, words: readonly RegExp[]): void {
  expect(said.err).toMatch(/E_[A-Z_]+/)
  for (const word of words) expect(said.err).toMatch(word)
  expect(said.err).not.toMatch(/\n\s+at .*\(node:/)
}

describe('a call', () => {
  test.each<[what: string, args: readonly string[], words: readonly RegExp[]]>([
    ['no JSON', ['[abc]'], [/E_INVALID_ARGUMENT/, /\[abc\]/, /Quote it/]],
    ['a number for the list', ['30'], [/E_INVALID_ARGUMENT/, /30/, /expected an array/]],
    ['keyword arguments twice', ['{"a":1}', '-k', '{"b":2}'], [/E_INVALID_ARGUMENT/, /leave one of them out/]],
    ['a priority of 12', ['[1]', '--priority', '12'], [/12/]],
    ['a countdown of soon', ['[1]', '--countdown', 'soon'], [/soon/]],
    ['an unknown flag', ['[1]', '--quueue', 'x'], [/--queue/]],
  ])(
    'with %s is refused',
    async (_what, args, words) => {
      const project = new Project()
      const said = await project.lovage('-A', 'tasks.ts', 'call', 'tiny', ...args)
      expect(said.code).toBe(64)
      explains(said, words)
    },
    30_000,
  )

  test('with arguments of the wrong type is refused before anything is sent, and ends in FAILURE where nobody checked', async () => {
    const project = new Project()
    const checked = project.app.task('stringsOnly', { args: z.tuple([z.string()]) }, (_task, text) => text)
    await expect(checked.delay(5 as never)).rejects.toMatchObject({
      code: 'E_INVALID_ARGUMENT',
      message: expect.stringMatching(/stringsOnly: argument 1 \(5\): .*string/),
    })
    expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 0 })
    const worker = await project.worker()
    const unchecked = await project.app.sendTask('stringsOnly', [5] as never)
    const failed = await project.reaches(unchecked.id, 'FAILURE')
    expect(failed.value).toMatch(/argument 1 \(5\): expected a string/)
    expect(failed.retries).toBe(0)
    await stillWorks(project, worker)
  }, 30_000)

  const circle: unknown[] = []
  circle.push(circle)
  test.each<[what: string, value: unknown, path: RegExp]>([
    ['a Map', { rows: new Map([[1, 2]]) }, /args\[0\]\.rows/],
    ['a function', [() => 1], /args\[0\]\[0\]/],
    ['NaN', { total: NaN }, /args\[0\]\.total/],
    ['a symbol', Symbol('x'), /args\[0\]/],
    ['itself', circle, /args\[0\]/],
    ['10,000 levels', deep(10_000), /args\[0\]/],
  ])('with %s in it is refused, naming the place', async (_what, value, path) => {
    const project = new Project()
    const error = { code: 'E_ENCODE', message: expect.stringMatching(path) }
    await expect(project.app.sendTask('echo', [value])).rejects.toMatchObject(error)
  })

  test.each([
    [2, /blob: the arguments take 2097\d{3} bytes, the limit is 1048576\. .*LOVAGE_MAX_BODY_BYTES/],
    [20, /blob: the arguments take 20971\d{3} bytes, the limit is 1048576\. .*LOVAGE_MAX_BODY_BYTES/],
  ])('fault 14: of %i MiB is refused, naming size, limit and remedy', async (size, words) => {
    const project = new Project()
    const sent = project.app.sendTask('blob', ['x'.repeat(size * mebibyte)])
    await expect(sent).rejects.toMatchObject({ code: 'E_MESSAGE_TOO_LARGE', message: expect.stringMatching(words) })
  })

  test('fault 14: of 2 MiB runs where the limit is raised', async () => {
    const project = new Project({ env: { LOVAGE_MAX_BODY_BYTES: String(4 * mebibyte) } })
    await project.worker()
    project.write('args.json', JSON.stringify(['x'.repeat(2 * mebibyte)]))
    project.write(
      'send.ts',
      `import { readFileSync } from 'node:fs'\nimport { app } from './tasks.ts'\nconst { id } = await app.sendTask('blob', JSON.parse(readFileSync('args.json', 'utf8')))\nconsole.log(id)\nawait app.close()\n`,
    )
    const sender = project.node('send.ts')
    const { text: id } = await sender.line(/^[0-9a-f-]{36}$/)
    expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: String(2 * mebibyte) })
  }, 30_000)
})

describe('a message', () => {
  const garbage: readonly [what: string, raw: RawMessage, end: RegExp][] = [
    [
      'is pickled',
      { contentType: 'application/x-python-serialize', contentEncoding: 'binary', body: randomBytes(40) },
      /pickle|serialize/,
    ],
    ['is YAML', { contentType: 'application/x-yaml', body: '- 1' }, /yaml/],
    ['says JSON and is none', { body: '{nope' }, /JSON/],
    ['is no UTF-8', { body: new Uint8Array([0xff, 0xfe, 0xfd]) }, /UTF-8/],
    ['is an object', { body: '{"rows":[]}' }, /protocol 1/],
    ['is empty', { body: '' }, /JSON/],
    ['has arguments that are a number', { body: '[5, {}, {}]' }, /no list: 5/],
    ['is 10,000 levels deep', { body: `[${'['.repeat(10_000)}${']'.repeat(10_000)}, {}, {}]` }, /deep|level|depth/i],
    ['has 20 MiB', { body: `[["${'x'.repeat(20 * mebibyte)}"], {}, {}]` }, /limit/],
  ]

  test('fault 15: that cannot be decoded is parked and ends in FAILURE that says why, and the same worker goes on', async () => {
    const project = new Project()
    const worker = await project.worker()
    for (const [what, raw, why] of garbage) {
      const id = await publishRaw(project, raw)
      const failed = await project.reaches(id, 'FAILURE')
      expect({ what, value: failed.value }).toMatchObject({ value: expect.stringMatching(why) })
      const { items } = await (await project.backend()).broker.parked({ limit: 1 })
      expect({ what, ...items[0] }).toMatchObject({ id, reason: expect.stringMatching(/^it cannot be read: /) })
      await stillWorks(project, worker)
    }
    expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 0, delayed: 0, unsettled: 0 })
  }, 60_000)

  const nameless: readonly [what: string, headers: Record<string, unknown>][] = [
    ['no id', { task: 'echo' }],
    ['no task', { id: 'an-id' }],
    ['nothing at all', {}],
    ['an id that is a list', { id: [1], task: 'echo' }],
    ['retries that are a word', { id: 'an-id', task: 'echo', retries: 'many' }],
    ['an eta that is no time', { id: 'an-id', task: 'echo', eta: 'tomorrow' }],
  ]

  test('fault 15: whose headers cannot be read is parked with the reason, and the same worker goes on', async () => {
    const project = new Project()
    const worker = await project.worker()
    for (const [what, headers] of nameless) {
      const from = worker.lines.length
      await publishRaw(project, { headers })
      await worker.line(/parked: it cannot be read/, { from })
      const [newest] = (await project.lovage('-A', 'tasks.ts', 'dead', 'list', '--json')).out.split('\n')
      const reason = expect.stringMatching(/it cannot be read: \S+/)
      expect({ what, ...JSON.parse(newest ?? '') }).toMatchObject({ queue: 'celery', headers, reason })
      await stillWorks(project, worker)
    }
  }, 60_000)

  test('with __proto__ in it changes no object', async () => {
    const project = new Project()
    const worker = await project.worker()
    const bodies = [
      '[[{"__proto__": {"polluted": true}}], {}, {}]',
      '[[], {"__proto__": {"polluted": true}}, {}]',
      '[[{"constructor": {"prototype": {"polluted": true}}}], {}, {}]',
      '[[], {}, {"__proto__": {"polluted": true}}]',
    ]
    for (const body of bodies) {
      const id = await publishRaw(project, { body })
      await project.reaches(id, state => state.state === 'FAILURE' || state.state === 'SUCCESS')
    }
    const said = await project.lovage('-A', 'tasks.ts', 'call', 'echo', '[{"__proto__": {"polluted": true}}]')
    expect([0, 64]).toContain(said.code)
    const { id } = await project.app.sendTask('polluted')
    expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: 'null' })
    await stillWorks(project, worker)
  }, 30_000)

  test('fault 17: for a task that nobody knows comes back later, is parked with a reason, and can be sent again', async () => {
    const project = new Project()
    const first = await project.worker()
    const { id } = await project.app.sendTask('imgs.resize', [1])
    await first.line(/imgs\.resize.*given back for 1s/)
    await stillWorks(project, first)
    if (!isLong) await handOver(project, first, id)
    const worker = isLong ? first : await project.worker()
    await worker.line(/imgs\.resize.*parked: no worker on this queue knows the task imgs\.resize/, {
      timeoutMs: 60_000,
    })
    expect((await project.reaches(id, 'FAILURE')).value).toMatch(/NotRegistered.*imgs\.resize/)
    const listed = await project.lovage('-A', 'tasks.ts', 'dead', 'list')
    expect(listed.out).toMatch(/imgs\.resize .*no worker on this queue knows/)
    await stillWorks(project, worker)

    project.write('more.ts', `import { app } from './tasks.ts'\napp.task('imgs.resize', (_task, n: number) => n + 1)\n`)
    worker.kill('SIGTERM')
    await worker.ended
    await project.worker({ args: ['-I', 'more.ts'] })
    const replayed = await project.lovage('-A', 'tasks.ts', 'dead', 'replay', id)
    const newId = /sent again as ([0-9a-f-]{36})/.exec(replayed.out)?.[1] ?? ''
    expect(await project.reaches(newId, 'SUCCESS')).toMatchObject({ value: '2', facts: { replayOf: id } })
    expect((await project.lovage('-A', 'tasks.ts', 'dead', 'list', '--json')).out).toBe('')
  }, 90_000)
})

/**
 * Stands in for workers that are stopped before it is its turn, twenty times, and for two that do not know it either:
 * only theirs count.
 */
async function handOver(project: Project, worker: Child, id: string): Promise<void> {
  worker.kill('SIGTERM')
  await worker.ended
  const backend = await project.backend()
  let settled: Promise<unknown> | undefined
  const headers = { lovage_unknown: 3 }
  const subscription = await backend.broker.consume(['celery'], {
    prefetch: 1,
    consumer: 'neighbour@test',
    onDeliveries(batch) {
      for (const delivery of batch) {
        expect(delivery.message.headers['lovage_unknown']).toBe(1)
        const isLast = delivery.deliveryCount > 20
        const disposition = isLast
          ? ({ kind: 'requeue', delayMs: 1000, headers } as const)
          : { kind: 'requeue' as const }
        const settling = backend.settle({ delivery, disposition })
        if (isLast) settled = settling
      }
    },
  })
  await until(`the last hand-over of ${id}`, () => settled)
  await settled
  await subscription.close()
}

describe('a worker refuses to start', () => {
  const twice = `import { app } from './tasks.ts'\napp.task('tiny', () => 1)\n`
  test('when a task is registered twice, naming both places', async () => {
    const project = new Project()
    project.write('more.ts', twice)
    const said = await project.lovage('-A', 'tasks.ts', 'worker', '-I', 'more.ts')
    expect(said.code).toBe(78)
    explains(said, [/E_TASK_ALREADY_REGISTERED/, /tiny/, /tasks\.ts:\d+/, /more\.ts:2/])
  }, 30_000)

  test.each<[url: string, words: readonly RegExp[]]>([
    ['sqlit:queue.db', [/E_CONFIG/, /sqlit/, /Did you mean sqlite\?/]],
    ['reddis://localhost', [/E_CONFIG/, /Did you mean redis\?/]],
    ['queue.db', [/E_CONFIG/, /queue\.db/, /sqlite:queue\.db/]],
    ['amqp://user:s3cret@[bad', [/E_CONFIG/, /\[bad/]],
  ])(
    'on the URL %s',
    async (url, words) => {
      const project = new Project()
      const said = await project.lovage('-A', 'tasks.ts', '-b', url, 'worker')
      expect(said.code).toBe(78)
      explains(said, words)
      expect(said.err).not.toContain('s3cret')
    },
    30_000,
  )

  test.each<[what: string, file: readonly [name: string, text?: string], words: readonly RegExp[]]>([
    ['is missing', ['task.ts'], [/E_APP_LOAD/, /task\.ts does not exist/, /Did you mean tasks\.ts\?/]],
    ['throws on import', ['bad.ts', `throw new RangeError('no database')\n`], [/E_APP_LOAD/, /bad\.ts/, /no database/]],
    ['does not parse', ['bad.ts', `export const = 1\n`], [/E_APP_LOAD/, /bad\.ts:1/]],
    ['imports what is missing', ['bad.ts', `import './gone.ts'\n`], [/E_APP_LOAD/, /gone/]],
    ['has no app', ['bad.ts', `export const a = 1\n`], [/E_(?:APP_LOAD|CONFIG)/, /bad\.ts/]],
    [
      'has no tasks',
      ['bad.ts', `import { Lovage } from 'lovage'\nexport const app = new Lovage('x')\n`],
      [/E_CONFIG/, /0 tasks/, /bad\.ts/],
    ],
  ])(
    'on a file that %s',
    async (_what, [file, text], words) => {
      const project = new Project()
      if (text !== undefined) project.write(file, text)
      const said = await project.lovage('-A', file, 'worker')
      expect(said.code).toBe(78)
      explains(said, words)
    },
    30_000,
  )

  test('on a file that is no database, which it leaves as it was', async () => {
    const project = new Project()
    const list = 'this is a shopping list\n'.repeat(300)
    const file = project.write('.lovage/queue.db', list)
    for (const args of [['worker'], ['call', 'tiny', '[1]'], ['status']]) {
      const said = await project.lovage('-A', 'tasks.ts', ...args)
      expect(said.code).toBe(78)
      explains(said, [/E_STORAGE/, /queue\.db/, /no(?:t an?)? .*database/i])
    }
    expect(readFileSync(file, 'utf8')).toBe(list)
  }, 30_000)

  test('on a damaged database, with what to do', async () => {
    const project = new Project()
    const file = project.write('.lovage/queue.db', await damaged())
    for (const args of [['worker'], ['status']]) {
      const said = await project.lovage('-A', 'tasks.ts', ...args)
      expect(said.code).toBe(69)
      explains(said, [/E_STORAGE/, /queue\.db/])
      expect(said.err).toContain(file)
    }
  }, 30_000)
})

/** A database whose head is right and whose pages are noise. */
async function damaged(): Promise<Buffer> {
  const project = new Project()
  for (let n = 0; n < 50; n++) await project.app.sendTask('tiny', [n])
  await project.app.close()
  const db = new DatabaseSync(project.database)
  db.exec('PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE')
  db.close()
  const bytes = readFileSync(project.database)
  return Buffer.concat([bytes.subarray(0, 100), randomBytes(bytes.length - 100)])
}
