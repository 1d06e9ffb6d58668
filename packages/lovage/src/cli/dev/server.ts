/**
 * The page of `lovage dev`: the tasks with a box to call each, and their runs. For the person at this machine only: it
 * answers no other name than the loopback's, so that no site can reach it through a name of its own.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { LovageError } from '../../core/errors.ts'
import { DevApp, Refused, type DevAppOptions } from './dev-app.ts'

export interface DevPage {
  readonly server: Server
  /** Ends streams and connections. */
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const mostBytes = 1024 * 1024

export function createDevPage(options: DevAppOptions): DevPage {
  const app = new DevApp(options)
  const server = createServer((request, response) => void answer(request, response))
  return { server, close }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').replace(/\?.*$/s, '')
    try {
      assertLoopback(request)
      if (path.startsWith('/tasks/')) return app.handler()(request, response)
      send(response, await answerPage(request, path))
    } catch (error) {
      send(response, toProblem(error))
    }
  }

  async function answerPage(request: IncomingMessage, path: string): Promise<Answer> {
    switch (`${request.method ?? ''} ${path}`) {
      case 'GET /':
        return asset('index.html', 'text/html')
      case 'GET /page.css':
        return asset('page.css', 'text/css')
      case 'GET /page.js':
        return asset('page.js', 'text/javascript')
      case 'GET /now':
        return json(200, await app.now())
      case 'POST /call':
        return json(202, await app.call(await readJson(request)))
      default:
        throw new Refused(404, 'There is nothing here')
    }
  }

  async function close(): Promise<void> {
    server.close()
    await app.close()
    server.closeAllConnections()
  }
}

// ── Requests and answers ───────────────────────────────────────────────────────────────────────────

const loopbackNames: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]'])

export function isLoopbackName(host: string): boolean {
  return loopbackNames.has(host) || host === '::1'
}

function assertLoopback({ headers, method }: IncomingMessage): void {
  const { host = '', origin, 'sec-fetch-site': site } = headers
  if (!loopbackNames.has(host.replace(/:\d+$/, ''))) throw new Refused(403, 'This page answers on 127.0.0.1 only')
  if (method === 'GET' || method === 'HEAD') return
  if (site !== undefined ? site !== 'same-origin' : origin !== undefined && origin !== `http://${host}`)
    throw new Refused(403, 'Only this page itself may do that')
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) throw new Refused(415, 'Expected JSON')
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength
    if (size <= mostBytes) chunks.push(chunk)
  }
  if (size > mostBytes) throw new Refused(413, `Larger than ${mostBytes} bytes`)
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) ?? {}
  } catch {
    throw new Refused(400, 'That is no JSON')
  }
}

function asset(name: string, type: string): Answer {
  return { status: 200, type, body: readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8') }
}

function json(status: number, value: object): Answer {
  return { status, type: 'application/json', body: JSON.stringify(value) }
}

function toProblem(error: unknown): Answer {
  if (error instanceof Refused) return json(error.status, { error: error.message })
  const isTheirs = error instanceof LovageError && error.code === 'E_INVALID_ARGUMENT'
  return json(isTheirs ? 400 : 500, { error: error instanceof Error ? error.message : String(error) })
}

const policy =
  `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; ` +
  `form-action 'none'; frame-ancestors 'none'; base-uri 'none'`

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  response.end(body)
}
