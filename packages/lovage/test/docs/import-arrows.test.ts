import { describe, expect, it } from 'vitest'
import { violations } from './support/import-arrows.ts'
import { readSources } from './support/package-files.ts'

describe('the import arrows of src', () => {
  it('point down only and close no cycle', () => {
    expect(violations(readSources())).toEqual([])
  })
})

describe('the check itself', () => {
  it('accepts arrows that point down', () => {
    const files = {
      'core/states.ts': '',
      'broker.ts': `import type { State } from './core/states.ts'`,
      'pools/pool.ts': `import type { State } from '../core/states.ts'`,
      'pools/threads.ts': `import { type Pool } from './pool.ts'`,
      'drivers/memory/broker.ts': `import type { Broker } from '../../broker.ts'`,
      'drivers/registry.ts': `const open = async () => { return await import('./memory/broker.ts') }`,
      'app/app.ts': `import { resolve } from '../drivers/registry.ts'`,
      'worker/worker.ts': `import {\n  App,\n  other,\n} from '../app/app.ts'\nexport { Pool } from '../pools/pool.ts'`,
    }
    expect(violations(files)).toEqual([])
  })

  it.each([
    ['core/a.ts', 'worker/b.ts', 'upwards'],
    ['app/a.ts', 'pools/b.ts', 'sideways'],
    ['app/a.ts', 'drivers/memory/b.ts', 'from the app to a driver past the registry'],
    ['drivers/memory/a.ts', 'drivers/sqlite/b.ts', 'from a driver to another one'],
    ['drivers/memory/a.ts', 'app/b.ts', 'from a driver to the app'],
    ['drivers/memory/a.ts', 'drivers/registry.ts', 'from a driver to the registry'],
    ['drivers/memory/a.ts', 'pools/b.ts', 'from a driver to the pools'],
    ['drivers/memory/a.ts', 'worker/b.ts', 'from a driver to the worker'],
    ['cli/a.ts', 'testing/b.ts', 'to testing'],
  ])('refuses an arrow %s → %s (%s)', (from, to) => {
    const specifier = `${'../'.repeat(from.split('/').length - 1)}${to}`
    expect(violations({ [from]: `import { b } from '${specifier}'`, [to]: '' })).toEqual([
      `${from} must not import ${to}`,
    ])
  })

  it('counts type-only and lazy imports as arrows', () => {
    const files = {
      'core/a.ts': `import type { B } from '../worker/b.ts'\nconst load = () => import('../worker/b.ts')`,
      'worker/b.ts': '',
    }
    expect(violations(files)).toEqual([
      'core/a.ts must not import worker/b.ts',
      'core/a.ts must not import worker/b.ts',
    ])
  })

  it('refuses a cycle of value imports, and only of those', () => {
    const cycle = (keyword: string) => ({
      'core/a.ts': `import { b } from './b.ts'`,
      'core/b.ts': `export * from './c.ts'`,
      'core/c.ts': `${keyword} { a } from './a.ts'`,
    })
    expect(violations(cycle('import'))).toEqual(['cycle: core/a.ts → core/b.ts → core/c.ts → core/a.ts'])
    expect(violations(cycle('import type'))).toEqual([])
  })

  it('refuses a file that belongs to no layer', () => {
    expect(violations({ 'misc/a.ts': '' })).toEqual([
      'misc/a.ts belongs to no layer: give its folder one in import-arrows.ts',
    ])
  })

  it('reads no imports in comments', () => {
    const text = `/**\n * import { b } from '../worker/b.ts'\n */\n// import '../worker/b.ts'`
    expect(violations({ 'core/a.ts': text, 'worker/b.ts': '' })).toEqual([])
  })
})
