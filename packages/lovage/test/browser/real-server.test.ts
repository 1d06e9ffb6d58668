/** Client, routes, store and worker together: nothing is scripted. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Lovage } from '../../src/index.ts'
import { startTestWorker, type TestWorker } from '../../src/testing/index.ts'
import { taskRoutes, type TaskRoutes } from '../../src/web/index.ts'
import { toNodeHandler } from '../../src/web/node.ts'
import { hasChromium, launchChromium } from './support/chromium.ts'

const secret = 'a secret of more than thirty-two bytes'

interface Site {
  readonly routes: TaskRoutes
  readonly url: string
  stop(): Promise<void>
}

describe.runIf(hasChromium)('a page, its server and a worker', () => {
  let browser: Browser | undefined
  let worker: TestWorker | undefined
  let site: Site | undefined

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterEach(async () => {
    await site?.stop()
    await worker?.stop()
  })
  afterAll(() => browser?.close())

  async function start(): Promise<ReturnType<typeof createApp>> {
    const tasks = createApp()
    worker = await startTestWorker(tasks.app)
    site = await serve(tasks.app)
    return tasks
  }

  async function open(body: string): Promise<Page> {
    const page = await (browser as Browser).newPage()
    await page.goto(`${site?.url ?? ''}/?${new URLSearchParams({ body }).toString()}`)
    return page
  }

  const element = (handle: string): string => `<lovage-task handle="${handle}"></lovage-task>`

  it('show a task from its beginning to its end', async () => {
    const { count, step } = await start()
    const result = await count.delay(4)
    const page = await open(element(site?.routes.handle(result) ?? ''))
    for (const percent of [0, 25, 50, 75]) {
      await page.getByText(`${String(percent)}%`, { exact: true }).waitFor()
      step()
    }
    await page.locator('lovage-task[state=SUCCESS]').getByText('Done').waitFor()
    expect(
      await page.locator('lovage-task').evaluate(task => (task as never as { snapshot: unknown }).snapshot),
    ).toMatchObject({
      state: 'SUCCESS',
      result: 4,
    })
  })

  it('show why a task failed, in words for people only', async () => {
    const { fail } = await start()
    const page = await open(element(site?.routes.handle(await fail.delay()) ?? ''))
    await page.getByText(/^Reference [0-9A-F]{4}-[0-9A-F]{4}$/).waitFor()
    expect(await page.content()).not.toContain('secret of the house')
  })

  it('stop a task by its button', async () => {
    const { count } = await start()
    const handle = site?.routes.handle(await count.delay(4), { allow: ['read', 'revoke'] }) ?? ''
    const page = await open(element(handle))
    await page.getByRole('button', { name: 'Cancel Count' }).click()
    await page.locator('lovage-task[state=REVOKED]').getByText('Cancelled').waitFor()
    expect(await page.getByRole('button').count()).toBe(0)
  })

  it('list what an owner has, and what is sent later', async () => {
    const { count, step } = await start()
    await count.applyAsync([1], { owner: 'ann' })
    const list = site?.routes.listHandle({ owner: 'ann', allow: ['read', 'revoke'] }) ?? ''
    const page = await open(`<lovage-tasks handle="${list}" label="Ann’s"></lovage-tasks>`)
    await page.getByRole('rowheader', { name: 'Count' }).waitFor()
    await count.applyAsync([2], { owner: 'ann' })
    await count.applyAsync([2], { owner: 'bob' })
    await page.getByRole('button', { name: 'Cancel Count' }).nth(1).waitFor()
    step()
    await page.getByText('Done', { exact: true }).waitFor()
    expect(await page.getByRole('rowheader').count()).toBe(2)
  })

  it('go on after the server was restarted, with the same handles', async () => {
    const { app, count, step } = await start()
    const page = await open(element(site?.routes.handle(await count.delay(4)) ?? ''))
    await page.getByText('0%', { exact: true }).waitFor()
    const port = Number(new URL(site?.url ?? '').port)
    await site?.stop()
    step()
    site = await serve(app, port)
    await page.getByText('25%', { exact: true }).waitFor()
    await page.locator('lovage-task[link=live]').waitFor()
    expect(await page.getByText('Reconnecting').count()).toBe(0)
  })

  it('tell of a handle that leads nowhere', async () => {
    await start()
    const page = await open(element('v1.k.e30.forged') + element('no-such-id'))
    await page.getByText('This task cannot be shown here.', { exact: true }).waitFor()
    await page.getByText('This task does not exist or has expired.', { exact: true }).waitFor()
    expect(await page.locator('lovage-task[link=gone]').count()).toBe(2)
  })
})

function createApp() {
  const app = new Lovage('mysite')
  const waiting: (() => void)[] = []
  const count = app.task('count', { title: 'Count' }, async (task, total: number) => {
    for (let done = 0; done < total; done += 1) {
      task.progress(done, total)
      await new Promise<void>((resolve, reject) => {
        waiting.push(resolve)
        task.signal.addEventListener('abort', () => reject(task.signal.reason as Error))
      })
    }
    return total
  })
  const fail = app.task('fail', (): void => {
    throw new Error('secret of the house')
  })
  return { app, count, fail, step: () => waiting.shift()?.() }
}

async function serve(app: Lovage, port = 0): Promise<Site> {
  const routes = taskRoutes(app, { secret })
  const handler = toNodeHandler(routes)
  const sockets = new Set<Socket>()
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    if (url.pathname.startsWith('/tasks/')) return handler(request, response)
    response.setHeader('content-type', 'text/html; charset=utf-8')
    const script = '<script type="module" src="/tasks/lovage.js"></script>'
    response.end(`<!doctype html><html lang="en"><title>Tasks</title>${script}${url.searchParams.get('body') ?? ''}`)
  })
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  return {
    routes,
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    async stop() {
      await routes.close()
      const closed = new Promise(resolve => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
