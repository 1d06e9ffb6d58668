/**
 * Where a run lives: a folder with the programs, and a copy of `lovage` beside them, as it is now or with one bug. The
 * programs import it as any project does. A copy, so that whoever edits meanwhile does not change what is being tested.
 */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyLibrary } from './breaks/build.ts'

export interface Project {
  readonly root: string
  readonly histories: string
  /** The `lovage` command that this run's workers are. */
  readonly command: string
  remove(): void
}

/** @param brokenBy the name of a seeded bug. */
export function createProject(brokenBy: string | undefined): Project {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'lovage-chaos-')))
  const histories = join(root, 'histories')
  mkdirSync(histories)
  mkdirSync(join(root, 'node_modules'))
  writeFileSync(join(root, 'package.json'), '{ "type": "module", "private": true }\n')
  cpSync(join(import.meta.dirname, 'programs'), root, { recursive: true })
  const lovage = join(root, 'lovage')
  copyLibrary(lovage, brokenBy)
  symlinkSync(lovage, join(root, 'node_modules/lovage'), 'junction')
  return {
    root,
    histories,
    command: join(lovage, 'bin/lovage.js'),
    remove: () => rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }),
  }
}
