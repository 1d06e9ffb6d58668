import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { internals } from '../../src/app/internals.ts'
import { Lovage } from '../../src/app/lovage.ts'
import { encodeTask, emptyEmbed } from '../../src/protocol/task-message.ts'
import { run, seedProject, start } from '../fixtures/command-line.ts'
import { copyProject, type ProjectCopy } from '../fixtures/copy-project.ts'

// several processes one after the other, on machines that do other things too
vi.setConfig({ testTimeout: 30_000 })

async function sendAdd(project: ProjectCopy): Promise<string> {
  return (await run(project, ['call', 'core.tasks.add', '[2, 3]'])).stdout.trim()
}

describe('a worker', () => {
  test('says what it found, is ready, and ends with 0 on SIGTERM', async () => {
    using project = seedProject()
    project.write('.env.local', 'LOVAGE_LEASE_MS=20s\n')
    await using worker = start(project, ['worker', 'tasks.ts', '-c', '2', '-Q', 'celery,slow'])
    await worker.shows('ready')
    worker.signal('SIGTERM')
    const { code, stdout } = await worker.finished()
    expect(code).toBe(0)
    expect(stdout).toContain(`app:         mysite (${join(project.root, 'tasks.ts')})`)
    expect(stdout).toMatch(new RegExp(`transport: +\\S*${join(project.root, '.lovage/queue.db')}\n`))
    expect(stdout).toMatch(/concurrency: 2 \(threads\) {2}\(flag\)/)
    expect(stdout).toMatch(/leaseMs: +20000 {2}\(LOVAGE_LEASE_MS in \.env\.local\)/)
    expect(stdout).toMatch(/\[queues\] {2}\(flag\)\n \.> celery\n \.> slow/)
    expect(stdout).toMatch(/\[tasks\]\n {2}\. core\.tasks\.add +retries 0\n {2}\. core\.tasks\.loop +retries 0/)
  })

  test.each([[['-A', 'tasks.ts', 'worker']], [['worker', '-A', 'tasks']], [['worker', 'tasks.ts:app']], [['worker']]])(
    '%j finds its app',
    async args => {
      using project = seedProject()
      await using worker = start(project, [...args, '--json'])
      await worker.shows('ready')
      expect(worker.stdout).toBe('')
      const [banner = ''] = worker.stderr.split('\n').filter(line => line.includes('"transport"'))
      expect(JSON.parse(banner)).toMatchObject({ app: 'mysite', queues: ['celery'], pool: 'threads' })
    },
  )

  test('without tasks ends with 78 and names -I', async () => {
    using project = copyProject()
    project.write('tasks.ts', `import { Lovage } from 'lovage'\nexport const app = new Lovage('empty')\n`)
    const { code, stderr } = await run(project, ['worker', 'tasks.ts'])
    expect(stderr).toContain('E_CONFIG  0 tasks. tasks.ts was loaded and defines none; -I or include?')
    expect(code).toBe(78)
  })

  test('takes more files with -I, in its task thread too', async () => {
    using project = copyProject()
    project.write('app.ts', `import { Lovage } from 'lovage'\nexport const app = new Lovage('split')\n`)
    project.write(
      'jobs/double.ts',
      `import { app } from '../app'\nexport const double = app.task('double', (_task, n: number) => 2 * n)\n`,
    )
    await using worker = start(project, ['worker', 'app.ts', '-I', 'jobs/*.ts'])
    await worker.shows('ready')
    const { stdout, code } = await run(project, ['-A', 'app.ts', 'call', 'double', '[21]', '--follow'])
    expect([code, stdout.trim().split('\n').at(-1)]).toEqual([0, 'SUCCESS 42'])
  })

  test('whose file throws ends with 78 and shows where', async () => {
    using project = copyProject()
    const file = project.write('tasks.ts', `throw new Error('no DATABASE_URL')\n`)
    const { code, stderr } = await run(project, ['worker'])
    expect(stderr).toContain(
      `E_APP_LOAD  ${file} threw while it was loaded. Error: no DATABASE_URL\n      at ${file}:1:7`,
    )
    expect(code).toBe(78)
  })
})

describe('call', () => {
  test('prints the id; with --follow each change and the result', async () => {
    using project = seedProject()
    await using worker = start(project, ['worker'])
    await worker.shows('ready')
    const { code, stdout } = await run(project, ['call', 'core.tasks.loop', '[1]', '--follow'])
    expect(stdout.trim().split('\n').slice(-2)).toEqual(['PROGRESS 0/1', 'SUCCESS {"current":1,"total":1}'])
    expect(code).toBe(0)
    const id = await sendAdd(project)
    expect((await run(project, ['result', id, '--wait'])).stdout).toMatch(/SUCCESS 5\n$/)
    expect(JSON.parse((await run(project, ['result', id, '--json'])).stdout)).toMatchObject({
      id,
      state: 'SUCCESS',
      result: 5,
    })
    expect((await run(project, ['status'])).code).toBe(0)
  })

  test('is unchecked, as in Celery; the worker refuses what does not fit', async () => {
    using project = seedProject()
    await using worker = start(project, ['worker'])
    await worker.shows('ready')
    const { code, stdout } = await run(project, ['call', 'core.tasks.loop', '["abc"]', '--follow'])
    expect(stdout).toMatch(/FAILURE .*core\.tasks\.loop: argument 1 \("abc"\)/)
    expect(code).toBe(1)
  })

  test('reads arguments from standard input, and warns of a name that is near one', async () => {
    using project = seedProject()
    const { code, stdout, stderr } = await run(project, ['call', 'core.tasks.ad', '-', '--json'], '[2, 3]')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ id: expect.any(String) as string })
    expect(stderr).toContain('Did you mean core.tasks.add?')
  })

  test('ends the following, not the task, at the first Ctrl-C', async () => {
    using project = seedProject()
    await using worker = start(project, ['worker'])
    await worker.shows('ready')
    await using following = start(project, ['call', 'core.tasks.loop', '[3]', '--follow'])
    await following.shows('PROGRESS')
    following.signal('SIGINT')
    const { code, stderr } = await following.finished()
    expect(code).toBe(0)
    const id = /lovage revoke (\S+)$/m.exec(stderr)?.[1] ?? ''
    expect((await run(project, ['result', id, '--follow'])).stdout).toMatch(/SUCCESS \{"current":3,"total":3\}\n$/)
  })
})

