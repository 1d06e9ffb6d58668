/** Every seeded bug still fits the sources: each edit replaces text that is there exactly once. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { breakNames, breaks, describeBreaks } from '../src/breaks/all.ts'
import { applyEdits } from '../src/breaks/build.ts'

const sources = join(import.meta.dirname, '../../packages/lovage/src')

test.each(breakNames)('%s applies', name => {
  const edits = Object.entries(breaks[name]?.edits ?? {})
  expect(edits.length).toBeGreaterThan(0)
  for (const [file, changes] of edits) {
    const text = readFileSync(join(sources, file), 'utf8')
    expect(applyEdits(text, changes, file)).not.toBe(text)
  }
})

test('a text that is not there, or there twice, is refused', () => {
  expect(() => applyEdits('a b', [{ from: 'c', to: 'd' }], 'x.ts')).toThrow('x.ts has 0 times')
  expect(() => applyEdits('a a', [{ from: 'a', to: 'd' }], 'x.ts')).toThrow('x.ts has 2 times')
})

test('--help names each of them, with what it leads to', () => {
  for (const name of breakNames) expect(describeBreaks()).toContain(`  ${name}`)
})

test('docs/chaos.md says of each of them as what it is found', () => {
  const rows = readFileSync(join(import.meta.dirname, '../../docs/chaos.md'), 'utf8').split('\n')
  for (const name of breakNames) {
    const row = rows.find(line => line.startsWith('| `') && line.includes(`\`${name}\``)) ?? ''
    const isSaid = breaks[name]?.foundAs.some(rule => row.includes(rule) || (rule === 'trouble' && row !== ''))
    expect(isSaid, `${name}: ${row}`).toBe(true)
  }
})
