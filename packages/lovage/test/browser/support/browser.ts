/** One Chromium for the tests of a file, a context of its own for each that asks. */
import type { Browser, BrowserContext, BrowserContextOptions } from 'playwright-core'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { launchChromium } from './chromium.ts'

export function useBrowser(): (options?: BrowserContextOptions) => Promise<BrowserContext> {
  let browser: Browser | undefined
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())
  return async options => {
    if (browser === undefined) throw new Error('Chromium has not started')
    const context = await browser.newContext(options)
    onTestFinished(() => context.close())
    return context
  }
}
