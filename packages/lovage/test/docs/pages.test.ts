import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../src/app/config.ts'
import { settingNames, settingRules, variableName } from '../../src/app/settings.ts'
import { exitCodes } from '../../src/cli/exit-codes.ts'
import { createProgram } from '../../src/cli/program.ts'
import { isBuiltInState, isReadyState, stateRank } from '../../src/core/states.ts'
import type { SettingName } from '../../src/app/settings.ts'
import { commandsByName, regenerate, wrongUse } from './support/cli-page.ts'
import { codeBlocks, readAllPages, readPage, readUserPages, root, tableBelow, unquoted } from './support/pages.ts'

describe('docs/configuration.md', () => {
  const rows = tableBelow(readPage('docs/configuration.md'), '## Settings')

  it('has a row for every setting, with its variables', () => {
    const documented = rows.map(([option, variable, celery]) => [option, variable, celery].map(unquoted))
    const real = settingNames.map(name => [name, variableName(name), settingRules[name].celery ?? '–'])
    expect(documented).toEqual(real)
  })

  const defaults = rows.map(([option, , , shown]) => ({ name: unquoted(option) as SettingName, shown }))

  it.each(defaults)('tells the default of $name', ({ name, shown }) => {
    const { value } = resolveConfig({ env: {} })[name]
    const isPlain = name !== 'resultBackend' && (typeof value === 'string' || typeof value === 'number')
    expect(isPlain ? shown?.startsWith(`\`${value}\``) : !shown?.startsWith('`')).toBe(true)
  })
})

describe('docs/states.md', () => {
  const rows = tableBelow(readPage('docs/states.md'), '## The states')
  const states = rows.map(([state]) => unquoted(state)).filter(state => /^[A-Z]+$/.test(state))

  it('lists every state, each at its place in the order', () => {
    expect(states.filter(state => !isBuiltInState(state))).toEqual([])
    expect(states.length).toBe(8)
    expect(states.map(stateRank)).toEqual(states.map(stateRank).sort((a, b) => a - b))
  })

  it('says of each whether it is final', () => {
    const said = rows.map(([state, isFinal]) => [unquoted(state), isFinal])
    expect(said).toEqual(said.map(([state]) => [state, isReadyState(state ?? '') ? 'yes' : 'no']))
  })
})

describe('docs/cli.md', () => {
  const page = readPage('docs/cli.md')

  // `npx vitest run --project docs -u` writes it anew
  it('is what --help says', async () => {
    await expect(regenerate(page.text, createProgram())).toMatchFileSnapshot(new URL(page.path, root).pathname)
  })

  it('has a part for every command', () => {
    const parts = Array.from(page.text.matchAll(/<!-- (lovage[ \w]*) -->/g), ([, name]) => name)
    expect(new Set(parts)).toEqual(new Set(commandsByName(createProgram()).keys()))
  })

  it('lists the exit codes', () => {
    const documented = tableBelow(page, '## Exit codes').map(([code]) => Number(unquoted(code)))
    expect(documented).toEqual(Object.values(exitCodes))
  })
})

describe('a command line in the documentation', () => {
  const lines = readUserPages().flatMap(page =>
    codeBlocks(page)
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) =>
        text.split('\n').flatMap(line => /(?:^|\| |&& )(?:npx )?(lovage .*)$/.exec(line)?.[1] ?? []),
      )
      .map(line => ({ page: page.path, line })),
  )

  it.each(lines)('has only verbs and flags that exist: $line', ({ line }) => {
    expect(wrongUse(line, createProgram())).toBeUndefined()
  })

  it('is refused when a verb or a flag does not exist', () => {
    expect(wrongUse('lovage wroker tasks.ts', createProgram())).toBe('no command')
    expect(wrongUse(`lovage call add '[1, -x]' --folow`, createProgram())).toBe('call has no --folow')
  })
})

describe('the links between pages', () => {
  const links = readAllPages().flatMap(page =>
    Array.from(
      page.text.replaceAll(/```[\s\S]*?^```$/gm, '').matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g),
      ([, to = '']) => ({
        from: page.path,
        to,
      }),
    ),
  )

  it('lead to files and headings that exist', () => {
    expect(links.filter(({ from, to }) => !leadsSomewhere(from, to))).toEqual([])
  })

  it('are found at all, and missing ones noticed', () => {
    expect(links.length).toBeGreaterThan(10)
    expect(leadsSomewhere('README.md', 'docs/nothing.md')).toBe(false)
    expect(leadsSomewhere('README.md', 'docs/errors.md#e_nothing')).toBe(false)
  })
})

function leadsSomewhere(from: string, to: string): boolean {
  const [path = '', anchor] = to.split('#')
  const target = path === '' ? new URL(from, root) : new URL(path, new URL(from, root))
  if (!existsSync(target)) return false
  if (anchor === undefined || !target.pathname.endsWith('.md')) return true
  const { text } = readPage(target.href.slice(root.href.length))
  return Array.from(text.matchAll(/^#{1,6} (.*)$/gm), ([, heading = '']) => slug(heading)).includes(anchor)
}

/** As GitHub makes them. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')
}
