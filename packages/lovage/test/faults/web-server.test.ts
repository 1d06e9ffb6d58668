/** Web processes and the sockets of their pages: killed, stopped, never read from, fed with rubbish. */
import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { Project } from './support/project.ts'
import { spread, until } from './support/until.ts'
import { getText, Page, startWeb } from './support/web-client.ts'
import type { WebServer } from './support/web-client.ts'

const isBackward = (told: Page['told']): boolean =>
  told.some((each, index) => index > 0 && compare(each.version, told[index - 1]?.version ?? []) < 0)

function compare(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((part, place) => part !== b[place])
  return index < 0 ? 0 : (a[index] ?? 0) - (b[index] ?? 0)
}

test('a page whose web process is killed 20 times in mid-stream ends with the right state each time, at the next one', async () => {
  const project = new Project()
  await project.worker()
  let web = await startWeb(project)
  const away: number[] = []
  for (let round = 0; round < 20; round++) {
    const next = startWeb(project)
    const { id } = await project.app.sendTask('steps', [6, 100])
    const handle = await getText(web, `/handle/${id}`)
    const page = new Page()
    await page.connect(web, handle)
    await until('progress', () => page.last?.state === 'PROGRESS')
    const spare = await next
    const told = page.told.length
    web.child.kill('SIGKILL')
    const killedAt = performance.now()
    await page.ended
    web = spare
    await page.connect(web, handle)
    await until('a snapshot of the other process', () => page.told.length > told)
    away.push(performance.now() - killedAt)
    await until('the end', () => page.last?.state === 'SUCCESS')
    expect(page.last?.result).toBe(6)
    expect(isBackward(page.told)).toBe(false)
  }
  console.log(`from the kill to the first snapshot elsewhere: ${JSON.stringify(spread(away))} ms`)
}, 120_000)

test('a web process that is told to end says goodbye and ends, open streams or not', async () => {
  const project = new Project()
  const web = await startWeb(project)
  const backend = await project.backend()
  await backend.results.put({ id: 'a', state: 'STARTED', retries: 0, delivery: 1, seq: 1, at: Date.now() })
  const page = new Page()
  await page.connect(web, await getText(web, '/handle/a'))
  await until('the snapshot', () => page.last?.state === 'STARTED')
  const askedAt = performance.now()
  web.child.kill('SIGTERM')
  expect(await web.child.ended).toEqual({ code: null, signal: 'SIGTERM' })
  await page.ended
  expect(page.byes).toHaveLength(1)
  expect(performance.now() - askedAt).toBeLessThan(2000)
})

test('clients that never read cost no memory and are cut off; the others go on', async () => {
  const project = new Project()
  const web = await startWeb(project, { frameMs: 5, stuckMs: 2000 })
  const { results } = await project.backend()
  const put = async (seq: number, state: string, value: string): Promise<void> =>
    void (await results.put({ id: 'fat', state, retries: 0, delivery: 1, seq, at: Date.now(), value }))
  await put(0, 'STARTED', '{}')
  const handle = await getText(web, '/handle/fat')
  const before = await memory(web)
  const stuck = await Promise.all(Array.from({ length: 5 }, () => openUnread(web, handle)))
  const page = new Page()
  await page.connect(web, handle)
  const fat = JSON.stringify('x'.repeat(256 * 1024))
  for (let seq = 1; seq <= 200; seq++) {
    await put(seq, 'FILLING', fat)
    await until('the reader has it', () => (page.last?.version[4] ?? 0) >= seq)
  }
  const { rss } = await memory(web)
  const grown = (rss - before.rss) / 1e6
  console.log(`5 clients that read nothing of 50 MB each: the server grew by ${Math.round(grown)} MB`)
  expect(grown).toBeLessThan(150)
  await until('they are cut', async () => (await memory(web)).count <= 2, { timeoutMs: 15_000 })
  await put(201, 'SUCCESS', '1')
  await until('the end', () => page.last?.state === 'SUCCESS')
  for (const socket of stuck) socket.destroy()
}, 60_000)

async function memory(web: WebServer): Promise<{ readonly rss: number; readonly count: number }> {
  return JSON.parse(await getText(web, '/memory')) as { rss: number; count: number }
}

/** A client that asks for a stream and then reads nothing of it. */
async function openUnread({ port }: WebServer, handle: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  socket.pause()
  await new Promise(resolve => socket.once('connect', resolve))
  socket.write(`GET /tasks/stream?handle=${handle} HTTP/1.1\r\nhost: x\r\n\r\n`)
  return socket
}

