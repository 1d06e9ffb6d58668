/** The examples for Express and Next.js, started as their users start them, with one worker for the same tasks. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { Child } from '../faults/support/child.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { openPage, repository, Tutorial } from './support/tutorial.ts'

describe.runIf(hasChromium)('the example for', () => {
  const openContext = useBrowser()

  test('Express sends a task and shows it', { timeout: 60_000 }, async () => {
    const tutorial = new Tutorial()
    await tutorial.worker()
    const args = [join(repository, 'examples/express/server.ts')]
    const server = new Child(args, { cwd: tutorial.folder, env: { ...tutorial.env, PORT: '0' } })
    const { text: url } = await server.line(/^http:/)
    const { page, complaints } = await openPage(await openContext(), url)
    await page.getByLabel('Seconds').fill('2')
    await page.getByRole('button', { name: 'Count' }).click()
    await page.locator('lovage-task[state=PROGRESS]').getByText('1 of 2').waitFor()
    await page.locator('lovage-task[state=SUCCESS]').getByText('Done').waitFor()
    expect(complaints.filter(text => !text.includes('favicon') && !text.includes('404'))).toEqual([])
    expect((await fetch(`${url}count`, { method: 'POST', body: new URLSearchParams({ seconds: '' }) })).status).toBe(
      400,
    )
    server.kill('SIGTERM')
    await server.ended
  })

  test('Next.js builds, sends a task from a server action and shows it by the hook', { timeout: 180_000 }, async () => {
    const folder =
      (await run([join(repository, 'scripts/next-example.js')], repository)).trim().split('\n').at(-1) ?? ''
    const next = join(repository, 'node_modules/next/dist/bin/next')
    const built = await run([next, 'build'], folder)
    expect(built).toContain('Compiled successfully')

    const tutorial = new Tutorial()
    await tutorial.worker()
    const env = { ...tutorial.env, NODE_ENV: 'production', LOVAGE_SECRET: 'a secret of more than thirty-two bytes' }
    const server = new Child([next, 'start', '-p', '0', '-H', '127.0.0.1'], { cwd: folder, env })
    const { text: line } = await server.line(/http:\/\/127\.0\.0\.1:\d+/)
    const url = /http:\S+/.exec(line)?.[0] ?? ''
    await server.line(/Ready/)
    const { page, complaints } = await openPage(await openContext(), url)
    await page.getByRole('button', { name: 'Count to 5' }).click()
    await page.getByRole('status').getByText('PROGRESS').waitFor()
    await page.getByText('Counted to 5').waitFor()
    expect(await page.getByRole('progressbar', { name: 'Counting' }).getAttribute('value')).toBe('100')

    await page.getByRole('button', { name: 'Count to 5' }).click()
    await page.getByRole('status').getByText('PROGRESS').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByText('REVOKED').waitFor()
    expect(complaints.filter(each => !each.includes('404'))).toEqual([])
  })
})

/** To its end, and what it printed. @throws what it printed, when it failed. */
async function run(args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', CI: '1' }
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise(resolve => child.once('close', resolve))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  if ((await ended) !== 0) throw new Error(out + err)
  return out
}
