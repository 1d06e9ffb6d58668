/** Names, arguments, results, progress and errors that are HTML and script: shown as they are written, nothing runs. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Lovage, PublicError, unchecked } from '../../src/index.ts'
import { startTestWorker } from '../../src/testing/index.ts'
import { taskRoutes } from '../../src/web/index.ts'
import { toNodeHandler } from '../../src/web/node.ts'
import { until } from '../faults/support/until.ts'
import { Project } from '../faults/support/project.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { openPage, submit, Tutorial } from './support/tutorial.ts'

/** Each would call `hit`, if it were more than text. */
const corpus: readonly string[] = [
  `<script>hit()</script>`,
  `<img src=x onerror=hit()>`,
  `<svg onload=hit()>`,
  `<svg><script>hit()</script></svg>`,
  `"><img src=x onerror=hit()>`,
  `'"--><script>hit()</script>`,
  `</textarea><script>hit()</script>`,
  `</title><svg/onload=hit()>`,
  `<iframe srcdoc="<script>parent.hit()</script>">`,
  `<a href="javascript:hit()">x</a>`,
  `javascript:hit()`,
  `<details open ontoggle=hit()>`,
  `<input autofocus onfocus=hit()>`,
  `<style>@import 'x';*{background:url(javascript:hit())}</style>`,
  `<math><mi xlink:href="data:x,<script>hit()</script>">`,
  `<object data="data:text/html,<script>parent.hit()</script>">`,
  `<base href="//elsewhere.example/">`,
  `<meta http-equiv=refresh content="0;url=javascript:hit()">`,
  '${hit()}{{constructor.constructor("hit()")()}}`+hit()+`',
  `\u202e<img src=x onerror=hit()>\u0000`,
  `<lovage-task handle="x" onclick=hit()>`,
]

describe.runIf(hasChromium)('what is hostile', () => {
  const openContext = useBrowser()

  test('is text in every field of the elements', { timeout: 60_000 }, async () => {
    const app = new Lovage('hostile')
    const evil = corpus.map((text, index) => defineEvil(app, text, index))
    await using _worker = await startTestWorker(app, { concurrency: 2 * corpus.length })
    const results = await Promise.all(
      evil.flatMap(tasks => tasks.map(task => task.applyAsync([], { tags: ['<evil>'] }))),
    )
    const routes = taskRoutes(app, { authorize: () => true })
    onTestFinished(() => routes.close())
    await routes.ready()
    const elements = results.map(({ id }) => `<lovage-task handle="${id}"></lovage-task>`).join('')
    const list = `<lovage-tasks handle="${routes.listHandle({ tag: '<evil>', allow: ['read', 'result', 'revoke'] })}"></lovage-tasks>`
    const { page, complaints } = await openPage(await openContext(), await serve(routes, elements + list))
    await page.evaluate(() =>
      Object.assign(globalThis, { hits: 0, hit: () => (globalThis as never as { hits: number }).hits++ }),
    )
    await until('all of them are shown', async () => {
      const failed = await page.locator('lovage-task[state=FAILURE]').count()
      return failed + (await page.locator('lovage-task[state=PROGRESS]').count()) === results.length
    })
    const text = await page.locator('body').innerText()
    for (const each of corpus) expect(plain(text)).toContain(plain(each))
    await expectInert(page)
    // what goes with the cancelling, and with the end of it
    const cancels = page.locator('lovage-task .lovage-cancel:visible:not([aria-disabled=true])')
    await until('all are cancelled', async () => {
      const button = await cancels
        .first()
        .elementHandle({ timeout: 100 })
        .catch(() => null)
      await button?.evaluate(element => (element as HTMLButtonElement).click())
      return (await page.locator('lovage-task[state=REVOKED]').count()) === corpus.length
    })
    await expectInert(page)
    expect(complaints).toEqual([])
  })

  test('is text in the tutorial, as an argument and as an error', { timeout: 60_000 }, async () => {
    const tutorial = new Tutorial()
    const [{ url }] = await Promise.all([tutorial.web(), tutorial.worker()])
    const context = await openContext()
    await context.addInitScript(() =>
      Object.assign(globalThis, { hits: 0, hit: () => (globalThis as never as { hits: number }).hits++ }),
    )
    for (const path of ['', 'classic/']) {
      const { page, complaints } = await openPage(context, url + path)
      for (const text of corpus) await submit(page, text.replaceAll('\u0000', ''))
      // the rows: what is announced to a screen reader says it once more
      const failed = page.locator('tbody tr').filter({ hasText: /expected number/ })
      const allHaveFailed = async (): Promise<boolean> => (await failed.count()) === corpus.length
      await until('all have failed', allHaveFailed)
      await expectInert(page)
      await page.reload()
      if (path === '') await until('all have failed', allHaveFailed)
      await expectInert(page)
      expect(complaints).toEqual([])
    }
  })

  test('is text on the page of lovage dev', { timeout: 60_000 }, async () => {
    const project = new Project({ tasks: devTasks })
    const dev = project.start(['dev', 'tasks.ts', '--port', '0'])
    const { text: url } = await dev.line(/^http:/)
    const context = await openContext()
    await context.addInitScript(() =>
      Object.assign(globalThis, { hits: 0, hit: () => (globalThis as never as { hits: number }).hits++ }),
    )
    const { page, complaints } = await openPage(context, url)
    await page.getByRole('button', { name: /^Run/ }).nth(1).waitFor()
    for (const button of await page.getByRole('button', { name: /^Run/ }).all()) await button.click()
    await page.locator('.run').nth(1).waitFor()
    await page.locator('.run').getByText('<img src=x onerror=hit()>').first().waitFor()
    await until('both have ended', async () => (await page.locator('lovage-task[link=closed]').count()) === 2)
    for (const summary of await page.locator('summary:visible').all()) await summary.click()
    await expectInert(page)
    expect(complaints).toEqual([])
  })
})

