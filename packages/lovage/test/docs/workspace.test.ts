import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { describeCounts } from '../../../../test-support/counts-reporter.ts'

const root = new URL('../../../../', import.meta.url)

describe('the workspace', () => {
  it.runIf(process.env['npm_lifecycle_event'])('runs its npm scripts on Node 24, whatever the machine has', () => {
    expect(process.versions.node).toMatch(/^24\./)
  })

  it('has a lockfile that names no registry host', () => {
    const lockfile = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8')) as {
      packages: Record<string, { resolved?: string }>
    }
    const hosts = Object.values(lockfile.packages).filter(({ resolved }) => resolved?.includes('://'))
    expect(hosts).toEqual([])
  })
})

describe('the last line of a test run', () => {
  it('says how many passed and failed, and skipped when any were', () => {
    expect(describeCounts({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed')
    expect(describeCounts({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped')
  })

  it('of a proof is a failure when no test was run at all', { timeout: 60_000 }, () => {
    const args = [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--project',
      'docs',
      'workspace',
      '-t',
      'such a test is nowhere',
    ]
    const env = { ...process.env, MUST_TEST: '1' }
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8' })
    expect(stdout).toContain('No test was run: that proves nothing.')
    expect(status).toBe(1)
  })
})
