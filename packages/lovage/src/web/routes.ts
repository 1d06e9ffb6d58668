/**
 * `taskRoutes(app)`: what a page needs of its server, as one function from request to response. Mount it in any framework;
 * nothing is read or opened before the first request or handle.
 */
import { Hono } from 'hono'
import { internals } from '../app/internals.ts'
import type { AppInternals } from '../app/internals.ts'
import type { AnyLovage } from '../app/lovage.ts'
import { assertOptionNames } from '../app/options.ts'
import type { AsyncResult, States, TaskHandle } from '../app/types.ts'
import { coerceError, describe, InvalidArgumentError } from '../core/errors.ts'
import { Access } from './access.ts'
import type { Authorize } from './access.ts'
import { notFound, problem, secured } from './answers.ts'
import { BrowserScript } from './browser-script.ts'
import { defaultBasePath } from './contract.ts'
import type { ListHandle, StreamRequest } from './contract.ts'
import { HandleKeys } from './handle-keys.ts'
import { Hub } from './hub.ts'
import { Lists } from './lists.ts'
import { assertTaskId, listSubject, mintHandle, withoutSubject } from './mint.ts'
import type { HandleOptions, ListOptions } from './mint.ts'
import { readJsonObject, RequestProblem } from './requests.ts'
import { sayGoodbyeOnSignals } from './shutdown.ts'
import { Streams } from './stream-answers.ts'
import { answerRevoke, answerSnapshot } from './task-answers.ts'
import { tellTrouble } from './trouble.ts'
import { defaultLimits } from './web-limits.ts'
import type { WebLimits } from './web-limits.ts'

export interface TaskRoutesOptions {
  /** Where the routes are mounted; stripped when the request still has it. @default '/tasks' */
  readonly basePath?: string | undefined
  /** 32 bytes at least; several: the first signs, all verify. @default LOVAGE_SECRET, else a key that the app's own driver keeps; in production that is the embedded one's alone */
  readonly secret?: string | readonly string[] | undefined
  /**
   * For apps with a session: what this request may do with that task; `true` is everything, `false` reads as 404. Asked
   * for bare ids at each request, at each opening of a stream, and when a signed handle is renewed. With an id that does
   * not exist too (name undefined): answer as fast.
   */
  readonly authorize?: Authorize | undefined
}

export interface TaskRoutes {
  /** Needs no `this`. Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>
  /**
   * Mints the string that a page needs to watch this task, and no other. Mint at each page render: it expires.
   * @throws {IllegalStateError} no LOVAGE_SECRET is set and the app has not been used yet: await `ready()` first.
   * @throws {InvalidArgumentError} an option, or an id that reads as a list's.
   */
  readonly handle: <T, St extends States>(result: AsyncResult<T, St>, options?: HandleOptions) => TaskHandle<T, St>
  /** Mints the string to watch all tasks of an owner, or with a tag: those there are and those to come. @throws as `handle` does */
  readonly listHandle: (options: ListOptions) => ListHandle
  /** Opens the app, so that `handle` has its key. Needed only before the first `handle` of a process that sent nothing yet. */
  readonly ready: () => Promise<void>
  /** Says goodbye to all streams; their clients connect again, elsewhere. For good; idempotent. SIGTERM and SIGINT do it too. */
  readonly close: () => Promise<void>
}

/**
 * @throws {InvalidArgumentError} an option. @throws {ConfigurationError} a secret is too short, or none is set where
 *   production needs one.
 * @example
 * const routes = taskRoutes(app)
 * server.on('request', toNodeHandler(routes))
 */
export function taskRoutes(app: AnyLovage, options: TaskRoutesOptions = {}): TaskRoutes {
  return createRoutes(app, options, defaultLimits)
}

/** @internal for tests, which have less patience. */
export function createRoutes(app: AnyLovage, options: TaskRoutesOptions, limits: WebLimits): TaskRoutes {
  assertOptions(options)
  const state = internals(app)
  const keys = new HandleKeys(state, options.secret)
  const access = new Access(state, keys, options.authorize)
  const hub = new Hub(state, limits)
  const lists = new Lists(state, limits)
  const parts: RouteParts = {
    app: state,
    hub,
    access,
    lists,
    limits,
    streams: new Streams({ app: state, hub, access, lists, limits }),
    script: new BrowserScript(),
  }
  const life = new RoutesLife(parts)
  const server = createServer(parts, options.basePath ?? defaultBasePath, () => life.use())
  const mint = (sub: string, given: HandleOptions): string => mintHandle(state, keys, { sub, options: given })
  return {
    fetch: async request => secured(await server.fetch(request)),
    handle: (result, given = {}) => mint(assertTaskId(result), given) as never,
    listHandle: given => mint(listSubject(given), withoutSubject(given)),
    ready: async () => void (await keys.load()),
    close: () => life.close(),
  }
}

// ── The routes ─────────────────────────────────────────────────────────────────────────────────────

