import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { addServerOnly, copyProject, type ProjectCopy } from '../fixtures/copy-project.ts'

// a process per case, on machines that do other things too
vi.setConfig({ testTimeout: 30_000 })

const program = fileURLToPath(new URL('../fixtures/programs/load-project.ts', import.meta.url))

interface Loaded {
  readonly exportName?: string
  readonly loaded?: string
  readonly isMainThread: boolean
  readonly name?: string
  readonly code?: string
  readonly message?: string
}

/** In a plain Node of its own: inside Vitest other loaders would resolve for us. */
function load(project: ProjectCopy, file = 'tasks.ts', where = 'main'): Loaded {
  const args = [program, project.root, join(project.root, file), where]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: project.root })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Loaded
}

describe.each(['main', 'thread'])('in the %s, Node alone loads', where => {
  test.each([
    ['alias', 'src/tasks.ts', 'orders in eu'],
    ['extensionless', 'tasks.ts', 'orders a b'],
    ['js-extension', 'tasks.ts', 'orders cache'],
    ['import-type', 'tasks.ts', 'Ada 3 EUR'],
    ['commonjs', 'tasks.ts', 'orders a/suffix'],
  ])('a project of shape %s', (shape, file, loaded) => {
    using project = copyProject(shape)
    expect(load(project, file, where)).toMatchObject({ exportName: 'app', loaded, isMainThread: where === 'main' })
  })

  test('server-only, installed or not', () => {
    using project = copyProject('server-only')
    expect(load(project, 'tasks.ts', where)).toMatchObject({ loaded: 'on the server' })
    addServerOnly(project)
    expect(load(project, 'tasks.ts', where)).toMatchObject({ loaded: 'on the server' })
  })
})

describe.each([
  { shape: 'tsx', place: 'mail.tsx:1', construct: 'JSX (.tsx)', loaded: '<p>Hello Ada</p>' },
  { shape: 'enum', place: 'order.ts:1', construct: 'enum', loaded: '7 paid' },
  { shape: 'decorators', place: 'orders.ts:9', construct: 'decorator', loaded: 'decorated' },
])('a project of shape $shape', ({ shape, place, construct, loaded }) => {
  test('loads when the project has tsx', () => {
    using project = copyProject(shape, ['tsx'])
    expect(load(project)).toMatchObject({ loaded })
    expect(load(project, 'tasks.ts', 'thread')).toMatchObject({ loaded, isMainThread: false })
  })

  test('is refused without tsx, naming file, line, construct and remedy', () => {
    using project = copyProject(shape)
    const { code, message } = load(project)
    expect(code).toBe('E_APP_LOAD')
    expect(message).toContain(`${join(project.root, place)} uses ${construct}`)
    expect(message).toContain('npm i -D tsx')
  })
})

describe('an import that leads nowhere', () => {
  test('names the alias and where it led', () => {
    using project = copyProject('alias')
    project.write('src/tasks.ts', `import { db } from '@/lib/dbx'\nexport const loaded = db\n`)
    const { code, message } = load(project, 'src/tasks.ts')
    expect(code).toBe('E_APP_LOAD')
    expect(message).toContain(`Cannot find '@/lib/dbx' imported by ${join(project.root, 'src/tasks.ts')}`)
    expect(message).toContain(`maps '@/*' to src/lib/dbx`)
  })

  test('names the nearest file', () => {
    using project = copyProject('extensionless')
    project.write('tasks.ts', `import { db } from './lib/bd.ts'\nexport const loaded = db\n`)
    expect(load(project).message).toContain(`Did you mean ${join(project.root, 'lib/db.ts')}?`)
  })

  test('says how to install a missing package, and that a missing alias is one', () => {
    using project = copyProject()
    project.write('tasks.ts', `import 'no-such-package'\n`)
    expect(load(project).message).toContain('npm i no-such-package')
    project.write('tasks.ts', `import '@/lib/db'\n`)
    expect(load(project).message).toContain('"paths"')
  })

  test('stays a missing module for code that expects one', () => {
    using project = copyProject('alias')
    project.write(
      'src/tasks.ts',
      [
        `import { Lovage } from 'lovage'`,
        `export const app = new Lovage('optional')`,
        `export const loaded = await import('@/not-there').catch(error => error.code)`,
      ].join('\n'),
    )
    expect(load(project, 'src/tasks.ts')).toMatchObject({ loaded: 'ERR_MODULE_NOT_FOUND' })
  })
})

describe('a file that does not load', () => {
  test('shows what it threw, with the frames of the project only', () => {
    using project = copyProject()
    project.write('tasks.ts', `connect()\nfunction connect() {\n  throw new TypeError('no DATABASE_URL')\n}\n`)
    const { message } = load(project)
    expect(message).toContain('threw while it was loaded. TypeError: no DATABASE_URL')
    expect(message).toContain(`at connect (${join(project.root, 'tasks.ts')}:3`)
    expect(message).not.toContain('node:internal')
  })

  test('shows file and line of a syntax error', () => {
    using project = copyProject()
    project.write('tasks.ts', `const a = 1\nexport const = 2\n`)
    expect(load(project).message).toContain(`${join(project.root, 'tasks.ts')}:2 has a syntax error`)
  })

  test('says which type was imported like a value', () => {
    using project = copyProject('import-type')
    project.write(
      'tasks.ts',
      `import { Order } from './types'\n// an Order comes here\nexport const loaded: Order = 1\n`,
    )
    expect(load(project).message).toContain(`import type { Order } from './types'`)
  })
})

describe('the Lovage among the exports', () => {
  test.each([
    ['is found under any name', 'export const queue = new Lovage("a")', { exportName: 'queue' }],
    [
      'is the one called app among several',
      'export const a = new Lovage("a")\nexport const app = new Lovage("b")',
      { exportName: 'app' },
    ],
    [
      'counts once when exported twice',
      'const a = new Lovage("a")\nexport { a as first, a as default }',
      { exportName: 'first' },
    ],
  ])('%s', (_, source, expected) => {
    using project = copyProject()
    project.write('tasks.ts', `import { Lovage } from 'lovage'\n${source}\n`)
    expect(load(project)).toMatchObject(expected)
  })

  test('has to be named when there are several', () => {
    using project = copyProject()
    project.write(
      'tasks.ts',
      `import { Lovage } from 'lovage'\nexport const a = new Lovage("a")\nexport const b = new Lovage("b")\n`,
    )
    expect(load(project).message).toContain('-A tasks.ts:a or -A tasks.ts:b')
  })

  test('has to be there', () => {
    using project = copyProject()
    project.write('tasks.ts', `export const add = 1\n`)
    expect(load(project).message).toContain('exports no Lovage (its exports: add)')
  })
})
