/** Whoever looks from outside sees a task go forward only. */
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Child } from './support/child.ts'
import { Project } from './support/project.ts'
import type { Seen } from './support/reader.ts'
import { isLong } from './support/until.ts'

const reader = fileURLToPath(new URL('./support/reader.ts', import.meta.url))

test('two processes that look every 5 ms during ten runs see no step backward', async () => {
  const project = new Project()
  const ids = Array.from({ length: 10 }, () => randomUUID())
  await project.worker()
  await project.backend()
  const readers = [1, 2].map(() => new Child([reader, project.database, ...ids], { cwd: project.root }))
  for (const each of readers) await each.line(/^reading$/)
  for (const [run, id] of ids.entries()) {
    // every third run fails twice and is retried, so that attempts are seen too
    if (run % 3 === 2) await project.app.sendTask('flaky', [], {}, { taskId: id })
    else await project.app.sendTask('steps', [10, isLong ? 400 : 60], {}, { taskId: id })
    await project.reaches(id, 'SUCCESS')
  }
  for (const each of readers) {
    const summary = await each.line(/^\{/)
    const seen = JSON.parse(summary.text) as Seen
    console.log(`a reader looked ${seen.looks} times, saw ${seen.changes} changes: ${JSON.stringify(seen.states)}`)
    expect(seen.backward).toEqual([])
    expect(seen.changes).toBeGreaterThan(20)
    expect(Object.keys(seen.states)).toEqual(expect.arrayContaining(['PROGRESS', 'RETRY', 'SUCCESS']))
  }
}, 120_000)
