/** The web process is killed again and again while pages follow their tasks. */
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { isLong, until } from '../faults/support/until.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { openPage, submit, Tutorial } from './support/tutorial.ts'

const kills = isLong ? 20 : 5
/** Between one kill and the next, beside what the server takes to start. */
const everyMs = 1000

describe.runIf(hasChromium)('a page whose web process is killed', () => {
  const openContext = useBrowser()

  test('connects again soon, every time, and ends with what is true', { timeout: 60_000 + kills * 6000 }, async () => {
    const tutorial = new Tutorial()
    const [first] = await Promise.all([tutorial.web(), tutorial.worker(8)])
    const opened = [await openContext(), await openContext()].map(context => openPage(context, first.url))
    const pages = (await Promise.all(opened)).map(({ page }) => page)
    const longest = Math.ceil(kills * 2.5)
    for (const page of pages) for (const seconds of ['abc', '3', String(longest)]) await submit(page, seconds)
    for (const page of pages)
      await page
        .locator('lovage-task')
        .first()
        .getByText(`of ${String(longest)}`)
        .waitFor()

    const reconnects: number[] = []
    let web = first
    for (let kill = 0; kill < kills; kill++) {
      for (const page of pages) await untilLink(page, 'live')
      web.child.kill('SIGKILL')
      await web.child.ended
      for (const page of pages) await untilLink(page, 'reconnecting')
      web = await tutorial.web(first.port)
      const startedAt = performance.now()
      await Promise.all(
        pages.map(page => untilLink(page, 'live').then(() => reconnects.push(performance.now() - startedAt))),
      )
      await new Promise(resolve => setTimeout(resolve, everyMs * Math.random()))
    }

    for (const page of pages) {
      await page.locator('lovage-task[state=SUCCESS]').nth(1).waitFor({ timeout: 60_000 })
      const shown = await page.locator('lovage-task .lovage-state').allTextContents()
      expect(shown).toEqual(['Done', 'Done', 'Failed'])
      expect(await page.locator('lovage-task[link=reconnecting]').count()).toBe(0)
    }
    const sorted = reconnects.toSorted((a, b) => a - b)
    const p95 = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Number.NaN
    console.log(
      `${kills} kills, ${sorted.length} reconnects: p95 ${p95.toFixed(0)} ms, most ${sorted.at(-1)?.toFixed(0)} ms`,
    )
    expect(p95).toBeLessThan(3000)
  })
})

/** Of the row of the longest task, the only one that is still followed in the end: it ends after the last kill. */
async function untilLink(page: Page, link: string): Promise<void> {
  await until(`the link is ${link}`, async () => {
    const row = page.locator('lovage-task').first()
    return (await row.getAttribute('link')) === link || (await row.getAttribute('state')) === 'SUCCESS'
  })
}
