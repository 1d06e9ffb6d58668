/**
 * A small server that speaks the contract and does what the test says: which snapshots there are, when streams are cut,
 * refused or mute, when the whole of it is gone for a while. The real routes have tests of their own.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { browserBundle } from '../../../src/web/browser-bundle.ts'
import type { GoneReason, PublicSnapshot, Version } from '../../../src/web/contract.ts'

export interface ScriptedServer {
  readonly url: string
  /** Of streams: those open now, and how many were opened in all. */
  readonly streams: { readonly open: number; readonly opened: number }
  /** `METHOD path`, in order. */
  readonly requests: readonly string[]
  /** What became of it so far: a page to show, by path. */
  pages: Record<string, string>
  /** `mute`: streams open, and not a byte comes. */
  mode: 'normal' | 'mute'
  /** Handle → the tasks it leads to. A handle that is not there is its own task's id. */
  readonly lists: Map<string, string[]>
  set(id: string, snapshot: SnapshotParts): void
  setGone(handle: string, reason: GoneReason): void
  /** Called with the id at each revoke; answers 202 afterwards. */
  onRevoke: (id: string) => void
  /** 0, or the status that streams are refused with. */
  refused: number
  /** Of the stream opened last. */
  readonly lastHandles: readonly string[]
  /** Tells every open stream that has `handle` to use `next`. */
  renew(handle: string, next: string): void
  stop(): Promise<void>
  /** On the same port as before. */
  start(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

interface SnapshotParts {
  readonly state: string
  readonly attempt?: number
  readonly [field: string]: unknown
}

interface Stream {
  readonly handles: readonly string[]
  readonly response: ServerResponse
}

export async function startScriptedServer(): Promise<ScriptedServer> {
  const { code } = await browserBundle()
  const snapshots = new Map<string, PublicSnapshot>()
  const gone = new Map<string, GoneReason>()
  const streams = new Set<Stream>()
  const sockets = new Set<Socket>()
  const requests: string[] = []
  const changed = new Set<() => void>()
  let opened = 0
  let lastHandles: readonly string[] = []
  let port = 0
  let server: Server | undefined

  const scripted: ScriptedServer = {
    get url() {
      return `http://127.0.0.1:${String(port)}`
    },
    get streams() {
      return { open: streams.size, opened }
    },
    requests,
    pages: {},
    mode: 'normal',
    lists: new Map(),
    onRevoke: () => undefined,
    refused: 0,
    get lastHandles() {
      return lastHandles
    },
    renew(handle, next) {
      for (const stream of streams)
        if (stream.handles.includes(handle))
          sendEvent(stream, 'handle', { handle: stream.handles.indexOf(handle), next })
    },
    set(id, parts) {
      snapshots.set(id, complete(id, parts))
      for (const stream of streams) sendMatching(stream, id)
      for (const wake of changed) wake()
    },
    setGone(handle, reason) {
      gone.set(handle, reason)
    },
    async start() {
      server = createServer((request, response) => void answer(request, response))
      server.on('connection', socket => {
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
      })
      await new Promise<void>(resolve => server?.listen(port, '127.0.0.1', resolve))
      port = (server.address() as AddressInfo).port
    },
    async stop() {
      const closed = new Promise(resolve => server?.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
    [Symbol.asyncDispose]: () => scripted.stop(),
  }
  await scripted.start()
  return scripted

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    requests.push(`${request.method ?? ''} ${path}`)
    if (path === '/tasks/lovage.js') return send(response, { type: 'text/javascript' }, code)
    if (path === '/favicon.ico') return send(response, { status: 204 }, '')
    const page = scripted.pages[path]
    if (page !== undefined) return sendPage(path, page, response)
    if (path === '/tasks/stream')
      return openStream(JSON.parse(await bodyOf(request)) as { handles: string[] }, response)
    const [, , id = '', verb] = path.split('/').map(decodeURIComponent)
    if (!path.startsWith('/tasks/') || !snapshots.has(id)) return send(response, { status: 404 })
    if (verb !== 'revoke') return answerSnapshot(id, request, response)
    send(response, { status: 202 })
    scripted.onRevoke(id)
  }

  async function answerSnapshot(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const etag = (): string => JSON.stringify(JSON.stringify(snapshots.get(id)?.version))
    if (request.headers['if-none-match'] === etag() && request.headers['prefer'] !== 'wait=0') {
      await new Promise<void>(resolve => {
        const wake = (): void => {
          changed.delete(wake)
          resolve()
        }
        changed.add(wake)
        request.socket.on('close', wake)
      })
    }
    response.setHeader('etag', etag())
    send(response, {}, JSON.stringify(snapshots.get(id)))
  }

  function openStream({ handles }: { handles: string[] }, response: ServerResponse): void {
    if (scripted.refused > 0) return send(response, { status: scripted.refused })
    opened += 1
    lastHandles = handles
    const stream = { handles, response }
    streams.add(stream)
    response.on('close', () => streams.delete(stream))
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    if (scripted.mode === 'mute') return
    response.write(': hello\n\n')
    for (const [index, handle] of handles.entries()) {
      const reason = gone.get(handle)
      if (reason !== undefined) sendEvent(stream, 'gone', { handle: index, reason })
      for (const id of tasksOf(handle)) if (reason === undefined) sendMatching(stream, id)
    }
  }

  function sendMatching(stream: Stream, id: string): void {
    const snapshot = snapshots.get(id)
    if (snapshot === undefined || scripted.mode === 'mute') return
    for (const [index, handle] of stream.handles.entries())
      if (tasksOf(handle).includes(id)) sendEvent(stream, 'snapshot', { ...snapshot, handle: index })
  }

  function tasksOf(handle: string): readonly string[] {
    return scripted.lists.get(handle) ?? [handle]
  }
}

function sendEvent({ response }: Stream, name: string, data: object): void {
  response.write(`event: ${name}\nid: e-1\ndata: ${JSON.stringify(data)}\n\n`)
}

/** Under the policy we recommend. A page's own style sheet and script are pages too, by their names. */
function sendPage(path: string, page: string, response: ServerResponse): void {
  response.setHeader(
    'content-security-policy',
    `default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; base-uri 'none'`,
  )
  send(response, { type: `text/${path.endsWith('.js') ? 'javascript' : 'html'}; charset=utf-8` }, page)
}

function send(response: ServerResponse, { status = 200, type = 'application/json' }, body = '{}'): void {
  response.writeHead(status, { 'content-type': type })
  response.end(body)
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  return body
}

const ranks: Readonly<Record<string, number>> = { PENDING: 0, RECEIVED: 1, STARTED: 2, RETRY: 4 }
let seq = 0

/** The parts with what every snapshot has: versions grow from call to call unless the parts say otherwise. */
function complete(id: string, parts: SnapshotParts): PublicSnapshot {
  const ready = /^(SUCCESS|FAILURE|REVOKED)$/.test(parts.state)
  const rank = ready ? 5 : (ranks[parts.state] ?? 3)
  const attempt = parts.attempt ?? 1
  const version: Version = [ready ? 1 : 0, attempt - 1, rank >= 2 ? 1 : 0, rank, (seq += 1)]
  return { id, version, attempt, seq, ready, can: ['read', 'result'], ...parts } as PublicSnapshot
}
