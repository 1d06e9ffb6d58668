import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findApp, noAppFound } from '../../../src/cli/find-app.ts'
import { copyProject } from '../../fixtures/copy-project.ts'

describe('-A', () => {
  test.each([
    ['tasks.ts', 'tasks.ts', undefined],
    ['./src/jobs', 'src/jobs.mts', undefined],
    ['src/jobs.mjs', 'src/jobs.mts', undefined],
    ['./tasks.ts:queue', 'tasks.ts', 'queue'],
    ['tasks:queue', 'tasks.ts', 'queue'],
    ['more', 'more/index.ts', undefined],
  ])('%s is %s', (given, file, exportName) => {
    using project = copyProject()
    for (const path of ['tasks.ts', 'src/jobs.mts', 'more/index.ts', 'package.json']) project.write(path, '{}')
    expect(findApp(given, project.root)).toEqual({
      file: join(project.root, file),
      exportName,
      projectRoot: project.root,
    })
  })

  test('names the nearest file when there is none', () => {
    using project = copyProject()
    project.write('tasks.ts', '')
    expect(() => findApp('taks.ts', project.root)).toThrow(
      /taks\.ts does not exist \(-A taks\.ts\)\. Did you mean .*tasks\.ts\?/,
    )
  })
})

describe('without -A', () => {
  test.each(['tasks.ts', 'tasks.mjs', 'src/tasks.ts', 'src/tasks.tsx'])('%s is found', path => {
    using project = copyProject()
    project.write('package.json', '{}')
    const file = project.write(path, '')
    expect(findApp(undefined, project.root)?.file).toBe(file)
  })

  test('what package.json says goes before the usual names, also from a folder below', () => {
    using project = copyProject()
    project.write('package.json', '{"lovage": {"app": "lib/queue.ts:jobs"}}')
    project.write('tasks.ts', '')
    const file = project.write('lib/queue.ts', '')
    expect(findApp(undefined, join(project.root, 'lib'))).toMatchObject({ file, exportName: 'jobs' })
  })

  test('package.json that names a missing file is an error that says so', () => {
    using project = copyProject()
    project.write('package.json', '{"lovage": {"app": "lib/queue.ts"}}')
    expect(() => findApp(undefined, project.root)).toThrow(
      /lib\/queue\.ts does not exist \("lovage": \{"app": "lib\/queue\.ts"\} in .*package\.json\)/,
    )
  })

  test('package.json with another shape is an error that shows the shape', () => {
    using project = copyProject()
    project.write('package.json', '{"lovage": "tasks.ts"}')
    expect(() => findApp(undefined, project.root)).toThrow('expected {"app": "src/tasks.ts"}')
  })

  test('nothing there is undefined; the error lists what was looked for and where', () => {
    using project = copyProject()
    expect(findApp(undefined, project.root)).toBeUndefined()
    expect(noAppFound(project.root).message).toMatch(
      /package\.json, tasks\.ts and src\/tasks\.ts .* in .*lovage-project-/,
    )
  })
})