interface RouteParts {
  readonly app: AppInternals
  readonly hub: Hub
  readonly access: Access
  readonly lists: Lists
  readonly limits: WebLimits
  readonly streams: Streams
  readonly script: BrowserScript
}

interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Whether it changes something: then it needs the permission `revoke` and proof of its origin. */
  readonly mutates: boolean
  readonly answer: (parts: RouteParts, request: Request, id: string) => Response | Promise<Response>
}

/** Fixed names first: they win over ids. Tests read it, so that no route is without a test of its permission. */
export const routeTable: readonly Route[] = [
  { method: 'GET', path: '/lovage.js', mutates: false, answer: ({ script }, request) => script.answer(request) },
  { method: 'GET', path: '/stream', mutates: false, answer: openByUrl },
  { method: 'POST', path: '/stream', mutates: false, answer: openByBody },
  { method: 'GET', path: '/:id', mutates: false, answer: answerSnapshot },
  { method: 'POST', path: '/:id/revoke', mutates: true, answer: answerRevoke },
]

function openByUrl({ streams }: RouteParts, request: Request): Response {
  const { searchParams } = new URL(request.url)
  return streams.open(request, { handles: searchParams.getAll('handle'), after: searchParams.get('after') })
}

async function openByBody({ streams, limits }: RouteParts, request: Request): Promise<Response> {
  const body: Partial<Record<keyof StreamRequest, unknown>> = await readJsonObject(request, limits.bodyBytes)
  const { handles, after } = body
  return streams.open(request, { handles, after })
}

function createServer(parts: RouteParts, basePath: string, onUse: () => boolean): Hono {
  const base = basePath.replace(/\/+$/, '')
  const server = new Hono({ getPath: request => stripBase(new URL(request.url).pathname, base) })
  for (const { method, path, answer } of routeTable) {
    server.on(method, path, async context => {
      if (!onUse()) return closing()
      try {
        return await answer(parts, context.req.raw, context.req.param('id') ?? '')
      } catch (error) {
        // Hono's error handler is for Errors alone, and the app's hook may throw anything
        return toProblem(coerceError(error))
      }
    })
  }
  for (const [path, methods] of methodsByPath()) {
    server.all(path, () => problem('method-not-allowed', `Here are ${methods} only`, { allow: methods }))
  }
  server.notFound(() => notFound())
  server.onError(toProblem)
  return server
}

function methodsByPath(): ReadonlyMap<string, string> {
  const groups = Map.groupBy(routeTable, ({ path }) => path)
  return new Map([...groups].map(([path, routes]) => [path, routes.map(({ method }) => method).join(', ')]))
}

/** Also of the slash at its end, which some write and none means. */
function stripBase(path: string, base: string): string {
  const hasBase = base !== '' && (path === base || path.startsWith(`${base}/`))
  return (hasBase ? path.slice(base.length) : path).replace(/(?<=.)\/$/, '') || '/'
}

function closing(): Response {
  return problem('unavailable', 'This server is shutting down', { 'retry-after': '1' })
}

/** The store that is away, the app's own hook that throws: whoever asks may ask again. What it was is for our log only. */
function toProblem(error: Error): Response {
  if (error instanceof RequestProblem) return problem(error.code, error.message)
  tellTrouble(error)
  return problem('unavailable', 'This cannot be answered now: try again', { 'retry-after': '2' })
}

function assertOptions(options: TaskRoutesOptions): void {
  assertOptionNames('taskRoutes()', options, ['basePath', 'secret', 'authorize'])
  const { basePath, authorize } = options
  if (basePath !== undefined && !(typeof basePath === 'string' && /^(\/|$)/.test(basePath)))
    throw new InvalidArgumentError(`taskRoutes(): basePath is ${describe(basePath)}: expected a path such as "/tasks"`)
  if (authorize !== undefined && typeof authorize !== 'function')
    throw new InvalidArgumentError(`taskRoutes(): authorize is ${describe(authorize)}: expected a function`)
}

// ── Life ───────────────────────────────────────────────────────────────────────────────────────────

/** unused → used (the first request) → closed (`close`); for good. */
class RoutesLife {
  readonly #parts: RouteParts
  #state: 'unused' | 'used' | 'closed' = 'unused'
  #forgetSignals: (() => void) | undefined
  #closing: Promise<void> | undefined

  constructor(parts: RouteParts) {
    this.#parts = parts
  }

  /** Whether requests are still answered. */
  use(): boolean {
    if (this.#state === 'unused') {
      this.#state = 'used'
      this.#forgetSignals = sayGoodbyeOnSignals(() => this.#parts.streams.endAll(1000))
    }
    return this.#state === 'used'
  }

  close(): Promise<void> {
    this.#state = 'closed'
    return (this.#closing ??= this.#stop())
  }

  async #stop(): Promise<void> {
    this.#forgetSignals?.()
    this.#parts.streams.endAll(1000)
    this.#parts.lists.stop()
    await this.#parts.hub.stop()
  }
}
