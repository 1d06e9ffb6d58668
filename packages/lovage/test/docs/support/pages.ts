import { globSync, readFileSync } from 'node:fs'

/** The repository's folder. */
export const root: URL = new URL('../../../../../', import.meta.url)

/** A fenced block of a page. The words after its language say what the tests do with it. */
export interface CodeBlock {
  readonly language: string
  readonly words: readonly string[]
  readonly text: string
  /** Of its first line of code, counted from 1. */
  readonly line: number
}

export interface Page {
  /** From the repository's root: `docs/guide.md`. */
  readonly path: string
  readonly text: string
}

/** Every Markdown file of the repository that people read. */
export function readAllPages(): Page[] {
  const ignored = ['node_modules', 'publish', 'dist', '.git', '.run', '.next']
  const paths = globSync('**/*.md', { cwd: root, exclude: name => ignored.includes(name.split('/').at(-1) ?? '') })
  return paths.map(path => readPage(path.replaceAll('\\', '/'))).sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** Those for users. */
export function readUserPages(): Page[] {
  return readAllPages().filter(({ path }) => path === 'README.md' || /^docs\/[^/]+\.md$/.test(path))
}

export function readPage(path: string): Page {
  return { path, text: readFileSync(new URL(path, root), 'utf8') }
}

export function codeBlocks({ text }: Page): CodeBlock[] {
  return Array.from(text.matchAll(/^```(\w+)([^\n]*)\n([\s\S]*?)^```$/gm), match => {
    const [, language = '', words = '', code = ''] = match
    const line = text.slice(0, match.index).split('\n').length + 1
    return { language, words: words.split(' ').filter(word => word !== ''), text: code, line }
  })
}

/** The rows of the table below a heading, cell by cell, without its head. */
export function tableBelow({ path, text }: Page, heading: string): string[][] {
  const [, section] = text.split(`\n${heading}\n`)
  const lines = section?.split(/\n#{1,6} /)[0]?.split('\n') ?? []
  const rows = lines.filter(line => line.startsWith('|')).slice(2)
  if (rows.length === 0) throw new Error(`${path} has no table below "${heading}"`)
  return rows.map(row =>
    row
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map(cell => cell.trim()),
  )
}

/** The text between backquotes, else the text. */
export function unquoted(cell: string | undefined): string {
  return /^`(.*)`$/.exec(cell ?? '')?.[1] ?? cell ?? ''
}
