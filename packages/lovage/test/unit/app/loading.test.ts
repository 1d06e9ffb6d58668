import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Transformer } from '../../../src/app/loading/transform.ts'
import { candidatesFor } from '../../../src/app/loading/resolve.ts'
import { ProjectConfigs, readProjectConfig, stripJsonComments } from '../../../src/app/loading/tsconfig.ts'
import { dropUnusedImports } from '../../../src/app/loading/unused-imports.ts'
import { copyProject } from '../../fixtures/copy-project.ts'

describe('tsconfig', () => {
  test('comments and trailing commas go, strings stay', () => {
    const text = '\uFEFF{ "a": "// no, } comment", /* b */ "c": [1, 2, ], // d\n "e": {"f": "x\\"//",}, }'
    expect(JSON.parse(stripJsonComments(text))).toEqual({ a: '// no, } comment', c: [1, 2], e: { f: 'x"//' } })
  })

  test('paths are those of the nearest file that has some, and stand where they are written', () => {
    using project = copyProject()
    project.write(
      'base/tsconfig.json',
      '{"compilerOptions": {"baseUrl": "./src", "paths": {"~/*": ["*"]}, "jsx": "react"}}',
    )
    project.write('web/tsconfig.json', '{"extends": ["../base/tsconfig"], "compilerOptions": {"strict": true}}')
    const config = readProjectConfig(join(project.root, 'web/tsconfig.json'))
    expect(config.paths).toEqual([{ pattern: '~/*', targets: [join(project.root, 'base/src/*')] }])
    expect(config.baseUrl).toBe(join(project.root, 'base/src'))
    expect(config.compilerOptions).toMatchObject({ strict: true, jsx: 'react' })
  })

  test('a package is extended, ${configDir} is the folder, a circle ends', () => {
    using project = copyProject()
    project.write('node_modules/@acme/tsconfig/package.json', '{"name": "@acme/tsconfig"}')
    project.write('node_modules/@acme/tsconfig/node.json', '{"compilerOptions": {"jsx": "react-jsx"}}')
    project.write(
      'tsconfig.json',
      '{"extends": ["@acme/tsconfig/node.json", "./tsconfig.json"], "compilerOptions": {"paths": {"@/*": ["${configDir}/lib/*"]}}}',
    )
    const { paths, compilerOptions } = readProjectConfig(join(project.root, 'tsconfig.json'))
    expect(paths).toEqual([{ pattern: '@/*', targets: [join(project.root, 'lib/*')] }])
    expect(compilerOptions).toMatchObject({ jsx: 'react-jsx' })
  })

  test("a root file that only refers to others, as Vite's, has their paths", () => {
    using project = copyProject()
    project.write('tsconfig.json', '{"files": [], "references": [{"path": "./tsconfig.app.json"}]}')
    project.write('tsconfig.app.json', '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}')
    expect(new ProjectConfigs().near(join(project.root, 'src/deep'))?.paths).toEqual([
      { pattern: '@/*', targets: [join(project.root, 'src/*')] },
    ])
  })

  test('the longest pattern wins, an exact one before all', () => {
    using project = copyProject()
    project.write(
      'tsconfig.json',
      '{"compilerOptions": {"paths": {"@/*": ["a/*"], "@/db/*": ["b/*"], "@/db/main": ["c"]}}}',
    )
    const first = (specifier: string): string | undefined =>
      candidatesFor(specifier, join(project.root, 'x.ts'), new ProjectConfigs()).specifiers[0]?.replace(
        `file://${project.root}`,
        '',
      )
    expect([first('@/x'), first('@/db/x'), first('@/db/main')]).toEqual(['/a/x', '/b/x', '/c'])
  })
})

describe('imports that only types use', () => {
  test.each([
    ['import { A, b } from "x"\nb()', 'import {    b } from "x"\nb()'],
    ['import { A } from "x"\n', ' '.repeat(21) + '\n'],
    ['import D, { A as B, c } from "x"\nD(c)', 'import D, {         c } from "x"\nD(c)'],
    ['import * as ns from "x"\n1', ' '.repeat(23) + '\n1'],
    ['import "x"\nimport A from "y"\n', 'import "x"\n' + ' '.repeat(17) + '\n'],
    ['// head\n\nimport {\n  A,\n  b,\n} from "x"\nb', '// head\n\nimport {\n    \n  b,\n} from "x"\nb'],
  ])('%j leaves %j', (code, expected) => {
    expect(dropUnusedImports(code)).toBe(expected)
  })

  test.each([
    ['a name that occurs elsewhere, were it in a comment', 'import { A } from "x"\n// A'],
    ['an import for its effect', 'import "x"\n'],
    ['what only looks like an import, below code', 'const code = `\nimport { A } from "x"\n`'],
    ['dynamic imports', 'const { a } = await import("x")'],
    ['re-exports', 'export { A } from "x"'],
  ])('%s stays', (_, code) => {
    expect(dropUnusedImports(code)).toBe(code)
  })
})

describe('what Node does not run by itself', () => {
  test.each([
    ['enum A { B }', 'enum'],
    ['class A { constructor(private b: number) {} }', 'parameter property'],
    ['namespace A { export const b = 1 }', 'namespace declaration'],
    ['@entity class A {}', 'decorator'],
    ['class A {\n  @column() b = 1\n}', 'decorator'],
  ])('%s is refused as %s', (code, construct) => {
    using project = copyProject()
    const file = project.write('a.ts', code)
    expect(() => new Transformer(project.root).transform(file, false, undefined)).toThrow(`uses ${construct}`)
  })

  test.each([
    'const mail = "ada@example.com"',
    '/** @param a */ const a = 1',
    'const t = `\n @x`',
    "// it's @b\nconst a = 1",
  ])('%s is no decorator', code => {
    using project = copyProject()
    const file = project.write('a.ts', code)
    expect(new Transformer(project.root).transform(file, false, undefined)).toEqual({ format: 'module', source: code })
  })
})
