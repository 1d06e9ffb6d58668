/**
 * The example for Django as a person sees it: Django's page, stock Celery as the sender, a Lovage worker over RabbitMQ
 * with rpc://, and the states from Lovage's status view, which has an origin of its own.
 */
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../../../test-support/free-ports.ts'
import type { loop } from '../../../../examples/tasks/tasks.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { Lovage, type ResultOf } from '../../src/index.ts'
import { Child, command } from '../faults/support/child.ts'
import { until } from '../faults/support/until.ts'
import { findPythonDjango } from '../interop/protocol/python-celery.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { stepsBack } from './support/observations.ts'
import { alternate, openPage, repository } from './support/tutorial.ts'

const examples = join(repository, 'examples')
const found = hasChromium && hasRabbit ? findPythonDjango() : undefined
if (found === undefined) console.warn('\n*** The page of examples/django is NOT tested in a browser. ***\n')

describe.runIf(found !== undefined)('the page of the example for Django', () => {
  const openContext = useBrowser()

  test('takes each row to its end and never back, behind two status views', { timeout: 60_000 }, async () => {
    const site = await Site.create()
    const [one, other] = await Promise.all([site.statusView(), site.statusView(), site.worker()])
    const views = await alternate([one.port, other.port])
    const { page, complaints } = await openPage(await openContext(), await site.django(views))
    const asked: string[] = []
    page.on('request', request => request.url().includes('/task-status/') && asked.push(request.url()))
    await page.evaluate(watchRows)
    for (const seconds of ['2', '5', 'abc']) await submit(page, seconds)
    // what is answered later takes away what an earlier answer said
    await page
      .locator('#tasks tr')
      .filter({ hasText: /PENDING|PROGRESS|SUCCESS|FAILURE/ })
      .nth(2)
      .waitFor()
    await submit(page, '')
    await page.getByRole('alert').getByText('How many seconds?').waitFor()

    await ends(page, 3)
    const rows = await shownRows(page)
    expect(Object.values(rows).flatMap(stepsBack)).toEqual([])
    expect(Object.values(rows).some(shown => shown.some(text => /^PROGRESS \d/.test(text)))).toBe(true)
    const idsOf = (end: string): string[] => Object.keys(rows).filter(id => rows[id]?.at(-1) === end)
    expect(idsOf('FAILURE None core.tasks.loop: argument 1 ("abc"): expected number, received NaN').length).toBe(1)
    const results = await site.results(idsOf('SUCCESS 100 None'))
    expect(results.toSorted((one, other) => one.total - other.total)).toEqual(
      [2, 5].map(total => ({ current: total, total })),
    )
    // the connection that sent a task can see its states in Django's own view too, and no other can
    expect(asked.filter(address => !address.startsWith(views))).toEqual([])
    expect(complaints.filter(isTrouble)).toEqual([])
  })

  test('stays as it is while the status view is away, and goes on with the next one', { timeout: 60_000 }, async () => {
    const site = await Site.create()
    const [view] = await Promise.all([site.statusView(), site.worker()])
    const url = await site.django(`http://127.0.0.1:${String(view.port)}`)
    const { page, complaints } = await openPage(await openContext(), url)
    await page.evaluate(watchRows)
    await submit(page, '8')
    await page.getByRole('cell', { name: 'PROGRESS', exact: true }).waitFor()
    view.child.kill('SIGKILL')
    await view.child.ended
    await until('the page has asked in vain', () => complaints.some(text => text.includes('CONNECTION_REFUSED')))
    await site.statusView(view.port)

    await ends(page, 1)
    const [shown = []] = Object.values(await shownRows(page))
    expect(stepsBack(shown)).toEqual([])
    expect(shown.at(-1)).toBe('SUCCESS 100 None')
  })

  test('may not read the states from an origin that the status view does not name', { timeout: 60_000 }, async () => {
    const site = await Site.create()
    const view = await site.statusView()
    const url = await site.django(`http://127.0.0.1:${String(view.port)}`)
    const { page, complaints } = await openPage(await openContext(), url.replace('127.0.0.1', 'localhost'))
    await submit(page, '0')
    await until('the browser refuses the answer', () => complaints.some(text => /blocked by CORS policy/.test(text)))
    expect(await page.locator('#tasks td').nth(1).textContent()).toBe('PENDING')
  })
})

