/** lovage/web/node: the routes on `node:http`, and on what is built on it: Express, Connect, Fastify. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { problem, secured } from './answers.ts'
import { RequestProblem } from './requests.ts'
import type { TaskRoutes } from './routes.ts'
import type { Sink, Stream } from './sse.ts'
import { setTransport, streamOf } from './transport.ts'
import { defaultLimits } from './web-limits.ts'

/** A request as frameworks leave it: Express strips the mount path from `url`, body parsers put what they read into `body`. */
type NodeRequest = IncomingMessage & { readonly body?: unknown }

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void

/** For `http.createServer`, `app.use('/tasks', …)` of Express, and Fastify after `reply.hijack()`. Answers everything it is given. */
export function toNodeHandler(routes: TaskRoutes): NodeHandler {
  return (request, response) => {
    answer(routes, request, response).catch(() => response.destroy())
  }
}

async function answer(routes: TaskRoutes, request: NodeRequest, response: ServerResponse): Promise<void> {
  const given = await toRequest(request, abortsWith(request, response)).catch((error: unknown) => refusalOf(error))
  if (response.destroyed) return
  if (given instanceof Response) return await send(response, given)
  setTransport(given, { address: addressOf(request) })
  const answered = await routes.fetch(given)
  const stream = streamOf(answered)
  if (stream === undefined) return await send(response, answered)
  attach(stream, response, answered)
}

const mostBytes = defaultLimits.bodyBytes

/** What is sent, at most so much; or what a body parser before us made of it. @throws {RequestProblem} */
async function bodyOf(request: NodeRequest): Promise<Uint8Array<ArrayBuffer> | string | undefined> {
  if (request.method !== 'POST') return undefined
  if (request.readableEnded || request.body !== undefined) return parsedBody(request.body)
  if (Number(request.headers['content-length'] ?? 0) > mostBytes) throw tooLarge()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength
    if (size > mostBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parsedBody(body: unknown): string | undefined {
  if (body === undefined || body === null) return undefined
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  if (Buffer.byteLength(text) > mostBytes) throw tooLarge()
  return text
}

function tooLarge(): RequestProblem {
  return new RequestProblem('too-large', `The body is larger than ${mostBytes} bytes`)
}

/** Only for one that may wait: a signal costs more than all the rest of a request, and a stream hears of its end otherwise. */
function abortsWith(request: IncomingMessage, response: ServerResponse): AbortSignal | undefined {
  if (request.headers['prefer'] === undefined) return undefined
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  return gone.signal
}

async function toRequest(request: NodeRequest, signal: AbortSignal | undefined): Promise<Request> {
  const body = await bodyOf(request)
  // HTTP/2 has another word for the host
  const host = request.headers.host ?? request.headers[':authority'] ?? 'localhost'
  const url = `http://${String(host)}${request.url ?? '/'}`
  const { method = 'GET' } = request
  return new Request(url, {
    method,
    headers: headersOf(request),
    ...(signal === undefined ? {} : { signal }),
    ...(body === undefined ? {} : { body }),
  })
}

/** What was not read is not read any more: the connection ends. */
function refusalOf(error: unknown): Response {
  const close = { connection: 'close' }
  if (error instanceof RequestProblem) return secured(problem(error.code, error.message, close))
  return secured(problem('bad-request', 'The address, a header or the method cannot be read', close))
}

function headersOf(request: IncomingMessage): Headers {
  const headers = new Headers()
  const { rawHeaders } = request
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = [rawHeaders[index], rawHeaders[index + 1]]
    // HTTP/2's own begin with a colon
    if (!name.startsWith(':')) headers.append(name, value)
  }
  return headers
}

/**
 * Who is at the other end: behind a proxy of this machine or network, what that proxy says (the last in the list, the
 * only one it vouches for). Undefined: this machine itself, which nobody counts.
 */
function addressOf(request: IncomingMessage): string | undefined {
  const address = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? ''
  if (!isNear(address)) return address
  const forwarded = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',').at(-1)?.trim() ?? ''
  if (isIP(forwarded) !== 0) return forwarded
  return isLoopback(address) ? undefined : address
}

function isLoopback(address: string): boolean {
  return address === '' || address === '::1' || address.startsWith('127.')
}

function isNear(address: string): boolean {
  return isLoopback(address) || /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd][0-9a-f]{2}:)/i.test(address)
}

async function send(response: ServerResponse, answered: Response): Promise<void> {
  const body = answered.body === null ? undefined : Buffer.from(await answered.arrayBuffer())
  if (response.destroyed) return
  if (body !== undefined) answered.headers.set('content-length', String(body.byteLength))
  response.writeHead(answered.status, Object.fromEntries(answered.headers))
  response.end(body)
}

/** Straight to the socket: a stream of ten thousand costs no web stream each. */
function attach(stream: Stream, response: ServerResponse, answered: Response): void {
  response.on('close', () => stream.close())
  response.on('error', () => stream.close())
  response.on('drain', () => stream.drained())
  if (response.destroyed) return stream.close()
  response.socket?.setNoDelay(true)
  response.socket?.setTimeout(0)
  response.writeHead(answered.status, Object.fromEntries(answered.headers))
  response.flushHeaders()
  stream.attach(new ResponseSink(response))
}

class ResponseSink implements Sink {
  readonly #response: ServerResponse

  constructor(response: ServerResponse) {
    this.#response = response
  }

  get bufferedBytes(): number {
    return this.#response.writableLength
  }

  write(text: string): void {
    this.#response.write(text)
  }

  end(): void {
    this.#response.end()
  }

  destroy(): void {
    this.#response.destroy()
  }
}
