/** Fault 16: tasks that take their process along, among good ones, under a supervisor that starts the worker again. */
import { expect, test } from 'vitest'
import type { ParkedMessage } from '../../src/broker.ts'
import type { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import { isLong, until } from './support/until.ts'

const tasks = `import { Lovage } from 'lovage'

export const app = new Lovage('poison')

app.task('good', (_task, n: number) => n)
app.task('slow', async (task, n: number) => {
  await task.sleep(30)
  return n
})
app.task('killed', () => process.kill(process.pid, 'SIGKILL'))
app.task('aborted', () => process.kill(process.pid, 'SIGABRT'))
app.task('segfault', () => process.kill(process.pid, 'SIGSEGV'))
/** Past what catches process.exit(). */
app.task('gone', () => (process as unknown as { reallyExit(code: number): void }).reallyExit(3))
app.task('exit', () => process.exit(3))
`

const deadly = ['killed', 'aborted', 'segfault', 'gone']

test('fault 16: tasks that kill their process are parked with their reason, and every other one succeeds', async () => {
  const [goodCount, badCount] = isLong ? [20_000, 200] : [300, 4]
  const project = new Project({ tasks })
  const sent = await sendMixed(project, goodCount, badCount)
  const startedAt = performance.now()
  const workers = await supervise(project, sent.length)
  console.log(
    `${goodCount} good and ${badCount} deadly tasks: ${Math.round((performance.now() - startedAt) / 1000)} s, ${workers.length} workers`,
  )

  const { results } = await project.backend()
  const states = await results.getMany(sent.map(({ id }) => id))
  const wrong = sent.flatMap(({ id, name, value }, index) => {
    const found = states[index]
    const state = found?.kind === 'state' ? found.state : undefined
    const isRight = deadly.includes(name)
      ? state?.state === 'FAILURE' && /WorkerLostError/.test(state.value ?? '')
      : name === 'exit'
        ? state?.state === 'FAILURE' && /process\.exit\(3\) was called/.test(state.value ?? '')
        : state?.state === 'SUCCESS' && state.value === String(value)
    return isRight ? [] : [{ id, name, state }]
  })
  expect(wrong).toEqual([])
  const parked = await allParked(project)
  const bad = sent.filter(({ name }) => deadly.includes(name)).map(({ id }) => id)
  expect(parked.map(({ id }) => id).toSorted()).toEqual(bad.toSorted())
  expect(parked.filter(({ reason }) => !/quarantined/.test(reason))).toEqual([])
  expect(project.integrity()).toBe('ok')
}, 1_200_000)

interface Sent {
  readonly id: string
  readonly name: string
  readonly value: number
}

/** The bad ones spread evenly, and as many that call `process.exit()`, which is caught. */
async function sendMixed(project: Project, goodCount: number, badCount: number): Promise<Sent[]> {
  const every = Math.floor(goodCount / badCount)
  const wanted: { name: string; value: number }[] = []
  for (let n = 0; n < goodCount; n++) {
    wanted.push({ name: n % 50 === 0 ? 'slow' : 'good', value: n })
    if (n % every !== every >> 1) continue
    const bad = Math.floor(n / every)
    wanted.push({ name: deadly[bad % deadly.length] ?? '', value: n })
    if (bad % 4 === 0) wanted.push({ name: 'exit', value: n })
  }
  const sent: Sent[] = []
  for (let at = 0; at < wanted.length; at += 1000) {
    const part = wanted.slice(at, at + 1000)
    const results = await Promise.all(part.map(({ name, value }) => project.app.sendTask(name, [value])))
    sent.push(...part.map((each, index) => ({ ...each, id: results[index]?.id ?? '' })))
  }
  return sent
}

/** Keeps one worker running, as a service manager would, until nothing is left in the queue. */
async function supervise(project: Project, count: number): Promise<Child[]> {
  const workers: Child[] = []
  const queue = project.app.queue('celery')
  const done = until(
    `the end of ${count} tasks`,
    async () => {
      const { ready, delayed = NaN, unsettled = NaN } = await queue.stats()
      return ready + delayed + unsettled === 0
    },
    { timeoutMs: 1_100_000, everyMs: 50, last: () => workers.at(-1)?.output.slice(-5000) ?? '' },
  ).finally(() => (isOver = true))
  let isOver = false
  while (!isOver) {
    const worker = project.start(['-A', 'tasks.ts', 'worker', '-l', 'warning', '-c', '4'])
    workers.push(worker)
    await Promise.race([worker.ended, done])
  }
  await done
  return workers
}

async function allParked(project: Project): Promise<ParkedMessage[]> {
  const { broker } = await project.backend()
  const parked: ParkedMessage[] = []
  let cursor: string | undefined
  do {
    const page = await broker.parked({ cursor, limit: 100 })
    parked.push(...page.items)
    cursor = page.cursor
  } while (cursor !== undefined)
  return parked
}
