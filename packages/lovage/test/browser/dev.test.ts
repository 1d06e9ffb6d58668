/** `lovage dev`: a page that calls the tasks, and a worker that runs what was saved last. */
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { Project } from '../faults/support/project.ts'
import { spread, until } from '../faults/support/until.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { openPage } from './support/tutorial.ts'

const tasks = (answer: string): string => `import { Lovage } from 'lovage'
import { z } from 'zod'
export const app = new Lovage('mysite')
export const which = app.task('which', () => ${JSON.stringify(answer)})
const kwargs = z.object({ month: z.string(), copies: z.number().default(2) })
export const order = app.task('shop.order', { title: 'Export orders', kwargs }, (_task, { month, copies }) => month + copies)
export const nap = app.task('nap', async (task, seconds: number) => {
  for (let i = 0; i < seconds * 10; i++) await task.sleep(100)
  return 'slept'
})
`

describe('lovage dev', () => {
  test('runs new code soon after it was saved, and lets what runs finish', { timeout: 60_000 }, async () => {
    const { project, url } = await start()
    const napping = await project.app.sendTask('nap', [2])
    await project.reaches(napping.id, 'STARTED')
    const times: number[] = []
    for (const answer of ['second', 'third', 'fourth']) {
      const { generation: before } = await now(url)
      const savedAt = performance.now()
      project.write('tasks.ts', tasks(answer))
      // one save may be noticed twice: the worker that is there in the end
      await until('the next worker', async () => {
        const { state, generation } = await now(url)
        return state === 'running' && generation > before
      })
      const result = await project.app.sendTask('which', [])
      expect(await result.get({ timeoutMs: 20_000 })).toBe(answer)
      times.push(performance.now() - savedAt)
    }
    const { median, max } = spread(times)
    console.log(`new code ran ${median} ms after the save, at most ${max} ms`)
    // the goal of 1 s is an idle machine's
    expect(median).toBeLessThan(5000)
    expect(await project.app.result(napping.id).get({ timeoutMs: 20_000 })).toBe('slept')
    expect((await fetch(url)).status).toBe(200)
  })

  test('says that a file does not load, and goes on when it does again', { timeout: 60_000 }, async () => {
    const { project, url, dev } = await start()
    project.write('tasks.ts', 'export const app = new Lovag(')
    await dev.line(/did not start/)
    expect(await now(url)).toMatchObject({ state: 'broken', tasks: [{ name: 'nap' }, {}, {}] })
    const waiting = await project.app.sendTask('which', [])
    project.write('lib/more.ts', 'export const more = 1\n')
    project.write('tasks.ts', tasks('mended'))
    expect(await waiting.get({ timeoutMs: 20_000 })).toBe('mended')
    await until('it says so', async () => (await now(url)).state === 'running')
    dev.kill('SIGINT')
    expect((await dev.ended).code).toBe(0)
  })

  test('starts another worker when one was killed', { timeout: 60_000 }, async () => {
    const { project, dev } = await start()
    const napping = await project.app.sendTask('nap', [1])
    await project.reaches(napping.id, 'STARTED')
    const children = await until('its worker', () => childrenOf(dev.pid).at(0))
    process.kill(children, 'SIGKILL')
    await dev.line(/worker ended with SIGKILL/)
    expect(await napping.get({ timeoutMs: 20_000 })).toBe('slept')
  })

  test('is for this machine only', { timeout: 60_000 }, async () => {
    const { project, url } = await start()
    const refused = await project.lovage('dev', 'tasks.ts', '--host', '0.0.0.0')
    expect(refused.code).toBe(78)
    expect(refused.err).toContain('--host 0.0.0.0: the page of lovage dev has no login')
    const port = new URL(url).port
    const taken = await project.lovage('dev', 'tasks.ts', '--port', port)
    expect(taken.code).toBe(78)
    expect(taken.err).toContain(
      `Port ${port} is taken by another program. Choose another one: --port ${Number(port) + 1}`,
    )

    const json = { 'content-type': 'application/json' }
    const call = JSON.stringify({ name: 'which', input: [] })
    const answers = [
      await ask(url, { path: '/now', headers: { host: 'elsewhere.example' } }),
      await ask(url, { path: '/tasks/lovage.js', headers: { host: `elsewhere.example:${port}` } }),
      await ask(url, { path: '/call', method: 'POST', headers: { ...json, origin: 'http://elsewhere.example' } }, call),
      await ask(url, { path: '/call', method: 'POST', headers: { ...json, 'sec-fetch-site': 'cross-site' } }, call),
      await ask(url, { path: '/call', method: 'POST', headers: { 'content-type': 'text/plain' } }, call),
      await ask(url, { path: '/call', method: 'POST', headers: json }, '{'),
      await ask(url, { path: '/call', method: 'POST', headers: json }, '{"name":"which","input":5}'),
      await ask(url, { path: '/call', method: 'POST', headers: json }, '{"name":"nothing","input":[]}'),
      await ask(url, { path: '/call', method: 'POST', headers: json }, JSON.stringify('x'.repeat(2_000_000))),
      await ask(url, { path: '/call', method: 'POST', headers: json }, call),
    ]
    expect(answers).toEqual([403, 403, 403, 403, 415, 400, 400, 404, 413, 202])
  })
})

