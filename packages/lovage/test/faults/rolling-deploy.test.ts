/** Fault 21: old and new code side by side. Messages of each past format are run; what does not fit fails, in words. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { WireMessage } from '../../src/core/wire.ts'
import { Project } from './support/project.ts'

interface Golden {
  readonly what: string
  readonly message: WireMessage
  readonly value: unknown
}

/** One file for each release that changed what is sent; never edited. */
const formats = ['2026-11.json']

const code = (schema: string): string => `import { Lovage } from 'lovage'
import { z } from 'zod'
export const app = new Lovage('deploy')
app.task('resize', { args: z.tuple([${schema}]) }, (_task, image) => image)
app.task('golden', (task, ...args: unknown[]) => [args, task.retries])
`

const before = code('z.object({ path: z.string() })')
const after = code('z.object({ path: z.string(), width: z.number() })')

test.each(formats)(
  'fault 21: the messages of %s are run by the worker of today',
  async format => {
    const file = new URL(`../fixtures/messages/${format}`, import.meta.url)
    const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden[]
    const project = new Project({ tasks: before })
    const { broker } = await project.backend()
    const publications = golden.map(({ message }) => {
      return { id: String(message.headers['id']), queue: 'celery', message: { ...message, body: String(message.body) } }
    })
    expect(await broker.publish(publications)).toEqual(golden.map(() => ({ accepted: 'yes' })))
    await project.worker()
    for (const { what, message, value } of golden) {
      const { state, value: text } = await project.reaches(String(message.headers['id']), () => true)
      const end = await project.reaches(
        String(message.headers['id']),
        ({ state: at }) => at === 'SUCCESS' || at === 'FAILURE',
      )
      expect({ what, first: state, text, end: JSON.parse(end.value ?? 'null') as unknown }).toMatchObject({
        what,
        end: value,
      })
    }
  },
  30_000,
)

test('fault 21: what an older sender meant fails in words where the schema has changed, and both workers go on', async () => {
  const project = new Project({ tasks: before })
  project.write('new/tasks.ts', after)
  const old = [
    await project.app.sendTask('resize', [{ path: 'a.png' }]),
    await project.app.sendTask('resize', [{ path: 'b.png' }]),
  ]
  const next = await project.app.sendTask('resize', [{ path: 'c.png', width: 7 }])
  // the new one first, so that it is the one that meets them
  const newer = project.start(['-A', 'new/tasks.ts', 'worker', '-l', 'info'])
  await newer.line(/ ready\./)
  for (const { id } of old)
    expect((await project.reaches(id, 'FAILURE')).value).toMatch(/width.*expected number|expected number.*width/)
  expect(JSON.parse((await project.reaches(next.id, 'SUCCESS')).value ?? '')).toEqual({ path: 'c.png', width: 7 })
  const older = await project.worker()
  newer.kill('SIGTERM')
  await newer.ended
  // what a newer sender adds is no trouble to an older worker
  const later = await project.app.sendTask('resize', [{ path: 'd.png', width: 9 }])
  expect(JSON.parse((await project.reaches(later.id, 'SUCCESS')).value ?? '')).toEqual({ path: 'd.png' })
  expect(older.isAlive).toBe(true)
  expect(await newer.ended).toEqual({ code: 0, signal: null })
}, 60_000)
