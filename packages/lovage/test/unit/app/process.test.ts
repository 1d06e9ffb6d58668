import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'

const program = fileURLToPath(new URL('../../fixtures/programs/send-one.ts', import.meta.url))

/** Runs the program in a project of its own, until it ends. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'lovage-process-')))
  onTestFinished(() => rmSync(folder, { recursive: true, maxRetries: 5 }))
  writeFileSync(join(folder, 'package.json'), '{}')
  const child = spawn(process.execPath, [program, ...args], { cwd: folder, env: { PATH: process.env['PATH'], ...env } })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { folder, stdout, stderr, exitCode: child.exitCode }
}

describe('a process that only sends', () => {
  it('ends by itself, and has said where the queue is', async () => {
    const { folder, stdout, stderr, exitCode } = await run([])
    const file = join(folder, '.lovage', 'queue.db')
    expect({ stdout, exitCode }).toEqual({ stdout: 'PENDING\n', exitCode: 0 })
    expect(stderr).toContain(`lovage: no broker URL is set; the queue is ${file}\n`)
    expect(stderr).toContain(`No worker has been seen on ${file}. Start one: npx lovage worker\n`)
    expect(existsSync(file)).toBe(true)
  })

  it('is held by a get that waits', async () => {
    const { stdout } = await run(['wait'], { NODE_ENV: 'production' })
    expect(stdout).toBe('PENDING\nResultTimeoutError\nexit\n')
  })

  it('hints at no worker in production', async () => {
    const { stderr } = await run([], { NODE_ENV: 'production' })
    expect(stderr).not.toContain('No worker')
  })
})
