/** What a person sees of `npm start`. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Locator, Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { until } from '../faults/support/until.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { openPage, submit, Tutorial } from './support/tutorial.ts'

const require = createRequire(import.meta.url)

describe.runIf(hasChromium)('the tutorial', () => {
  const openContext = useBrowser()

  test('shows a row at once, moves it, and ends it, without a reload', { timeout: 60_000 }, async () => {
    const { url } = await new Tutorial().npmStart()
    const { page, complaints } = await openPage(await openContext(), url)
    await page.evaluate(watchRows)

    await submit(page, '5')
    await row(page, 0).and(page.locator('[state=SUCCESS]')).waitFor({ timeout: 20_000 })
    const { rowAfterMs, moves } = await page.evaluate(() => (globalThis as unknown as Watched).watched)
    console.log(`the row after ${String(Math.round(rowAfterMs))} ms; ${moves.join(' ')}`)
    expect(rowAfterMs).toBeLessThan(100)
    expect(moves.length).toBeGreaterThanOrEqual(4)
    expect(moves).toEqual(moves.toSorted((a, b) => a - b))
    expect(await row(page, 0).getByText('Done').count()).toBe(1)

    await submit(page, 'abc')
    await row(page, 0).getByText('expected number').waitFor()
    expect(await row(page, 0).getAttribute('state')).toBe('FAILURE')
    expect(await row(page, 0).locator('.lovage-error').textContent()).toContain('argument 1 ("abc")')
    expect(complaints).toEqual([])
  })

  test('goes on after a reload, and Cancel stops a long task', { timeout: 60_000 }, async () => {
    const tutorial = new Tutorial()
    const [{ url }] = await Promise.all([tutorial.web(), tutorial.worker()])
    const { page, complaints } = await openPage(await openContext(), url)
    await submit(page, '60')
    await row(page, 0).getByText('1 of 60').waitFor()

    await page.reload()
    const before = await shownPercent(row(page, 0))
    await row(page, 0).getByText('3 of 60').waitFor()
    expect(await shownPercent(row(page, 0))).toBeGreaterThanOrEqual(before)

    const pressedAt = performance.now()
    await page.getByRole('button', { name: 'Cancel Count to 60' }).click()
    await page.locator('lovage-task[state=REVOKED]').getByText('Cancelled').waitFor()
    const tookMs = performance.now() - pressedAt
    console.log(`cancelled after ${String(Math.round(tookMs))} ms`)
    expect(tookMs).toBeLessThan(2000)
    expect(complaints).toEqual([])
  })

  test('says what is wrong with an empty form, and takes its row back', { timeout: 30_000 }, async () => {
    const { url } = await new Tutorial().web()
    const { page } = await openPage(await openContext(), url)
    await submit(page, '')
    await page.getByRole('alert').getByText('The field "l" is empty').waitFor()
    expect(await page.locator('lovage-task').count()).toBe(0)
  })

  test('can be driven by the keyboard alone, and axe finds nothing serious', { timeout: 60_000 }, async () => {
    const tutorial = new Tutorial()
    const [{ url }] = await Promise.all([tutorial.web(), tutorial.worker()])
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await openPage(await openContext({ colorScheme }), url)
      await focus(page, 'Seconds')
      await page.keyboard.press('Control+A')
      await page.keyboard.type('abc')
      await page.keyboard.press('Enter')
      await row(page, 0).getByText('expected number').waitFor()
      await focus(page, 'Seconds')
      await page.keyboard.press('Control+A')
      await page.keyboard.type('40')
      await focus(page, 'Run task')
      await page.keyboard.press('Space')
      await row(page, 0).getByText('of 40').waitFor()
      await checkWithAxe(page)

      await focus(page, 'Cancel Count to 40')
      await page.keyboard.press('Enter')
      await row(page, 0).getByText('Cancelled').waitFor()
      // the button is gone, and the focus not at the page's beginning
      expect(await page.evaluate(() => document.activeElement?.closest('lovage-task') !== null)).toBe(true)
      await focus(page, 'Clear finished')
      await page.keyboard.press('Enter')
      await page.getByText('Nothing has been run yet.').waitFor()
      await checkWithAxe(page)
    }
    const { page } = await openPage(await openContext(), `${url}classic/`)
    await submit(page, 'abc')
    await page.getByRole('cell', { name: 'FAILURE', exact: true }).waitFor()
    await checkWithAxe(page)
  })

  test('fits a phone and a desktop, light and dark', { timeout: 60_000 }, async () => {
    const tutorial = new Tutorial()
    const [{ url }] = await Promise.all([tutorial.web(), tutorial.worker()])
    const context = await openContext()
    const { page } = await openPage(context, url)
    for (const seconds of ['0', 'abc', '30']) await submit(page, seconds)
    await row(page, 0).getByText('1 of 30').waitFor()
    for (const width of [320, 390, 768, 1280]) {
      await page.setViewportSize({ width, height: 800 })
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      expect({ width, wider }).toEqual({ width, wider: 0 })
      const buttons = page.locator('button:visible')
      for (const button of await buttons.all()) {
        const box = await button.boundingBox()
        expect(Math.min(box?.height ?? 0, box?.width ?? 0)).toBeGreaterThanOrEqual(24)
      }
    }
  })
})

describe('npm start', () => {
  test('starts a worker that was killed again, and ends all with itself', { timeout: 60_000 }, async () => {
    const { child, url } = await new Tutorial().npmStart()
    process.kill(await workerPid(child.pid), 'SIGKILL')
    await child.line(/worker ended with SIGKILL/)
    const killed = child.lines.length
    await child.line(/ ready\./, { from: killed })
    const id = await post(url, '0')
    await until('its task is done', async () => (await status(url, id)).state === 'SUCCESS')
    child.kill('SIGTERM')
    expect((await child.ended).code).toBe(0)
    await until('nothing answers', () =>
      fetch(url).then(
        () => false,
        () => true,
      ),
    )
  })

  test('names a port that is taken, and the way out', { timeout: 60_000 }, async () => {
    const tutorial = new Tutorial()
    const { port } = await tutorial.web()
    const second = tutorial.npmStart({ PORT: String(port) })
    await expect(second).rejects.toThrow(
      `Port ${String(port)} is taken by another program. Choose another one: PORT=${String(port + 1)} npm start`,
    )
  })
})

describe('the web process of the tutorial', () => {
  test('answers what it is not made for', { timeout: 30_000 }, async () => {
    const { url } = await new Tutorial().web()
    const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } }
    const run = `${url}run-long-task/`
    const answers: readonly (readonly [() => Promise<Response>, number])[] = [
      [() => fetch(run, { ...form, body: `l=${'a'.repeat(10_000_000)}` }), 413],
      [() => fetch(run, { ...form, body: 'l=' }), 400],
      [() => fetch(run, { ...form, body: '' }), 400],
      [() => fetch(run, { method: 'POST', body: '{"l":5}', headers: { 'content-type': 'application/json' } }), 415],
      [
        () => fetch(run, { ...form, body: 'l=5', headers: { ...form.headers, origin: 'http://elsewhere.example' } }),
        403,
      ],
      [() => fetch(run, { ...form, body: 'l=5', headers: { ...form.headers, 'sec-fetch-site': 'cross-site' } }), 403],
      [() => fetch(run), 405],
      [() => fetch(run, { method: 'DELETE' }), 405],
      [() => fetch(url, { method: 'POST' }), 405],
      [() => fetch(`${url}task-status/nobody-knows/`), 404],
      [() => fetch(`${url}task-status/%00%ff/`), 404],
      [() => fetch(`${url}nothing`), 404],
      [() => fetch(`${url}tasks/nobody-knows`), 404],
    ]
    for (const [answer, wanted] of answers) {
      const { status: code, url: asked, headers } = await answer()
      expect({ asked, code }).toEqual({ asked, code: wanted })
      expect(headers.get('content-security-policy')).toContain(`default-src 'none'`)
    }
    const { headers } = await fetch(url)
    expect(headers.get('content-security-policy')).toMatch(
      /default-src 'none'; script-src 'self';.*connect-src 'self';.*frame-ancestors 'none'; base-uri 'none'/,
    )
  })

  test('answers in the shape of the tutorial', { timeout: 30_000 }, async () => {
    const tutorial = new Tutorial()
    const [{ url }] = await Promise.all([tutorial.web(), tutorial.worker()])
    const id = await post(url, '0')
    await until('it is done', async () => (await status(url, id)).state === 'SUCCESS')
    expect(await status(url, id)).toEqual({ task_id: id, state: 'SUCCESS', progression: 100, info: 'None' })
    const refused = await post(url, 'abc')
    await until('it has failed', async () => (await status(url, refused)).state === 'FAILURE')
    const info = 'core.tasks.loop: argument 1 ("abc"): expected number, received NaN'
    expect(await status(url, refused)).toEqual({ task_id: refused, state: 'FAILURE', progression: 'None', info })
  })
})

// ── What is seen ───────────────────────────────────────────────────────────────────────────────────

interface Watched {
  watched: { rowAfterMs: number; moves: number[] }
}

/** In the page: when the first row stands after the form was sent, and each width of its bar that differs. */
function watchRows(): void {
  const body = document.querySelector('#tasks tbody') as HTMLElement
  const watched: Watched['watched'] = { rowAfterMs: Number.NaN, moves: [] }
  Object.assign(globalThis, { watched })
  let sentAt = Number.NaN
  document.querySelector('#run')?.addEventListener('submit', () => (sentAt = performance.now()), { capture: true })
  new MutationObserver(() => {
    if (Number.isNaN(watched.rowAfterMs)) watched.rowAfterMs = performance.now() - sentAt
    const value = Number(body.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow') ?? Number.NaN)
    if (!Number.isNaN(value) && value !== watched.moves.at(-1)) watched.moves.push(value)
  }).observe(body, { subtree: true, childList: true, attributes: true })
}

function row(page: Page, index: number): Locator {
  return page.locator('lovage-task').nth(index)
}

async function shownPercent(element: Locator): Promise<number> {
  await element.getByText('%').waitFor()
  return Number((await element.locator('.lovage-percent').textContent())?.replace('%', ''))
}

/** By the Tab key alone. */
async function focus(page: Page, name: string): Promise<void> {
  const focused = (): Promise<string> =>
    page.evaluate(() => {
      const element = document.activeElement as HTMLInputElement | null
      return element?.ariaLabel ?? element?.labels?.[0]?.textContent ?? element?.textContent ?? ''
    })
  for (let step = 0; step < 40; step++) {
    await page.keyboard.press('Tab')
    if ((await focused()).trim() === name) return
  }
  throw new Error(`The Tab key does not reach ${name}`)
}

async function checkWithAxe(page: Page): Promise<void> {
  await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'))
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run: () => Promise<{ violations: Violation[] }> } }
    const { violations } = await axe.run()
    return violations.map(({ id, impact, nodes }) => ({ id, impact, html: nodes.map(({ html }) => html) }))
  })
  expect(found.filter(({ impact }) => impact === 'serious' || impact === 'critical')).toEqual([])
}

interface Violation {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly html: string }[]
}

// ── What is asked ──────────────────────────────────────────────────────────────────────────────────

async function post(url: string, seconds: string): Promise<string> {
  const response = await fetch(`${url}run-long-task/`, { method: 'POST', body: new URLSearchParams({ l: seconds }) })
  expect(response.status).toBe(202)
  const { task_id: id, handle } = (await response.json()) as { task_id: string; handle: string }
  expect(handle).toMatch(/^v1\./)
  return id
}

async function status(url: string, id: string): Promise<{ readonly state: string }> {
  return (await (await fetch(`${url}task-status/${id}/`)).json()) as { state: string }
}

/** The child of a child: what `npm start` runs. */
async function workerPid(parent: number): Promise<number> {
  return await until('the worker', () => {
    const children = readFileSync(`/proc/${String(parent)}/task/${String(parent)}/children`, 'utf8')
      .trim()
      .split(' ')
    return children.map(Number).find(pid => readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').includes('worker'))
  })
}
