/** The main job, from outside: a file of fifteen lines, a worker, a call that is followed, a third process that looks. */
import { expect, test } from 'vitest'
import { Project } from './support/project.ts'
import { isLong, spread } from './support/until.ts'

const seed = `import { Lovage } from 'lovage'
import { z } from 'zod'

export const app = new Lovage('mysite')

export const add = app.task('core.tasks.add', (_task, x: number, y: number) => x + y)

const seconds = z.tuple([z.coerce.number<number | string>().int().nonnegative()])
export const loop = app.task('core.tasks.loop', { args: seconds }, async (task, total) => {
  for (let i = 0; i < total; i++) {
    task.progress(i, total)
    await task.sleep(${isLong ? 1000 : 300})
  }
  return { current: total, total }
})
`

test('a worker says what it found and is ready, a call shows its progress, a third process sees the same', async () => {
  const project = new Project({ tasks: seed })
  const worker = await project.worker()
  expect(worker.output).toMatch(/\[config\][\s\S]*\[queues\][\s\S]*celery[\s\S]*\[tasks\][\s\S]*core\.tasks\.add/)
  expect(worker.output).toContain(`sqlite://${project.database}`)

  const followed = await project.lovage('-A', 'tasks.ts', 'call', 'core.tasks.loop', '[5]', '--follow')
  const lines = followed.out.split('\n')
  expect(lines.filter(line => line.startsWith('PROGRESS'))).toEqual([0, 1, 2, 3, 4].map(step => `PROGRESS ${step}/5`))
  expect(lines.at(-1)).toBe('SUCCESS {"current":5,"total":5}')
  expect(followed.code).toBe(0)

  const refused = await project.lovage('-A', 'tasks.ts', 'call', 'core.tasks.loop', '["abc"]', '--follow')
  expect(refused.out.split('\n').at(-1)).toMatch(/^FAILURE .*"abc".*expected number/)
  expect(refused.code).toBe(1)

  const id = /[0-9a-f-]{36}/.exec(refused.err)?.[0] ?? ''
  const looked = await project.lovage('-A', 'tasks.ts', 'result', id, '--json')
  expect(JSON.parse(looked.out)).toMatchObject({
    id,
    state: 'FAILURE',
    error: { message: expect.stringContaining('"abc"') },
  })
  expect(looked.code).toBe(0)
  worker.kill('SIGTERM')
  expect(await worker.ended).toEqual({ code: 0, signal: null })
}, 30_000)

test('a worker is ready soon after it was started', async () => {
  const project = new Project({ tasks: seed })
  const times: number[] = []
  for (let run = 0; run < (isLong ? 10 : 3); run++) {
    const worker = await project.worker()
    const ready = await worker.line(/ ready\./)
    times.push(ready.at - worker.startedAt)
    worker.kill('SIGTERM')
    await worker.ended
  }
  const { median, max } = spread(times)
  console.log(`worker ready after ${median} ms, at most ${max} ms, in ${times.length} starts`)
  // a machine that does other things as well: the goal of 500 ms is the bench's to tell
  expect(median).toBeLessThan(3000)
}, 60_000)

test('an id that nobody knows is told apart from one that waits', async () => {
  const project = new Project({ tasks: seed })
  const waiting = await project.app.sendTask('core.tasks.add', [2, 3])
  const found = await project.lovage('-A', 'tasks.ts', 'result', waiting.id, '--json')
  expect(JSON.parse(found.out)).toMatchObject({ state: 'PENDING', name: 'core.tasks.add' })
  expect(found.code).toBe(0)
  const absent = await project.lovage('-A', 'tasks.ts', 'result', 'nope')
  expect(absent.code).toBe(1)
  expect(absent.out).toBe('')
  expect(absent.err).toMatch(/No task with the id nope is known on sqlite:/)
}, 30_000)