interface View {
  readonly child: Child
  readonly port: number
}

/** Its processes, each started as the example's README says, on ports and a virtual host of its own. */
class Site {
  readonly #brokerUrl: string
  /** Known before Django starts: the status views answer pages from there. */
  readonly #address: string

  private constructor(brokerUrl: string, address: string) {
    this.#brokerUrl = brokerUrl
    this.#address = address
  }

  static async create(): Promise<Site> {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost('django')
    onTestFinished(() => rabbit.deleteVhost(vhost))
    return new Site(rabbit.url(vhost), `127.0.0.1:${String(await freePort())}`)
  }

  /** Gives the page's address. */
  async django(statusBase: string): Promise<string> {
    const args = [join(examples, 'django/manage.py'), 'runserver', this.#address, '--noreload']
    const own = { CELERY_BROKER_URL: this.#brokerUrl, STATUS_BASE: statusBase.replace(/\/$/, '') }
    const env = { ...own, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' }
    await new Child(args, { cwd: repository, env, program: found?.python ?? '' }).line(/Quit the server/)
    return `http://${this.#address}/`
  }

  async statusView(wanted = 0): Promise<View> {
    const env = { ...this.#env, PORT: String(wanted), DJANGO_ORIGIN: `http://${this.#address}` }
    const child = new Child([join(examples, 'django/status.ts')], { cwd: repository, env })
    const { text } = await child.line(/^http:/)
    return { child, port: Number(new URL(text).port) }
  }

  async worker(): Promise<void> {
    const args = [command, 'worker', join(examples, 'tasks/tasks.ts')]
    await new Child(args, { cwd: repository, env: this.#env }).line(/ ready\./)
  }

  /** What the tasks returned, as Lovage has it. */
  async results(ids: readonly string[]): Promise<ResultOf<typeof loop>[]> {
    await using app = new Lovage('mysite', { brokerUrl: this.#brokerUrl, resultBackend: 'rpc://' })
    return await Promise.all(ids.map(id => app.result<typeof loop>(id).get({ timeoutMs: 10_000 })))
  }

  get #env(): NodeJS.ProcessEnv {
    return { CELERY_BROKER_URL: this.#brokerUrl, LOVAGE_RESULT_BACKEND: 'rpc://', LOVAGE_DEFAULT_QUEUE: 'ts' }
  }
}

// ── What is seen ───────────────────────────────────────────────────────────────────────────────────

/** By id, what its row has shown, in order: `PROGRESS 20 None`, … */
type Shown = Readonly<Record<string, readonly string[]>>

/** In the page: the page writes a row's cells anew with each answer. */
function watchRows(): void {
  const shown: Record<string, string[]> = {}
  Object.assign(globalThis, { shown })
  new MutationObserver(changes => {
    for (const row of new Set(changes.map(({ target }) => target))) {
      const [id, ...texts] = [...row.childNodes].map(cell => cell.textContent ?? '')
      if (id !== undefined && row.nodeName === 'TR') (shown[id] ??= []).push(texts.join(' '))
    }
  }).observe(document.querySelector('#tasks tbody') as Element, { subtree: true, childList: true })
}

function shownRows(page: Page): Promise<Shown> {
  return page.evaluate(() => (globalThis as unknown as { readonly shown: Shown }).shown)
}

async function submit(page: Page, seconds: string): Promise<void> {
  await page.getByLabel('Seconds').fill(seconds)
  await page.getByRole('button', { name: 'Run task' }).click()
}

async function ends(page: Page, count: number): Promise<void> {
  const end = page.getByRole('cell', { name: /^(SUCCESS|FAILURE|REVOKED)$/ })
  await end.nth(count - 1).waitFor({ timeout: 30_000 })
}

/** That nobody has seen a task yet is a 404, and the empty form is one of 400. */
function isTrouble(complaint: string): boolean {
  return !/status of 40[04]/.test(complaint)
}
