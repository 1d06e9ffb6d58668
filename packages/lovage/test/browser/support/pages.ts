/** A page under our recommended policy, in a context of its own: nothing is shared between tests. */
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { launchChromium } from './chromium.ts'
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts'

export interface Stage {
  readonly server: ScriptedServer
  readonly context: BrowserContext
  /** What pages threw or complained of; a test that expects it takes it out. */
  readonly complaints: string[]
  readonly openContext: (options: BrowserContextOptions) => Promise<BrowserContext>
  /** @param body what stands in the page's body, beside the script that defines the elements */
  readonly open: (body: string, context?: BrowserContext) => Promise<Page>
}

/** Call it inside a `describe`: a server and a context for each test, one browser for all. */
export function useStage(): () => Stage {
  let browser: Browser | undefined
  let stage: Stage | undefined
  const contexts: BrowserContext[] = []

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())
  beforeEach(async () => {
    const server = await startScriptedServer()
    const complaints: string[] = []
    const openContext = async (options: BrowserContextOptions): Promise<BrowserContext> => {
      const context = await (browser as Browser).newContext(options)
      contexts.push(context)
      return context
    }
    const context = await openContext({})
    stage = { server, complaints, context, openContext, open }

    async function open(body: string, where = context): Promise<Page> {
      const path = `/page-${String(Object.keys(server.pages).length)}`
      server.pages[path] = toPage(body)
      const page = await where.newPage()
      page.on('pageerror', error => complaints.push(String(error)))
      page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
      await page.goto(server.url + path)
      return page
    }
  })
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close()
    await stage?.server.stop()
  })
  return () => stage as Stage
}

function toPage(body: string): string {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>Tasks</title>`
  const script = `<script type="module" src="/tasks/lovage.js"></script>`
  return `<!doctype html><html lang="en"><head>${head}${script}</head><body><main><h1>Tasks</h1>${body}</main></body></html>`
}
