/** What somebody who wants to see it break tries first. */
import { describe, expect, test } from 'vitest'
import { Lovage } from '../../src/app/lovage.ts'
import { Project } from './support/project.ts'
import { isLong, until } from './support/until.ts'

test('a client that waits does not notice that the worker was killed in the middle', async () => {
  const project = new Project()
  const worker = await project.worker()
  const result = await project.app.sendTask('patient')
  const value = result.get({ timeoutMs: 20_000 })
  await project.effect('patient')
  worker.kill('SIGKILL')
  await worker.ended
  await project.worker()
  expect(await value).toBe(true)
}, 30_000)

test('a client that waits for what nobody runs, or nobody knows, is told so in time', async () => {
  const project = new Project()
  const waiting = await project.app.sendTask('tiny', [1])
  await expect(waiting.get({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'E_RESULT_TIMEOUT', known: true })
  const nobodys = project.app.result('nope')
  await expect(nobodys.get({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'E_RESULT_TIMEOUT', known: false })
  expect(await nobodys.snapshot()).toBeUndefined()
})

describe('Ctrl-C', () => {
  test('on a call that is followed ends the following, not the task; twice is no crash', async () => {
    const project = new Project()
    await project.worker()
    const call = project.start(['-A', 'tasks.ts', 'call', 'steps', '[20, 50]', '--follow'])
    await call.line(/PROGRESS/)
    call.kill('SIGINT')
    call.kill('SIGINT')
    const { code, signal } = await call.ended
    expect([code, signal]).toSatisfy(([at, by]) => at === 0 || by === 'SIGINT' || at === 130, call.output)
    expect(call.output).not.toMatch(/\n\s+at .*\(/)
    const id = /[0-9a-f-]{36}/.exec(call.output)?.[0] ?? ''
    expect(await project.reaches(id, 'SUCCESS')).toMatchObject({ value: '20' })
  }, 30_000)

  test('twice in one breath on a busy worker loses nothing', async () => {
    const project = new Project()
    const worker = await project.worker()
    const ids: string[] = []
    for (let n = 0; n < 40; n++) ids.push((await project.app.sendTask('nap', [30])).id)
    await project.effect('nap')
    worker.kill('SIGINT')
    worker.kill('SIGINT')
    expect(await worker.ended).toEqual({ code: 0, signal: null })
    await project.worker()
    for (const id of ids) await project.reaches(id, 'SUCCESS')
  }, 30_000)

  test('while a worker starts ends it, and it holds nothing', async () => {
    const project = new Project()
    const { id } = await project.app.sendTask('tiny', [1])
    const worker = project.start(['-A', 'tasks.ts', 'worker', '-l', 'info'])
    await worker.line(/\[config\]|ready/)
    worker.kill('SIGINT')
    await worker.ended
    expect(worker.output).not.toMatch(/E_INTERNAL|\n\s+at .*\(/)
    await project.worker()
    await project.reaches(id, 'SUCCESS')
  }, 30_000)
})

describe('ten thousand at once', () => {
  test('fault 14: with one of 10 MB among them are refused whole, before anything is sent', async () => {
    const project = new Project()
    const blob = project.app.task('blob', (_task, text: string) => text.length)
    const batch = Array.from({ length: 10_000 }, (_, n): [string] => [n === 6000 ? 'x'.repeat(10_000_000) : `row ${n}`])
    await expect(blob.applyMany(batch)).rejects.toMatchObject({
      code: 'E_MESSAGE_TOO_LARGE',
      message: expect.stringMatching(/blob: the arguments take 10000\d{3} bytes/),
    })
    expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 0, delayed: 0, unsettled: 0 })
  }, 30_000)

  test('are all run, each once', async () => {
    const project = new Project()
    const tiny = project.app.task('tiny', (_task, n: number) => n)
    await project.worker()
    const results = await tiny.applyMany(Array.from({ length: 10_000 }, (_, n): [number] => [n]))
    expect(new Set(results.map(({ id }) => id)).size).toBe(10_000)
    const values = await Promise.all(results.map(result => result.get({ timeoutMs: 60_000 })))
    expect(values).toEqual(values.map((_, n) => n))
    await until('an empty queue', async () => (await project.app.queue('celery').stats()).unsettled === 0)
  }, 90_000)

  test('from a process killed in the middle: what it was told of is there', async () => {
    const project = new Project()
    project.write(
      'send.ts',
      `import { tiny } from './tasks.ts'\nfor (let n = 0; ; n++) {\n  const { id } = await tiny.delay(n)\n  console.log(id)\n}\n`,
    )
    const sender = project.node('send.ts')
    await until('some ids', () => sender.lines.length >= (isLong ? 1000 : 100))
    sender.kill('SIGKILL')
    await sender.ended
    const told = sender.lines.map(({ text }) => text).filter(text => /^[0-9a-f-]{36}$/.test(text))
    await project.worker()
    for (const id of told) await project.reaches(id, 'SUCCESS')
    expect(project.integrity()).toBe('ok')
  }, 60_000)
})

test('fault 51: two workers of one name both work, under two names', async () => {
  const project = new Project()
  const workers = await Promise.all([1, 2].map(() => project.worker({ args: ['-n', 'twin'] })))
  const names = workers.map(({ output }) => /(twin\S*@\S+) ready/.exec(output)?.[1] ?? '')
  expect(new Set(names).size).toBe(2)
  const status = await project.lovage('-A', 'tasks.ts', 'status', '--json')
  const { workers: cards } = JSON.parse(status.out) as { workers: { node: string }[] }
  expect(cards.map(({ node }) => node).toSorted()).toEqual(names.toSorted())
  for (let n = 0; n < 8; n++) await project.app.sendTask('nap', [300])
  await until('naps in both', () => new Set(project.effects('nap').map(({ pid }) => pid)).size === 2)
}, 30_000)

test('a worker that has stopped leaves its name to the next one', async () => {
  const project = new Project()
  const first = await project.worker({ args: ['-n', 'phoenix'] })
  first.kill('SIGTERM')
  await first.ended
  const second = await project.worker({ args: ['-n', 'phoenix'] })
  expect(second.output).toMatch(/phoenix@\S+ ready/)
}, 30_000)

test('faults 30, 31: a task that ends its process in odd ways fails, and the worker goes on', async () => {
  const project = new Project({
    tasks: `import { Lovage } from 'lovage'
export const app = new Lovage('odd')
app.task('tiny', (_task, n: number) => n)
app.task('exit', () => process.exit(3))
app.task('stray', async task => {
  setTimeout(() => { throw new Error('stray') }, 10)
  await task.sleep(200)
})
app.task('unhandled', async task => {
  void Promise.reject(new Error('unhandled'))
  await task.sleep(200)
})
app.task('eat', () => {
  const all: unknown[] = []
  for (;;) all.push(new Array(1e6).fill({}))
})
app.task('null', () => { throw null })
app.task('long', () => { throw new Error('x'.repeat(1_000_000)) })
app.task('noisy', task => { for (let n = 0; n < 2000; n++) task.log.info('\\u001b[2J line ' + n) })
`,
  })
  const worker = await project.worker()
  const ends: Record<string, string> = {}
  for (const name of ['exit', 'stray', 'unhandled', 'null', 'long', 'noisy']) {
    const { id } = await project.app.sendTask(name)
    const { state } = await project.reaches(id, ({ state: at }) => at === 'FAILURE' || at === 'SUCCESS')
    ends[name] = state
    const next = await project.app.sendTask('tiny', [1])
    await project.reaches(next.id, 'SUCCESS')
  }
  expect(ends).toMatchObject({ exit: 'FAILURE', stray: 'FAILURE', null: 'FAILURE', long: 'FAILURE', noisy: 'SUCCESS' })
  expect(worker.isAlive).toBe(true)
  expect(worker.output).not.toContain('\u001b[2J')
}, 60_000)

test.each(['closes', 'stops reading'])(
  'a worker goes on when whoever read its output %s',
  async what => {
    const project = new Project()
    const worker = await project.worker({ args: ['-l', 'debug'] })
    for (const stream of [worker.process.stdout, worker.process.stderr])
      if (what === 'closes') stream?.destroy()
      else stream?.pause()
    const ids: string[] = []
    for (let n = 0; n < 1500; n++) ids.push((await project.app.sendTask('tiny', [n])).id)
    for (const id of ids) await project.reaches(id, 'SUCCESS')
    expect(worker.isAlive).toBe(true)
    worker.kill('SIGTERM')
    expect(await worker.ended).toEqual({ code: 0, signal: null })
  },
  30_000,
)

test('a worker goes on when a task prints and nobody is there to read it', async () => {
  const loud = `app.task('loud', () => console.log('x'.repeat(1000)))`
  const project = new Project({
    tasks: `import { Lovage } from 'lovage'\nexport const app = new Lovage('loud')\nexport const loud = ${loud}\n`,
  })
  const worker = await project.worker()
  worker.process.stdout?.destroy()
  for (let n = 0; n < 3; n++) await project.reaches((await project.app.sendTask('loud')).id, 'SUCCESS')
  worker.kill('SIGTERM')
  expect(await worker.ended).toEqual({ code: 0, signal: null })
}, 30_000)

test('a process that only sends ends by itself', async () => {
  const project = new Project()
  project.write('send.ts', `import { tiny } from './tasks.ts'\nconsole.log((await tiny.delay(1)).id)\n`)
  const sender = project.node('send.ts')
  expect(await sender.ended).toEqual({ code: 0, signal: null })
  const id = sender.lines.find(({ text }) => /^[0-9a-f-]{36}$/.test(text))?.text ?? ''
  const elsewhere = new Lovage('elsewhere', { brokerUrl: `sqlite:${project.database}` })
  expect(await elsewhere.result(id).state()).toBe('PENDING')
  await elsewhere.close()
}, 30_000)
