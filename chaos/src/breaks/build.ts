/** A copy of the library, with one bug in it or none. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { breaks } from './all.ts'
import type { Edit } from './break.ts'

const repository = resolve(import.meta.dirname, '../../..')

/** @param brokenBy the name of a seeded bug. @throws {Error} an edit does not fit the source any more. */
export function copyLibrary(target: string, brokenBy?: string): void {
  const source = join(repository, 'packages/lovage')
  for (const part of ['src', 'bin', 'package.json']) cpSync(join(source, part), join(target, part), { recursive: true })
  symlinkSync(join(repository, 'node_modules'), join(target, 'node_modules'), 'junction')
  for (const [file, edits] of Object.entries(breaks[brokenBy ?? '']?.edits ?? {})) {
    const path = join(target, 'src', file)
    writeFileSync(path, applyEdits(readFileSync(path, 'utf8'), edits, file))
  }
}

/** @throws {Error} the text to be replaced is not there exactly once. */
export function applyEdits(text: string, edits: readonly Edit[], file: string): string {
  let edited = text
  for (const { from, to } of edits) {
    const times = edited.split(from).length - 1
    if (times !== 1) throw new Error(`${file} has ${times} times, not once:\n${from}`)
    edited = edited.replace(from, () => to)
  }
  return edited
}
