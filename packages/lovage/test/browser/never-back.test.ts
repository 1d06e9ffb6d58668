/**
 * What the tutorial's pages suffered from: PENDING, PROGRESS, PENDING, PROGRESS. Two web processes behind one address
 * that sends each request to the other one, two browsers, the live page and the polling one; every answer and everything
 * shown is looked at.
 */
import { describe, expect, test } from 'vitest'
import { isLong, until } from '../faults/support/until.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import {
  count,
  observations,
  openPages,
  report,
  rowsAt,
  runTasks,
  stepsBack,
  type Watch,
} from './support/observations.ts'
import { alternate, Tutorial } from './support/tutorial.ts'

const perPage = 5
const rounds = isLong ? 3 : 1

describe.runIf(hasChromium)('no row ever steps back', () => {
  const openContext = useBrowser()

  test('behind two web processes, in two browsers, live and polled', { timeout: 60_000 * rounds }, async () => {
    for (let round = 0; round < rounds; round++) {
      const tutorial = new Tutorial()
      const [one, other] = await Promise.all([tutorial.web(), tutorial.web(), tutorial.worker(8)])
      const url = await alternate([one.port, other.port])
      const pages = await openPages([await openContext(), await openContext()], url)
      await Promise.all(pages.map((page, index) => runTasks(page, { index, count: perPage })))
      const seen = await observations(pages)
      report('two web processes', seen)
      expect(count(seen)).toBeGreaterThanOrEqual(5000)
      for (const each of seen) expect(stepsBack(each)).toEqual([])
      expect(seen.length).toBe(perPage * pages.length * 2)
    }
  })

  test(
    'when the worker is killed in mid-run, except to begin again, and then says so',
    { timeout: 120_000 },
    async () => {
      const tutorial = new Tutorial()
      const [one, other, worker] = await Promise.all([tutorial.web(), tutorial.web(), tutorial.worker(20)])
      const url = await alternate([one.port, other.port])
      const pages = await openPages([await openContext(), await openContext()], url)
      const ended = Promise.all(pages.map((page, index) => runTasks(page, { index, count: perPage })))
      await until(
        'all tasks run, some for a while',
        async () => (await rowsAt(pages, /(PROGRESS|Running) [2-9]\d/)) >= 4,
      )
      worker.kill('SIGKILL')
      await worker.ended
      await tutorial.worker(20)
      await ended
      const seen = await observations(pages)
      report('the worker killed', seen)
      expect(count(seen)).toBeGreaterThanOrEqual(5000)
      const falls = seen.map(each => stepsBack(each))
      // one begins again once: from where it was to an earlier percentage, never to PENDING and never from an end
      for (const fall of falls) {
        expect(fall.length).toBeLessThanOrEqual(1)
        expect(fall.filter(step => /→ (PENDING|Waiting)|^(SUCCESS|FAILURE|REVOKED|Done|Failed)/.test(step))).toEqual([])
      }
      expect(falls.flat().length).toBeGreaterThan(0)
      const live = pages.filter(page => !page.url().endsWith('/classic/'))
      for (const page of live)
        expect(await page.evaluate(() => (globalThis as unknown as Watch).unexplained)).toEqual([])
    },
  )
})
