/** What the compiler says and writes for users' files: its messages, and the declarations of a tasks file. */
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'lovage-types-'))

const tasks = `
import { Lovage, unchecked } from 'lovage'
import { z } from 'zod'
export const app = new Lovage('mysite')
export const add = app.task('core.tasks.add', (_task, x: number, y: number) => x + y)
export const resize = app.task('images.resize',
  { kwargs: z.object({ url: z.url(), width: z.number().optional() }), states: { ENCODING: unchecked<{ frame: number }>() } },
  async (_task, { url }) => url)
export const report = app.declareTask('reports.build', { kwargs: z.object({ year: z.number() }), result: z.object({ url: z.string() }) })
`

const mistakes = `
import { Lovage } from 'lovage'
import { z } from 'zod'
const app = new Lovage('mysite')
app.task('w', { queu: 'x' }, () => 1)
app.task('w', { args: z.tuple([z.string()]) }, (_t, x: number) => x)
app.task('w', { params: ['x'] }, (_t, x: number, y: number) => x + y)
app.task('w', task => task.updateState('ENCODING', {}))
app.task('w', task => task.updateState('SUCCESS', {}))
app.task('w', (x: number, y: number) => x + y)
const add = app.task('add', (_t, x: number) => x)
add.delay('x')
add.delay(1).id
add(1)
`

/** One message per line of the mistakes, in order. */
const messages: readonly RegExp[] = [
  /^mistakes\.ts\(5,.*Did you mean to write 'queue'\?/s,
  /^mistakes\.ts\(6,.*Type 'string' is not assignable to type 'number'/s,
  /^mistakes\.ts\(7,.*Source has 1 element\(s\) but target requires 2/s,
  /^mistakes\.ts\(8,.*"declare it in the task's options: \{ states: \{ ENCODING: … \} \}"/s,
  /^mistakes\.ts\(9,.*"SUCCESS is Lovage's to set"/s,
  /^mistakes\.ts\(10,.*'TaskContext<\{\}>' is not assignable to type 'number'/s,
  /^mistakes\.ts\(12,.*'string' is not assignable to parameter of type 'number'/s,
  /^mistakes\.ts\(13,.*Property 'id' does not exist on type 'Promise<AsyncResult<number, \{\}>>'/s,
  /^mistakes\.ts\(14,.*not callable/s,
]

let output = ''

beforeAll(() => {
  const compilerOptions = {
    noEmit: false,
    emitDeclarationOnly: true,
    declaration: true,
    outDir: 'out',
    rootDir: '/',
  }
  const config = { extends: join(root, 'tsconfig.base.json'), compilerOptions, files: ['tasks.ts', 'mistakes.ts'] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'tasks.ts'), tasks)
  writeFileSync(join(folder, 'mistakes.ts'), mistakes)
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  output = spawnSync(process.execPath, [tsc, '-p', '.', '--pretty', 'false'], { cwd: folder, encoding: 'utf8' }).stdout
}, 30_000)
afterAll(() => rmSync(folder, { recursive: true }))

describe('the compiler', () => {
  it('says what is wrong, once per mistake', () => {
    // the package's own sources are checked elsewhere
    const errors = output.split(/\n(?=\S)/).filter(error => /^(mistakes|tasks)\.ts/.test(error))
    expect(errors).toEqual(messages.map(message => expect.stringMatching(message)))
  })

  it('writes declarations of a tasks file that name no schema library', () => {
    const [path = ''] = globSync('out/**/tasks.d.ts', { cwd: folder })
    const declarations = readFileSync(join(folder, path), 'utf8')
    expect(declarations).toContain('Task<"core.tasks.add", (x: number, y: number) => number, {}>')
    expect(declarations).toContain('"images.resize"')
    expect(declarations).toContain('frame: number')
    expect(declarations).not.toMatch(/zod|Zod|Schema/)
  })
})
