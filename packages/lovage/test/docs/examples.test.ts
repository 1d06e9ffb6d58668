import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { createProjects, removeProjects, run, startWorker, stop } from './support/examples.ts'
import { codeBlocks, readPage, readUserPages, root } from './support/pages.ts'

const { folder, projects } = createProjects(readUserPages())
const runnable = projects.filter(({ programs }) => programs.length > 0)

afterAll(() => removeProjects(folder))

describe.concurrent('the TypeScript of the documentation', () => {
  it('compiles against the package', { timeout: 60_000 }, async () => {
    const compiler = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root))
    const { stdout } = await run([compiler, '-p', folder, '--pretty', 'false'], folder)
    expect(stdout).toBe('')
  })

  it.each(runnable)('of $page runs and prints what it says', { timeout: 60_000 }, async project => {
    const worker = project.workerFile === undefined ? undefined : await startWorker(project)
    try {
      for (const { file, prints } of project.programs) {
        const { code, stdout, stderr } = await run([join(project.folder, file)], project.folder)
        const printed = prints.length === 0 ? prints : stdout.trimEnd().split('\n')
        const trouble = code === 0 ? '' : stderr
        expect({ file, code, trouble, printed }).toEqual({ file, code: 0, trouble: '', printed: prints })
      }
    } finally {
      if (worker !== undefined) await stop(worker)
    }
  })
})

describe('the first example of the README', () => {
  it('has no more than 15 lines and calls with keywords', () => {
    const [tasks, send] = codeBlocks(readPage('README.md')).filter(({ language }) => language === 'ts')
    expect(tasks?.text.trimEnd().split('\n').length).toBeLessThanOrEqual(15)
    expect(send?.text).toContain("exportOrders.delay({ month: '2026-10' })")
  })
})
