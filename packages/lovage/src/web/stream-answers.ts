/** `POST /stream` and `GET /stream`: one stream for all that a browser watches. */
import { createHash } from 'node:crypto'
import type { AppInternals } from '../app/internals.ts'
import { sleep } from '../core/clock.ts'
import { coerceError, LovageError } from '../core/errors.ts'
import type { StoredState } from '../core/record.ts'
import type { Lookup } from '../result-store.ts'
import { subjectOf } from './access.ts'
import type { Access, Claim, Subject } from './access.ts'
import { problem } from './answers.ts'
import type { Permission } from './contract.ts'
import { isSigned } from './handles.ts'
import type { Hub } from './hub.ts'
import type { Lists } from './lists.ts'
import { StreamRates } from './rates.ts'
import { RequestProblem } from './requests.ts'
import { Stream } from './sse.ts'
import type { Followed, HandleEntry, Sink } from './sse.ts'
import { setStream, transportOf } from './transport.ts'
import { tellTrouble } from './trouble.ts'
import type { WebLimits } from './web-limits.ts'

export interface StreamParts {
  readonly app: AppInternals
  readonly hub: Hub
  readonly access: Access
  readonly lists: Lists
  readonly limits: WebLimits
}

/** What one handle of the list is found to be, before anything is followed. */
interface Found {
  readonly index: number
  readonly claim: Claim
  readonly tasks: readonly { readonly state: StoredState; readonly allow: readonly Permission[] }[]
  /** The store cannot rule out that there is such a task: it is waited for. */
  readonly mayCome: boolean
}

type Granted = Exclude<Claim, { readonly kind: 'refused' }>

export class Streams {
  readonly #parts: StreamParts
  readonly #rates: StreamRates
  readonly #open = new Set<Stream>()

  constructor(parts: StreamParts) {
    this.#parts = parts
    this.#rates = new StreamRates(parts.limits)
  }

  get count(): number {
    return this.#open.size
  }

