/**
 * The tutorial's application: a page with a form, a task for each number that is posted, and its state in the tutorial's
 * shape. Any number of these processes may run at once: nothing is kept in them.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AnyLovage } from 'lovage'
import { taskRoutes, tutorialStatus } from 'lovage/web'
import { toNodeHandler } from 'lovage/web/node'
import { readForm, Refusal } from './forms.ts'

export interface Site {
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** Says goodbye to the streams: their pages connect again, elsewhere. */
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

type Page = (request: IncomingMessage, id: string) => Answer | Promise<Answer>

export function createSite(app: AnyLovage): Site {
  // a visitor may see and cancel the tasks that this visitor's browser has sent, by their ids alone
  const routes = taskRoutes(app, {
    authorize: (request, { owner }) => owner !== undefined && owner === visitorIn(request.headers.get('cookie')),
  })
  const answerTasks = toNodeHandler(routes)
  const pages: Readonly<Record<string, Page>> = {
    'GET /': welcome,
    'GET /classic/': welcome,
    'GET /page.css': () => file('page.css'),
    'GET /page.js': () => file('page.js'),
    'GET /classic.js': () => file('classic.js'),
    'POST /run-long-task/': runLongTask,
    'GET /task-status/:id/': taskStatus,
  }
  return { answer, close: () => routes.close() }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').replace(/\?.*$/s, '')
    if (path.startsWith('/tasks/')) return answerTasks(request, response)
    send(response, await answerPage(request, path).catch(toProblem), request.method === 'HEAD')
  }

  async function answerPage(request: IncomingMessage, path: string): Promise<Answer> {
    const [, id = ''] = /^\/task-status\/([^/]+)\/$/.exec(path) ?? []
    const place = id === '' ? path : '/task-status/:id/'
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const page = pages[`${method ?? ''} ${place}`]
    if (page !== undefined) return await page(request, decode(id))
    const allow = ['GET', 'POST'].find(each => pages[`${each} ${place}`] !== undefined)
    if (allow === undefined) throw new Refusal(404, 'There is nothing here')
    throw new Refusal(405, `Only ${allow} is answered here`, { allow })
  }

  /** The seed's view: it hands on the raw text of the field, so that `abc` is the task's to refuse. */
  async function runLongTask(request: IncomingMessage): Promise<Answer> {
    const seconds = (await readForm(request)).get('l') ?? ''
    if (seconds.trim() === '') throw new Refusal(400, 'How many seconds? The field "l" is empty.')
    const owner = visitorIn(request.headers.cookie) ?? newVisitor()
    const result = await app.sendTask('core.tasks.loop', [seconds], {}, { owner })
    const handle = routes.handle(result, { allow: ['read', 'result', 'revoke'] })
    return json(202, { task_id: result.id, handle }, { 'set-cookie': cookieOf(owner) })
  }

  /**
   * Whoever has an id may read its state here: that is the tutorial's contract, and not the safe default. The routes
   * below /tasks/ ask for a handle, or for the visitor's cookie.
   */
  async function taskStatus(_request: IncomingMessage, id: string): Promise<Answer> {
    const snapshot = await app.result(id).snapshot()
    if (snapshot === undefined) throw new Refusal(404, 'No task with this id is known')
    return json(200, tutorialStatus(snapshot))
  }
}

// ── The visitor ────────────────────────────────────────────────────────────────────────────────────

/** A page's first visit gives the cookie, so that its posts, however many at once, have one owner. */
function welcome(request: IncomingMessage): Answer {
  const page = file((request.url ?? '').startsWith('/classic/') ? 'classic.html' : 'index.html')
  const isKnown = visitorIn(request.headers.cookie) !== undefined
  return isKnown ? page : { ...page, headers: { 'set-cookie': cookieOf(newVisitor()) } }
}

function visitorIn(cookies: string | null | undefined): string | undefined {
  return /(?:^|;\s*)visitor=([\w-]{22})(?:;|$)/.exec(cookies ?? '')?.[1]
}

function newVisitor(): string {
  return randomBytes(16).toString('base64url')
}

function cookieOf(visitor: string): string {
  return `visitor=${visitor}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax`
}

// ── Answers ────────────────────────────────────────────────────────────────────────────────────────

const types: Readonly<Record<string, string>> = { html: 'text/html', css: 'text/css', js: 'text/javascript' }

function file(name: string): Answer {
  const body = readFileSync(new URL(`public/${name}`, import.meta.url), 'utf8')
  return { status: 200, type: types[name.replace(/.*\./, '')] ?? 'text/plain', body }
}

function json(status: number, value: object, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, type: 'application/json', body: JSON.stringify(value), headers }
}

function toProblem(error: unknown): Answer {
  if (error instanceof Refusal) return json(error.status, { error: error.message }, error.headers)
  console.error(error)
  return json(503, { error: 'This cannot be done right now. Try again in a moment.' }, { 'retry-after': '2' })
}

const policy =
  `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; ` +
  `form-action 'self'; frame-ancestors 'none'; base-uri 'none'`

function send(response: ServerResponse, { status, type, body, headers = {} }: Answer, isHead: boolean): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-cache',
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    ...headers,
  })
  response.end(isHead ? undefined : body)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
