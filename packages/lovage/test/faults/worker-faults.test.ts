/** Faults of tasks and messages that a worker survives, each told truly. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import type { StoredState } from '../../src/core/record.ts'
import { isReadyState } from '../../src/core/states.ts'
import { Project } from './support/project.ts'
import { until } from './support/until.ts'
import { publishRaw } from './support/wire.ts'

// its next attempt has a priority that no broker here takes: it cannot be published, however often it is tried
const impossible = { task: 'again', body: '[[], {}, {}]', priority: 42 }
const again = `import { Lovage } from 'lovage'
export const app = new Lovage('again')
app.task('again', task => {
  throw task.retry({ countdownMs: 0 })
})
app.task('tiny', (_task, n: number) => n)
`

test.each([
  ['', {}],
  [', its results in another file', { LOVAGE_RESULT_BACKEND: 'sqlite:results.db' }],
])(
  'a task whose end can never be written is parked with the reason, and the worker goes on%s',
  async (_where, env) => {
    const project = new Project({ tasks: again })
    const worker = await project.worker({ env })
    const id = await publishRaw(project, impossible)
    await worker.line(/parked: its end could not be recorded: .*42/)
    expect((await project.lovage('-A', 'tasks.ts', 'dead', 'list')).out).toMatch(/its end could not be recorded/)
    expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 0, delayed: 0, unsettled: 0 })
    const file = Object.keys(env).length > 0 ? join(project.root, 'results.db') : project.database
    const db = new DatabaseSync(file)
    const row = db.prepare('SELECT state, value FROM tasks WHERE id = ?').get(id)
    expect(row).toMatchObject({ state: 'FAILURE', value: expect.stringMatching(/InvalidArgumentError.*priority.*42/) })
    db.close()
    const { id: next } = await project.app.sendTask('tiny', [1])
    await worker.line(new RegExp(`${next}.*succeeded`))
  },
  30_000,
)

const racing = `import { Lovage } from 'lovage'
export const app = new Lovage('races')
app.task('brief', async (task, ms: number) => {
  await task.sleep(ms)
  return ms
})
app.task('flood', task => {
  const from = performance.now()
  for (let n = 0; n < 1_000_000; n++) task.progress(n, 1_000_000)
  return Math.round(performance.now() - from)
})
`

test('fault 46: of a revoke that races the end, exactly one is told, and it stays', async () => {
  const project = new Project({ tasks: racing })
  await project.worker({ args: ['-c', '8'] })
  const { results } = await project.backend()
  const sent = await Promise.all(Array.from({ length: 60 }, (_, n) => project.app.sendTask('brief', [20 + (n % 7)])))
  const finals = new Map<string, string[]>()
  const note = (state: StoredState): void => {
    if (isReadyState(state.state)) finals.set(state.id, [...(finals.get(state.id) ?? []), JSON.stringify(state)])
  }
  const end = await results.watch(
    sent.map(({ id }) => id),
    { onState: note },
  )
  // each when it is seen to run or to have ended: about when it ends
  await Promise.all(
    sent.map(async ({ id }, n) => {
      await project.reaches(id, ({ state }) => state !== 'PENDING')
      await project.app.result(id).revoke({ terminate: n % 2 === 0 })
    }),
  )
  for (const { id } of sent) await project.reaches(id, ({ state }) => isReadyState(state))
  const after = await project.app.sendTask('brief', [1])
  await project.reaches(after.id, 'SUCCESS')
  end()
  const states = await results.getMany(sent.map(({ id }) => id))
  const counts = { SUCCESS: 0, REVOKED: 0 }
  for (const found of states) {
    const state = found.kind === 'state' ? found.state : undefined
    expect(finals.get(state?.id ?? '')).toEqual([JSON.stringify(state)])
    counts[state?.state as keyof typeof counts]++
  }
  console.log(`revokes that race ends: ${JSON.stringify(counts)}`)
  expect(counts.SUCCESS + counts.REVOKED).toBe(60)
  expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 0, delayed: 0, unsettled: 0 })
}, 60_000)

test('fault 48: a million reports of progress are a few writes, and cost the task next to nothing', async () => {
  const project = new Project({ tasks: racing })
  await project.worker()
  const { results } = await project.backend()
  const seen: StoredState[] = []
  const { id } = await project.app.sendTask('flood')
  const beganAt = performance.now()
  const end = await results.watch([id], { onState: state => void seen.push(state) })
  const { value } = await project.reaches(id, 'SUCCESS')
  end()
  const seconds = (performance.now() - beganAt) / 1000
  const shown = seen.filter(({ state }) => state === 'PROGRESS').length
  console.log(`1,000,000 reports in ${value} ms, ${shown} written`)
  expect(shown).toBeLessThanOrEqual(4 * Math.ceil(seconds) + 2)
}, 60_000)

test('fault 37: a log that a reader holds open grows, stops no writer, and is begun anew when the reader is gone', async () => {
  const project = new Project({ tasks: racing })
  const { broker } = await project.backend()
  const publish = async (count: number): Promise<void> => {
    const body = 'x'.repeat(50_000)
    for (let n = 0; n < count; n++) {
      const message = { properties: { contentType: 'text/plain', contentEncoding: 'utf-8' }, headers: {}, body }
      expect(await broker.publish([{ id: `big-${n}`, queue: 'elsewhere', message }])).toEqual([{ accepted: 'yes' }])
    }
  }
  const wal = (): number => statSync(`${project.database}-wal`).size
  /** Counts how often it was begun anew: in its header. */
  const round = (): number => readFileSync(`${project.database}-wal`).readUInt32BE(12)
  const reader = new DatabaseSync(project.database)
  reader.exec('BEGIN; SELECT count(*) FROM messages')
  const first = round()
  await publish(600)
  expect(wal()).toBeGreaterThan(25_000_000)
  expect(round()).toBe(first)
  reader.exec('COMMIT')
  reader.close()
  await until('the log begun anew', async () => {
    await publish(1)
    return round() > first
  })
  const grown = wal()
  await publish(200)
  expect(wal()).toBe(grown)
  expect(project.integrity()).toBe('ok')
}, 60_000)
