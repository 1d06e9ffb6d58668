import { onTestFinished } from 'vitest'
import { internals } from '../../../src/app/internals.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import { joinBackend } from '../../../src/backend.ts'
import type { Backend } from '../../../src/backend.ts'
import type { Clock } from '../../../src/core/clock.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { StateRecord } from '../../../src/core/record.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { createRoutes } from '../../../src/web/routes.ts'
import type { TaskRoutes, TaskRoutesOptions } from '../../../src/web/routes.ts'
import { defaultLimits } from '../../../src/web/web-limits.ts'
import type { WebLimits } from '../../../src/web/web-limits.ts'

export interface Kit {
  readonly app: Lovage
  readonly backend: Backend
  readonly routes: TaskRoutes
  readonly put: (record: Partial<StateRecord> & { readonly id: string }) => Promise<void>
  /** Asks a path below /tasks. */
  readonly ask: (path: string, init?: RequestInit) => Promise<Response>
  readonly handle: (id: string, options?: Parameters<TaskRoutes['handle']>[1]) => string
  readonly stream: (handles: readonly string[], after?: string, init?: RequestInit) => Promise<EventReader>
}

export interface KitOptions extends TaskRoutesOptions {
  readonly clock?: Clock
  readonly limits?: Partial<WebLimits>
  readonly app?: Lovage
}

/** An app on a memory backend whose states the test writes itself, and its routes. Closed when the test ends. */
export async function kit({
  clock = systemClock,
  limits = {},
  app = new Lovage('mysite'),
  ...options
}: KitOptions = {}): Promise<Kit> {
  const connection = openMemory(new URL('memory:'), { clock })
  const backend = joinBackend(connection, connection)
  await backend.open()
  const giveBack = internals(app).takeOver(backend, clock)
  const routes = createRoutes(app, options, { ...defaultLimits, ...limits })
  await routes.ready()
  onTestFinished(async () => {
    await routes.close()
    giveBack()
    await backend.close()
  })
  let seq = 0
  const ask = (path: string, init?: RequestInit): Promise<Response> =>
    routes.fetch(new Request(`http://app.test/tasks${path}`, init))
  return {
    app,
    backend,
    routes,
    ask,
    put: async ({ state = 'PENDING', ...record }) => {
      const whole = { retries: 0, delivery: state === 'PENDING' ? 0 : 1, seq: ++seq, at: clock.now(), ...record }
      await backend.results.put({ ...whole, state })
    },
    handle: (id, given) => routes.handle(app.result(id), given),
    stream: async (handles, after, init = {}) => {
      const body = JSON.stringify({ handles, after })
      const headers = { 'content-type': 'application/json', ...(init.headers as object | undefined) }
      return new EventReader(await ask('/stream', { ...init, method: 'POST', headers, body }))
    },
  }
}

export function bearer(handle: string, headers: Readonly<Record<string, string>> = {}): RequestInit {
  return { headers: { authorization: `Bearer ${handle}`, ...headers } }
}

interface StreamEvent {
  readonly name: string
  readonly data: Readonly<Record<string, unknown>>
  readonly id: string | undefined
}

/** Reads a stream's events one after the other, as they come. */
class EventReader {
  readonly response: Response
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''

  constructor(response: Response) {
    this.response = response
    const { body } = response
    this.#chunks = (body === null ? (async function* () {})() : body)[Symbol.asyncIterator]()
    onTestFinished(() => void this.close())
  }

  /** Undefined: the stream has ended. Comments are events named `:`. */
  async next(): Promise<StreamEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end >= 0) {
        const block = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        const event = parse(block)
        if (event !== undefined) return event
        continue
      }
      const { done, value } = await this.#chunks.next()
      if (done === true) return undefined
      this.#text += this.#decoder.decode(value, { stream: true })
    }
  }

  /** The next of that name; others are passed over. */
  async take(name: string): Promise<StreamEvent> {
    for (;;) {
      const event = await this.next()
      if (event === undefined) throw new Error(`the stream ended before ${name}`)
      if (event.name === name) return event
    }
  }

  /** The next snapshot in that state. */
  async until(state: string): Promise<StreamEvent> {
    for (;;) {
      const event = await this.take('snapshot')
      if (event.data['state'] === state) return event
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}

function parse(block: string): StreamEvent | undefined {
  const field = (name: string): string | undefined =>
    block
      .split('\n')
      .find(line => line.startsWith(`${name}: `))
      ?.slice(name.length + 2)
  if (block.startsWith(':')) return { name: ':', data: {}, id: undefined }
  const data = field('data')
  if (data === undefined) return undefined
  return { name: field('event') ?? 'message', data: JSON.parse(data) as StreamEvent['data'], id: field('id') }
}
