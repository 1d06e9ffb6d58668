import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageFile } from './support/package-files.ts'

// A package of its own around the real bin/lovage.js, so that the program it starts is this test's.
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lovage-bin-'))
  mkdirSync(join(folder, 'src/cli'), { recursive: true })
  cpSync(packageFile('bin'), join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(
    join(folder, 'src/cli/main.ts'),
    `const text: string = 'main runs'
     console.log(text)
     process.emitWarning('SQLite is an experimental feature', 'ExperimentalWarning')
     process.emitWarning('no type', { code: 'MODULE_TYPELESS_PACKAGE_JSON' })
     process.emitWarning('something is wrong')`,
  )
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function runBin(versions: Partial<NodeJS.ProcessVersions> = {}) {
  const preload = `Object.defineProperty(process, 'versions', { value: { ...process.versions, ...${JSON.stringify(versions)} } })`
  const args = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`, join(folder, 'bin/lovage.js')]
  return spawnSync(process.execPath, args, { encoding: 'utf8' })
}

describe('bin/lovage.js', () => {
  it('runs the sources where they exist', () => {
    expect(runBin()).toMatchObject({ status: 0, stdout: 'main runs\n' })
  })

  it('hides the warnings that a user cannot act on, and no others', () => {
    const { stderr } = runBin()
    expect(stderr).toContain('something is wrong')
    expect(stderr).not.toContain('experimental feature')
    expect(stderr).not.toContain('no type')
  })

  it.each(['20.20.2', '22.22.9', '8.0.0'])('refuses Node %s with a sentence and exit code 78', node => {
    const { status, stderr } = runBin({ node })
    expect(status).toBe(78)
    expect(stderr).toContain(`this is Node ${node}`)
    expect(stderr).toContain('Install Node 24')
  })

  it.each(['22.23.0', '24.0.0', '100.1.2'])('accepts Node %s', node => {
    expect(runBin({ node }).status).toBe(0)
  })
})
