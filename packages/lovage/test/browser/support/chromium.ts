/** The machine's own Chromium, without a window. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)

/** False on a user's machine without Chromium, said loudly; in CI it is installed, or the run fails. */
export const hasChromium: boolean = executablePath !== undefined || installInCI()

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: executablePath ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

function installInCI(): boolean {
  const { status } = spawnSync(process.execPath, ['scripts/servers.js', 'chromium'], { stdio: 'inherit' })
  if (status === 0) return true
  if (process.env['CI']) throw new Error('CI needs Chromium, and it could not be installed.')
  console.warn('SKIPPED: the tests in a browser, for want of Chromium.')
  return false
}