/** Sends bytes as they are and gives what comes back until the server ends the connection. */
async function exchange({ port }: WebServer, ...parts: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.setEncoding('utf8').on('data', chunk => (text += String(chunk)))
  socket.on('error', () => undefined)
  const ended = new Promise(resolve => socket.once('close', resolve))
  for (const part of parts) socket.write(part)
  await ended
  return text
}

test('10 MB are refused before they are read, by length and by chunks', async () => {
  const project = new Project()
  const web = await startWeb(project)
  const { rss } = await memory(web)
  for (const path of ['/tasks/stream', '/tasks/some-id/revoke']) {
    const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`
    const told = await exchange(web, `${head}content-length: 10000000\r\n\r\n`)
    expect(told).toMatch(/^HTTP\/1\.1 413 /)
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
    const chunked = await exchange(web, `${head}transfer-encoding: chunked\r\n\r\n`, chunk.repeat(160))
    // what was said may be lost with the connection, which ends with unread bytes
    expect(chunked === '' || chunked.startsWith('HTTP/1.1 413 ')).toBe(true)
  }
  expect((await memory(web)).rss - rss).toBeLessThan(100e6)
})

test.each([
  ['a host that is none', 'GET /tasks/a HTTP/1.1\r\nhost: [\r\nconnection: close\r\n\r\n', 400],
  ['an escape that is none', 'GET /tasks/%E0%A4%A HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 404],
  ['a path that climbs', 'GET /tasks/../../etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 404],
  ['an absolute address', 'GET http://evil.test/tasks/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 404],
  ['a method nobody has', 'PURGE /tasks/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 405],
  ['TRACE', 'TRACE /tasks/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400],
  [
    'a body that is no JSON',
    'POST /tasks/stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 3\r\nconnection: close\r\n\r\n{"h',
    400,
  ],
  [
    'a form',
    'POST /tasks/stream HTTP/1.1\r\nhost: x\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}',
    415,
  ],
  ['a HEAD', 'HEAD /tasks/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 404],
])('%s is answered, and the next request too', async (_what, text, status) => {
  const project = new Project()
  const web = await startWeb(project)
  expect((await exchange(web, text)).split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(await getText(web, '/memory')).toMatch(/rss/)
  expect(web.child.lines.filter(({ stream }) => stream === 'err').map(line => line.text)).not.toContainEqual(
    expect.stringMatching(/Error/),
  )
})

test('more than 20 new streams a second from one address are told to wait', async () => {
  const project = new Project()
  const web = await startWeb(project)
  const open = async (address: string): Promise<number> => {
    const headers = { 'x-forwarded-for': `198.51.100.1, ${address}` }
    const answer = await fetch(`http://127.0.0.1:${web.port}/tasks/stream?handle=${randomUUID()}`, { headers })
    await answer.body?.cancel()
    return answer.status
  }
  const statuses = await Promise.all(Array.from({ length: 40 }, () => open('203.0.113.7')))
  expect(statuses.filter(status => status === 200).length).toBeLessThan(40)
  expect(statuses.filter(status => status === 200).length).toBeGreaterThanOrEqual(20)
  expect(new Set(statuses)).toEqual(new Set([200, 429]))
  expect(await open('203.0.113.8')).toBe(200)
})

test('a store that is locked for 5 s delays what is new and breaks nothing', async () => {
  const project = new Project()
  const web = await startWeb(project)
  const { results } = await project.backend()
  const state = { id: 'a', retries: 0, delivery: 1, at: Date.now() }
  await results.put({ ...state, state: 'STARTED', seq: 1 })
  const handle = await getText(web, '/handle/a')
  const page = new Page()
  await page.connect(web, handle)
  await until('the snapshot', () => page.last?.state === 'STARTED')
  const lock = new DatabaseSync(project.database)
  onTestFinished(() => lock.close())
  lock.exec('BEGIN IMMEDIATE')
  const writing = results.put({ ...state, state: 'SUCCESS', seq: 2, value: '1' })
  const lockedAt = performance.now()
  const second = new Page()
  await second.connect(web, handle)
  await until('a stream opens meanwhile', () => second.last?.state === 'STARTED')
  // one after the other, without a rest
  while (performance.now() - lockedAt < 5000) {
    const headers = { authorization: `Bearer ${handle}` }
    const answer = await fetch(`http://127.0.0.1:${web.port}/tasks/a`, { headers })
    expect([200, 503]).toContain(answer.status)
    expect([undefined, 'STARTED']).toContain(((await answer.json()) as { readonly state?: string }).state)
  }
  lock.exec('ROLLBACK')
  // the writer may have given up by then; whoever runs a task tries again
  await writing.catch(() => results.put({ ...state, state: 'SUCCESS', seq: 3, value: '1' }))
  await until('the end', () => page.last?.state === 'SUCCESS')
}, 30_000)