describe.runIf(hasChromium)('the page of lovage dev', () => {
  const openContext = useBrowser()

  test(
    'lists the tasks with something to begin with, calls them, and shows their runs',
    { timeout: 60_000 },
    async () => {
      const { project, url } = await start()
      const { page, complaints } = await openPage(await openContext(), url)
      const box = page.getByLabel('Arguments of shop.order, in JSON')
      await box.waitFor()
      expect(await box.inputValue()).toBe('{"month":"","copies":2}')
      expect(await page.getByLabel('Arguments of nap, in JSON').inputValue()).toBe('[]')
      await page.getByText('Schema').locator('visible=true').click()
      await page.getByText('"required"').waitFor()

      await box.fill('{"month": "2026-10"')
      await page.getByRole('button', { name: 'Run shop.order' }).click()
      await page.getByText('That is no JSON').waitFor()
      await box.fill('{"month": "2026-10"}')
      await page.getByRole('button', { name: 'Run shop.order' }).click()
      await page.locator('.run').filter({ hasText: '"2026-102"' }).getByText('Done').waitFor()

      await box.fill('{"month": 5}')
      await box.press('Control+Enter')
      await page
        .locator('.run')
        .locator('summary')
        .getByText(/InvalidArgumentError: shop.order: .*month/)
        .waitFor()

      // sent from elsewhere, stopped from here
      await project.app.sendTask('nap', [60])
      await page.getByRole('button', { name: 'Cancel nap' }).click()
      await page.locator('.run').filter({ hasText: 'nap' }).getByText('Cancelled').waitFor()
      project.write('tasks.ts', tasks('x').replaceAll(`'nap'`, `'doze'`))
      await page.getByLabel('Arguments of doze, in JSON').waitFor()
      expect(await page.getByLabel('Arguments of nap, in JSON').count()).toBe(0)
      expect(complaints).toEqual([])
    },
  )
})

async function start() {
  const project = new Project({ tasks: tasks('first') })
  const dev = project.start(['dev', 'tasks.ts', '--port', '0'])
  const { text: url } = await dev.line(/^http:/)
  await dev.line(/ ready\./)
  return { project, dev, url }
}

interface Now {
  readonly state: string
  readonly generation: number
}

async function now(url: string): Promise<Now> {
  return (await (await fetch(`${url}now`)).json()) as Now
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
}

interface Asked {
  readonly path: string
  readonly method?: string
  readonly headers: Readonly<Record<string, string>>
}

/** Not by `fetch`, which does not let a test say who it is. */
async function ask(url: string, { path, method = 'GET', headers }: Asked, body = ''): Promise<number | undefined> {
  const { port } = new URL(url)
  const asked = request({ host: '127.0.0.1', port, path, method, headers: { host: `127.0.0.1:${port}`, ...headers } })
  asked.end(body)
  return await new Promise((resolve, reject) => {
    asked.once('error', reject)
    asked.once('response', response => {
      response.resume()
      resolve(response.statusCode)
    })
  })
}