describe('without a worker', () => {
  test('status says so and ends with 69', async () => {
    using project = seedProject()
    const { code, stdout } = await run(project, ['status'])
    expect(stdout).toContain('No worker is running')
    expect(code).toBe(69)
  })

  test('list shows what waits, purge asks before it removes', async () => {
    using project = seedProject()
    const id = await sendAdd(project)
    expect((await run(project, ['list', '--state', 'pending', '--json'])).stdout).toContain(`"id":"${id}"`)
    expect((await run(project, ['purge', '--dry-run'])).stdout).toContain('celery  1 waiting')
    const unasked = await run(project, ['purge'])
    expect([unasked.code, unasked.stderr]).toEqual([64, expect.stringContaining('--force') as string])
    expect((await run(project, ['purge', '--json'])).code).toBe(64)
    const purged = (await run(project, ['purge', '-f', '-Q', 'celery', '--json'])).stdout
    expect(JSON.parse(purged)).toEqual({ queues: [{ queue: 'celery', waiting: 1 }], removed: 1 })
    expect((await run(project, ['purge', '-f'])).stdout).toContain('Nothing removed')
    expect((await run(project, ['result', id])).stdout).toContain('REVOKED')
    expect((await run(project, ['purge', '-Q', 'celer'])).stderr).toContain('Did you mean celery?')
  })
})

test('a dead letter is listed, shown, sent again as a new task, and dropped', async () => {
  using project = seedProject()
  await sendAdd(project)
  await using app = new Lovage('test', { brokerUrl: `sqlite://${join(project.root, '.lovage/queue.db')}` })
  const { broker } = await internals(app).backend()
  const message = encodeTask(
    { id: 'lost', task: 'core.tasks.add', retries: 2, rootId: 'lost', headers: {} },
    { args: [1, 1], kwargs: {}, embed: emptyEmbed },
  )
  await broker.park({ id: 'lost', queue: 'celery', message }, 'crashed \x1b[2J twice')
  expect((await run(project, ['dead', 'list'])).stdout).toContain(String.raw`crashed \u001b[2J twice`)
  const shown = JSON.parse((await run(project, ['dead', 'show', 'lost', '--json'])).stdout) as {
    readonly parkedId: string
  }
  expect(shown).toMatchObject({ id: 'lost', task: 'core.tasks.add', body: expect.stringContaining('[[1,1]') as string })
  const [, newId = ''] =
    /lost is sent again as (\S+)/.exec((await run(project, ['dead', 'replay', shown.parkedId])).stdout) ?? []
  await using worker = start(project, ['worker'])
  await worker.shows('ready')
  expect((await run(project, ['result', newId, '--wait'])).stdout).toMatch(/SUCCESS 2\n$/)
  await broker.park({ id: 'lost', queue: 'celery', message }, 'again')
  const replayed = (await run(project, ['dead', 'replay', 'lost', '--json'])).stdout
  expect(JSON.parse(replayed)).toMatchObject({ replayOf: 'lost', id: expect.any(String) as string })
  await broker.park({ id: 'lost', queue: 'celery', message }, 'for good')
  expect((await run(project, ['dead', 'drop', '--all'])).stdout).toBe('Dropped 1\n')
  expect((await run(project, ['dead', 'replay', 'lost'])).code).toBe(64)
})

test.each([
  [['wroker'], 64, 'Did you mean worker?'],
  [['dead'], 64, 'lovage dead replay 01a2…'],
  [['worker', '--quues', 'a'], 64, 'Did you mean --queues?'],
  [['worker', 'taks.ts'], 78, 'Did you mean tasks.ts?'],
  [['worker', '-P', 'prefork'], 78, 'there is no such pool'],
  [['call', 'core.tasks.add', '[2'], 64, 'is no JSON'],
  [['result', 'never-sent'], 1, 'No task with the id never-sent is known on'],
  [['status', '-b', 'rabbit://x'], 78, 'is no scheme of a driver'],
])('lovage %j ends with %i and says %s', async (args, code, words) => {
  using project = seedProject()
  const finished = await run(project, args)
  expect(finished.stderr).toContain(words)
  expect(finished.stderr).not.toMatch(/^\s+at /m)
  expect(finished.code).toBe(code)
})
