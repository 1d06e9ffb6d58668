/** The tutorial as it is run: web processes, a worker, one SQLite file, in a folder of its own. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright-core'
import { onTestFinished } from 'vitest'
import { Child, command } from '../../faults/support/child.ts'

export const repository: string = fileURLToPath(new URL('../../../../../', import.meta.url))
const server = join(repository, 'examples/tutorial/server.ts')
/** Where the Python worker's file is. */
const celeryFolder = join(repository, 'examples/tutorial')
const tasks = join(repository, 'examples/tasks/tasks.ts')

export interface Web {
  readonly child: Child
  readonly port: number
  readonly url: string
}

export class Tutorial {
  readonly folder: string
  readonly env: NodeJS.ProcessEnv

  /** @param env settings of its processes; without LOVAGE_BROKER_URL, a file of its own */
  constructor(env: NodeJS.ProcessEnv = {}) {
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'lovage-tutorial-')))
    this.env = { LOVAGE_BROKER_URL: `sqlite:${join(this.folder, 'queue.db')}`, ...env }
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }))
  }

  async web(wanted = 0): Promise<Web> {
    const child = new Child([server], { cwd: this.folder, env: { ...this.env, PORT: String(wanted) } })
    const { text } = await child.line(/^http:/)
    return { child, url: text, port: Number(new URL(text).port) }
  }

  async worker(concurrency = 4): Promise<Child> {
    const args = [command, 'worker', tasks, '-c', String(concurrency)]
    const child = new Child(args, { cwd: this.folder, env: this.env })
    await child.line(/ ready\./)
    return child
  }

  /** A stock Celery worker in its place, for web processes with LOVAGE_DEFAULT_QUEUE=python. */
  async celeryWorker(python: string, concurrency = 4): Promise<Child> {
    const args = ['-m', 'celery', '-A', 'worker', 'worker', '-c', String(concurrency), '-l', 'INFO']
    const env = { CELERY_BROKER_URL: this.env['LOVAGE_BROKER_URL'], PYTHONDONTWRITEBYTECODE: '1' }
    const child = new Child(args, { cwd: celeryFolder, env, program: python })
    await child.line(/ ready\./)
    return child
  }

  /** `npm start`, without the installing. */
  async npmStart(env: NodeJS.ProcessEnv = {}): Promise<Web> {
    const args = [join(repository, 'scripts/start.js')]
    const child = new Child(args, { cwd: this.folder, env: { ...this.env, PORT: '0', ...env } })
    onTestFinished(() => child.kill('SIGTERM'))
    const { text } = await child.line(/^http:/)
    await child.line(/ ready\./)
    return { child, url: text, port: Number(new URL(text).port) }
  }
}

/** One address for several web processes: each request goes to the next one. */
export async function alternate(ports: readonly number[]): Promise<string> {
  let turn = 0
  const proxy = createServer((request, response) => {
    const { method, url, headers } = request
    const port = ports[turn++ % ports.length]
    const onward = forward({ host: '127.0.0.1', port, method, path: url, headers }, answer => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    onward.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
  proxy.listen(0, '127.0.0.1')
  await new Promise(resolve => proxy.once('listening', resolve))
  onTestFinished(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  return `http://127.0.0.1:${String((proxy.address() as AddressInfo).port)}/`
}

/** A page of the tutorial that says what goes wrong in it. */
export async function openPage(context: BrowserContext, url: string): Promise<{ page: Page; complaints: string[] }> {
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
  await page.goto(url)
  return { page, complaints }
}

export async function submit(page: Page, seconds: string): Promise<void> {
  await page.locator('#l').fill(seconds)
  await page.locator('#l').press('Enter')
}
