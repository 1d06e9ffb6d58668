/** The routes on node:http as frameworks call them: path stripped, body read by somebody else, client gone early. */
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { kit } from '../unit/web/support.ts'
import type { Kit, KitOptions } from '../unit/web/support.ts'
import { toNodeHandler } from '../../src/web/node.ts'
import type { NodeHandler } from '../../src/web/node.ts'
import { until } from './support/until.ts'

type Mount = (tasks: NodeHandler) => (...args: Parameters<NodeHandler>) => void | Promise<void>

const mounts: readonly (readonly [string, Mount])[] = [
  ['node:http', tasks => tasks],
  [
    'Express, which strips the path and may have read the body',
    tasks => async (request, response) => {
      Object.assign(request, { originalUrl: request.url, url: request.url?.slice('/tasks'.length) })
      if (request.method === 'POST') Object.assign(request, { body: JSON.parse(await textOf(request)) as unknown })
      tasks(request, response)
    },
  ],
  [
    'Fastify after hijack, which has read the body as text',
    tasks => async (request, response) => {
      const body = request.method === 'POST' ? await textOf(request) : undefined
      tasks(Object.assign(request, { body }), response)
    },
  ],
]

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

async function serve(
  mount: Mount,
  options: KitOptions = {},
): Promise<Kit & { readonly base: string; readonly server: Server }> {
  const made = await kit(options)
  const handler = mount(toNodeHandler(made.routes))
  const server = createServer((request, response) => void handler(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { ...made, server, base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks` }
}

test.each(mounts)('%s: snapshot, revoke and stream', async (_what, mount) => {
  const { base, put, handle, backend } = await serve(mount)
  await put({ id: 'ü/1', state: 'STARTED' })
  const headers = {
    authorization: `Bearer ${handle('ü/1', { allow: ['read', 'revoke'] })}`,
    'content-type': 'application/json',
  }
  const path = `${base}/${encodeURIComponent('ü/1')}`
  const read = await fetch(path, { headers })
  expect(await read.json()).toMatchObject({ id: 'ü/1', state: 'STARTED' })
  const etag = read.headers.get('etag') ?? ''
  expect((await fetch(path, { headers: { ...headers, 'if-none-match': etag } })).status).toBe(304)
  const revoked = await fetch(`${path}/revoke`, { method: 'POST', headers, body: '{"reason":"enough"}' })
  expect(revoked.status).toBe(202)
  expect(await backend.coordination.get('revoke/ü/1')).toContain('enough')
  const body = JSON.stringify({ handles: [handle('ü/1')] })
  const stream = await fetch(`${base}/stream`, { method: 'POST', headers, body })
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (!text.includes('"state":"STARTED"')) text += (await reader?.read())?.value ?? ''
  await put({ id: 'ü/1', state: 'SUCCESS', value: '1' })
  while (!text.includes('"state":"SUCCESS"')) text += (await reader?.read())?.value ?? ''
  await reader?.cancel()
})

test('a stream answers at once, though the store does not', async () => {
  const { base, handle, backend } = await serve(tasks => tasks)
  await fetch(`${base}/nobody`)
  backend.results.getMany = () => new Promise(() => undefined)
  const askedAt = performance.now()
  const answer = await fetch(`${base}/stream?handle=${handle('a')}`)
  await answer.body?.getReader().read()
  console.log(`first bytes after ${Math.round(performance.now() - askedAt)} ms`)
  expect(answer.status).toBe(200)
})

test('a client that goes away leaves nothing behind', async () => {
  const { base, put, handle, server, routes } = await serve(tasks => tasks, { limits: { streamsPerHandle: 3 } })
  await put({ id: 'a', state: 'STARTED' })
  const own = handle('a')
  const open = async (): Promise<number> => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1')
    socket.write(`GET /tasks/stream?handle=${own} HTTP/1.1\r\nhost: x\r\n\r\n`)
    const head = await new Promise<string>(resolve => socket.once('data', chunk => resolve(String(chunk))))
    socket.resetAndDestroy()
    return Number(head.split(' ')[1])
  }
  // each must be forgotten for the next to be let in
  for (let count = 0; count < 20; count++) await until('the next is let in', async () => (await open()) === 200)
  const waiting = new AbortController()
  const asked = fetch(`${base}/a`, {
    headers: { authorization: `Bearer ${own}`, prefer: 'wait=25' },
    signal: waiting.signal,
  })
  await until(
    'it is there',
    () => new Promise<boolean>(resolve => server.getConnections((_error, count) => resolve(count > 0))),
  )
  waiting.abort()
  await expect(asked).rejects.toThrow('aborted')
  await routes.close()
  await until(
    'no connection is left',
    () => new Promise<boolean>(resolve => server.getConnections((_error, count) => resolve(count === 0))),
  )
})
