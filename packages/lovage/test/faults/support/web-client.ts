/** A browser's side of a stream, over a real socket. */
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { Child } from './child.ts'
import type { Project } from './project.ts'

const program = fileURLToPath(new URL('./web-server.ts', import.meta.url))

export interface WebServer {
  readonly child: Child
  readonly port: number
}

export async function startWeb(project: Project, limits: object = {}): Promise<WebServer> {
  const child = new Child([program, project.database, JSON.stringify(limits)], { cwd: project.root })
  const { text } = await child.line(/^listening \d+$/)
  return { child, port: Number(text.split(' ')[1]) }
}

export async function getText({ port }: Pick<WebServer, 'port'>, path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}${path}`)).text()
}

export interface Told {
  readonly state: string
  readonly version: readonly number[]
  readonly result?: unknown
}

/** What one page was told, over as many connections as it took. */
export class Page {
  readonly told: Told[] = []
  readonly byes: unknown[] = []
  lastId: string | undefined
  #response: IncomingMessage | undefined
  #ended: Promise<void> = Promise.resolve()
  #text = ''

  /** Resolves when the answer has begun. */
  async connect({ port }: Pick<WebServer, 'port'>, handle: string): Promise<void> {
    const body = JSON.stringify({ handles: [handle], after: this.lastId })
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = request({ port, host: '127.0.0.1', method: 'POST', path: '/tasks/stream', headers })
    onTestFinished(() => void sent.destroy())
    const answered = new Promise<IncomingMessage>((resolve, reject) =>
      sent.once('response', resolve).once('error', reject),
    )
    sent.end(body)
    const response = await answered
    this.#response = response.setEncoding('utf8').on('data', (chunk: string) => this.#read(chunk))
    this.#ended = new Promise(resolve => response.once('close', resolve).on('error', () => undefined))
  }

  /** Resolves when the connection is gone, however it went. */
  get ended(): Promise<void> {
    return this.#ended
  }

  /** Drops its connection. */
  leave(): void {
    this.#response?.destroy()
  }

  get status(): number | undefined {
    return this.#response?.statusCode
  }

  get last(): Told | undefined {
    return this.told.at(-1)
  }

  #read(chunk: string): void {
    const blocks = (this.#text + chunk).split('\n\n')
    this.#text = blocks.pop() ?? ''
    for (const block of blocks) this.#take(block)
  }

  #take(block: string): void {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
    this.lastId = field('id') ?? this.lastId
    const data = field('data')
    if (field('event') === 'snapshot') this.told.push(JSON.parse(data ?? '') as Told)
    if (field('event') === 'bye') this.byes.push(JSON.parse(data ?? ''))
  }
}