const evilText = JSON.stringify(corpus[1])
const devTasks = `import { Lovage, unchecked } from 'lovage'
const evil = ${evilText}
export const app = new Lovage(evil)
app.task(evil, { title: evil, params: [evil] }, () => { throw new Error(evil) })
app.task('works', { title: evil }, () => ({ [evil]: evil }))
`

/** One that ends with the text in its error, one that stays where it is with the text in all that is shown of it. */
function defineEvil(app: Lovage, text: string, index: number) {
  const fails = app.task(`fails ${text} ${String(index)}`, { title: `fails ${text}` }, () => {
    throw new PublicError(text)
  })
  const runs = app.task(
    `runs ${text} ${String(index)}`,
    { states: { [`X${text}`.slice(0, 60)]: unchecked<string>() } },
    async task => {
      task.progress(1, 3, { message: text, phase: text, unit: text })
      await task.sleep(60_000)
      return text
    },
  )
  return [fails, runs] as const
}

async function serve(routes: ReturnType<typeof taskRoutes>, body: string): Promise<string> {
  const answer = toNodeHandler(routes)
  const head = `<meta charset="utf-8"><title>Hostile</title><link rel="icon" href="data:,"><script type="module" src="/tasks/lovage.js"></script>`
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/tasks') === true) return answer(request, response)
    // no policy: were anything of it markup, it would run
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><html lang="en">${head}<body>${body}`)
  })
  server.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`
}

/** Nothing was called, and no element stands in the page that no template of ours has. */
async function expectInert(page: Page): Promise<void> {
  const found = await page.evaluate(() => ({
    hits: (globalThis as never as { hits: number }).hits,
    strange: [
      ...document.querySelectorAll(
        'body script, body img, body iframe, body object, body style, body base, body meta, body math, body a[href^=javascript], [onerror], [onload], [onclick], [onfocus], [ontoggle]',
      ),
    ].map(element => element.outerHTML),
  }))
  expect(found).toEqual({ hits: 0, strange: [] })
}

/** As a browser lays text out: without what has no width, spaces as one. */
function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\u202e\ufffd\s]+/gu, ' ').trim()
}