  /** Answers at once; what is found follows. @throws {RequestProblem} */
  open(request: Request, given: { readonly handles: unknown; readonly after: unknown }): Response {
    const handles = assertHandles(given.handles, this.#parts.limits)
    const after = typeof given.after === 'string' ? given.after : (request.headers.get('last-event-id') ?? undefined)
    const release = this.#admit(request, handles)
    if (release === undefined)
      return problem('too-many', 'There are too many streams from here: close some, or wait', { 'retry-after': '2' })
    const stream = this.#create(request, after, release)
    void this.#fill(stream, request, handles)
    return toResponse(stream, request)
  }

  /** Says goodbye to all; they come back after about `retryMs`. */
  endAll(retryMs: number): void {
    for (const stream of this.#open) stream.end(Math.round(retryMs * (0.5 + Math.random())))
  }

  #admit(request: Request, handles: readonly string[]): (() => void) | undefined {
    const address = transportOf(request)?.address
    if (address !== undefined && !this.#rates.takeNew(address, this.#parts.app.clock.monotonic())) return undefined
    const keys = handles.filter(isSigned).map(handle => `${address ?? ''} ${handle.slice(-43)}`)
    const session = keys.length < handles.length ? sessionOf(request) : undefined
    if (session !== undefined) keys.push(`${address ?? ''} ${session}`)
    return this.#rates.open(keys)
  }

  #create(request: Request, after: string | undefined, release: () => void): Stream {
    const { app, hub, limits, access } = this.#parts
    const stream: Stream = new Stream({
      app,
      hub,
      limits,
      after,
      // the request is kept only where somebody will ask for it
      renew: withRequest(access, access.asksSession ? request : undefined),
      onClose: () => {
        release()
        this.#open.delete(stream)
      },
    })
    this.#open.add(stream)
    return stream
  }

  /** Looks everything up first, then follows it in one go: no change falls in between. */
  async #fill(stream: Stream, request: Request, handles: readonly string[]): Promise<void> {
    const claims = await this.#insist(stream, () => this.#parts.access.readHandles(handles))
    const found = await this.#insist(stream, () => this.#find(request, claims ?? []))
    if (found === undefined || stream.isClosed) return
    const followed: Followed[] = []
    for (const each of found) followed.push(...this.#follow(stream, each, request))
    stream.begin(followed)
  }

  /** Until the store answers, or the client goes. */
  async #insist<T>(stream: Stream, attempt: () => Promise<T>): Promise<T | undefined> {
    for (let tries = 0; !stream.isClosed; tries++) {
      try {
        return await attempt()
      } catch (error) {
        // a store that is away comes back by itself; a hook of the app's that throws is its author's to know of
        if (tries === 0 && !isPassing(error)) tellTrouble(coerceError(error))
        await sleep(this.#parts.app.clock, Math.min(200 * 2 ** tries, 2000) * (0.5 + Math.random() / 2))
      }
    }
    return undefined
  }

  async #find(request: Request, claims: readonly Claim[]): Promise<readonly Found[]> {
    const lookups = await this.#lookUp(claims)
    return await Promise.all(claims.map((claim, index) => this.#findOne(request, { claim, index, lookups })))
  }

  /** One read for all; a task that this process watches anyway needs none. */
  async #lookUp(claims: readonly Claim[]): Promise<ReadonlyMap<string, Lookup>> {
    const { app, hub } = this.#parts
    const ids = claims.flatMap(claim =>
      claim.kind !== 'refused' && claim.subject.kind === 'task' ? [claim.subject.id] : [],
    )
    const unknown = [...new Set(ids)].filter(id => hub.peek(id) === undefined)
    const { results } = await app.backend()
    const read = unknown.length === 0 ? [] : await results.getMany(unknown)
    const found = new Map(unknown.map((id, index): [string, Lookup] => [id, read[index] ?? { kind: 'absent' }]))
    for (const id of ids) {
      const state = hub.peek(id)
      if (state !== undefined) found.set(id, { kind: 'state', state })
    }
    return found
  }

  async #findOne(
    request: Request,
    { claim, index, lookups }: { claim: Claim; index: number; lookups: ReadonlyMap<string, Lookup> },
  ): Promise<Found> {
    if (claim.kind === 'refused') return { claim, index, tasks: [], mayCome: false }
    const { subject } = claim
    if (subject.kind === 'list') {
      // without a hook nobody would say yes: no search is made for who has no handle
      if (claim.kind === 'bare' && !this.#parts.access.asksSession) return { claim, index, tasks: [], mayCome: false }
      const states = await this.#parts.lists.read(subject)
      const tasks = await Promise.all(states.map(async state => await this.#permit(request, claim, state)))
      return { claim, index, tasks: tasks.flat(), mayCome: true }
    }
    const lookup = lookups.get(subject.id)
    const state = lookup?.kind === 'state' ? lookup.state : undefined
    const allow = await this.#parts.access.permissionsFor(claim, subject.id, { state, request })
    const isSeen = state !== undefined && allow.length > 0
    const mayCome = claim.kind === 'signed' && lookup?.kind === 'unknown' && claim.payload.allow.includes('read')
    return { claim, index, tasks: isSeen ? [{ state, allow }] : [], mayCome }
  }

  async #permit(request: Request, claim: Claim, state: StoredState): Promise<Found['tasks']> {
    const allow = await this.#parts.access.permissionsFor(claim, state.id, { state, request })
    return allow.length === 0 ? [] : [{ state, allow }]
  }

  #follow(stream: Stream, { index, claim, tasks, mayCome }: Found, request: Request): readonly Followed[] {
    const entry = stream.addHandle(index, claim.kind === 'signed' ? claim.payload : undefined)
    if (claim.kind === 'refused') {
      stream.gone(index, claim.reason)
      return []
    }
    if (tasks.length === 0 && !mayCome) {
      stream.gone(index, 'unknown')
      return []
    }
    const followed = tasks.flatMap(({ state, allow }) =>
      this.#followTask(stream, entry, { id: state.id, state, allow }),
    )
    if (claim.subject.kind === 'list') this.#followList(stream, entry, { claim, subject: claim.subject, request })
    else if (tasks.length === 0 && claim.kind === 'signed')
      this.#followTask(stream, entry, { id: claim.subject.id, state: undefined, allow: claim.payload.allow })
    return followed
  }

  #followTask(
    stream: Stream,
    entry: HandleEntry,
    task: { readonly id: string; readonly state: StoredState | undefined; readonly allow: readonly Permission[] },
  ): readonly Followed[] {
    if (entry.followed.some(({ topic }) => topic.id === task.id)) return []
    const { hub } = this.#parts
    const followed = stream.follow(entry, subscription => hub.subscribe(task.id, task.state, subscription), task.allow)
    return followed === undefined ? [] : [followed]
  }

