import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readAllPages, root } from './support/pages.ts'

/** A block that is a file of an example, which runs in other tests: `<!-- examples/… -->` stands above it. */
const quoted = /<!-- (examples\/\S+) -->\n```(\w+)\n([\s\S]*?)```/g

describe('a file of an example in the documentation', () => {
  // `npx vitest run --project docs -u` writes it anew
  const pages = readAllPages().filter(({ text }) => text.includes('<!-- examples/'))

  it.each(pages)('is what stands there, in $path', async ({ path, text }) => {
    const current = text.replaceAll(quoted, (_, file: string, language: string) => {
      return `<!-- ${file} -->\n\`\`\`${language}\n${readFileSync(new URL(file, root), 'utf8')}\`\`\``
    })
    await expect(current).toMatchFileSnapshot(new URL(path, root).pathname)
  })

  it('is found at all', () => {
    expect(pages.flatMap(({ text }) => [...text.matchAll(quoted)]).length).toBeGreaterThanOrEqual(7)
  })
})

describe('the examples for frameworks', () => {
  it.each([
    ['express', ['server.ts']],
    ['next', ['lovage.ts', 'app/actions.ts', 'app/layout.tsx', 'app/page.tsx', 'app/tasks/[[...path]]/route.ts']],
  ])('of %s have 40 lines or fewer beside their configuration', (name, files) => {
    const lines = files.flatMap(file =>
      readFileSync(new URL(`examples/${name}/${file}`, root), 'utf8')
        .trimEnd()
        .split('\n'),
    )
    expect(lines.length).toBeLessThanOrEqual(40)
  })
})
