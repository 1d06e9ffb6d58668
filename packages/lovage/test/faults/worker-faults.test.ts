/** Faults of tasks and messages that a worker survives, each told truly. */
import { expect, test } from 'vitest'
import { Project } from './support/project.ts'
import { publishRaw } from './support/wire.ts'

test('a task whose end can never be written is parked with the reason, and the worker goes on', async () => {
  const project = new Project()
  const worker = await project.worker()
  // a priority that no broker has: what follows cannot be published, however often it is tried
  const linked = { task: 'tiny', args: [], kwargs: {}, options: { priority: 42 }, subtask_type: null, immutable: false }
  const embed = { callbacks: [linked], errbacks: [linked], chain: null, chord: null }
  const id = await publishRaw(project, { body: JSON.stringify([[1], {}, embed]) })
  expect((await project.reaches(id, 'FAILURE')).value).toMatch(/InvalidArgumentError.*priority.*42/)
  await worker.line(/parked: its end could not be recorded: .*42/)
  expect((await project.lovage('-A', 'tasks.ts', 'dead', 'list')).out).toMatch(/its end could not be recorded/)
  expect(await project.app.queue('celery').stats()).toMatchObject({ ready: 0, delayed: 0, unsettled: 0 })
  const { id: next } = await project.app.sendTask('tiny', [1])
  await project.reaches(next, 'SUCCESS')
}, 30_000)