  #followList(
    stream: Stream,
    entry: HandleEntry,
    list: { readonly claim: Granted; readonly subject: Extract<Subject, { kind: 'list' }>; readonly request: Request },
  ): void {
    const { lists, hub } = this.#parts
    const take = async (state: StoredState): Promise<void> => {
      for (const { allow } of await this.#permit(list.request, list.claim, state)) {
        if (stream.isClosed) return
        stream.flush(hub.frame, this.#followTask(stream, entry, { id: state.id, state, allow }))
      }
    }
    entry.endList = lists.follow(list.subject, state => {
      take(state).catch((error: unknown) => tellTrouble(coerceError(error)))
    })
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof LovageError && error.retryable
}

function withRequest(access: Access, request: Request | undefined): ConstructorParameters<typeof Stream>[0]['renew'] {
  return (payload, topic) => access.renew(payload, topic?.state, request)
}

/** @throws {RequestProblem} */
function assertHandles(given: unknown, { subscriptions: most, bareLists }: WebLimits): readonly string[] {
  if (!Array.isArray(given) || given.length === 0 || !given.every(each => typeof each === 'string' && each !== ''))
    throw new RequestProblem('bad-request', 'Expected handles: a list of texts, such as {"handles": ["v1.…"]}')
  if (given.length > most)
    throw new RequestProblem('bad-request', `${given.length} handles: one stream takes ${most} at most`)
  if (given.filter(isBareList).length > bareLists)
    throw new RequestProblem('bad-request', `One stream takes ${bareLists} lists at most that have no signed handle`)
  return given as readonly string[]
}

function isBareList(handle: string): boolean {
  return !isSigned(handle) && subjectOf(handle).kind === 'list'
}

/** One browser's, as far as one can tell; its cookies are not kept. Undefined: nothing tells it from others. */
function sessionOf(request: Request): string | undefined {
  const told = `${request.headers.get('cookie') ?? ''}${request.headers.get('authorization') ?? ''}`
  if (told === '') return undefined
  return createHash('sha256').update(told).digest('base64url').slice(0, 22)
}

const headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  // nginx: do not gather
  'x-accel-buffering': 'no',
}

/** Straight to the socket where the adapter is ours; else through a body. */
function toResponse(stream: Stream, request: Request): Response {
  if (transportOf(request) !== undefined) {
    const response = new Response(null, { headers })
    setStream(response, stream)
    return response
  }
  request.signal.addEventListener('abort', () => stream.close(), { once: true })
  if (request.signal.aborted) stream.close()
  return new Response(toBody(stream), { headers })
}

const bodyBufferBytes = 64 * 1024

function toBody(stream: Stream): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>(
    {
      start: controller => stream.attach(toSink(controller, text => encoder.encode(text))),
      pull: () => stream.drained(),
      cancel: () => stream.close(),
    },
    { highWaterMark: bodyBufferBytes, size: chunk => chunk?.byteLength ?? 0 },
  )
}

function toSink(controller: ReadableStreamDefaultController<Uint8Array>, encode: (text: string) => Uint8Array): Sink {
  let isOver = false
  const over = (last: () => void): void => {
    if (isOver) return
    isOver = true
    last()
  }
  return {
    write: text => {
      if (!isOver) controller.enqueue(encode(text))
    },
    get bufferedBytes() {
      return isOver ? 0 : bodyBufferBytes - (controller.desiredSize ?? bodyBufferBytes)
    },
    end: () => over(() => controller.close()),
    destroy: () => over(() => controller.error(new Error('The client reads nothing'))),
  }
}
