import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { readPage, tableBelow, unquoted } from './support/pages.ts'

const folder = fileURLToPath(new URL('../faults', import.meta.url))

/** `fault 12: …`, `faults 30, 31: …` */
function testedFaults(): Set<number> {
  const texts = globSync('*.test.ts', { cwd: folder }).map(file => readFileSync(`${folder}/${file}`, 'utf8'))
  const names = texts.flatMap(text =>
    Array.from(text.matchAll(/["'`]faults? ([\d, ]+):/g), ([, numbers = '']) => numbers),
  )
  return new Set(names.flatMap(numbers => numbers.split(', ').map(Number)))
}

it('docs/faults.md has every fault that is tested, and none that is not', () => {
  const rows = tableBelow(readPage('docs/faults.md'), '## The faults')
  const documented = rows.map(([number]) => Number(unquoted(number)))
  expect(documented).toEqual([...testedFaults()].toSorted((a, b) => a - b))
})
