/** `GET /:id` and `POST /:id/revoke`: one task, once. */
import { createHash } from 'node:crypto'
import { createResult } from '../app/async-result.ts'
import type { AppInternals } from '../app/internals.ts'
import type { StoredState } from '../core/record.ts'
import { isReadyState } from '../core/states.ts'
import type { Access, Claim } from './access.ts'
import { jsonResponse, notFound, problem } from './answers.ts'
import type { Permission, RevokeBody } from './contract.ts'
import type { Hub, Subscription, Viewer } from './hub.ts'
import { versionOf } from './public-snapshot.ts'
import { bearerOf, isSameOrigin, matchesEtag, readJsonObject, RequestProblem, waitOf } from './requests.ts'
import { publicText } from './topic.ts'
import type { WebLimits } from './web-limits.ts'

export interface TaskAnswerParts {
  readonly app: AppInternals
  readonly hub: Hub
  readonly access: Access
  readonly limits: WebLimits
}

/** One task as one request may see it. */
interface Seen {
  readonly state: StoredState
  readonly allow: readonly Permission[]
}

type Look =
  | { readonly kind: 'seen'; readonly seen: Seen; readonly claim: Claim }
  | { readonly kind: 'refused'; readonly response: Response }

export async function answerSnapshot(parts: TaskAnswerParts, request: Request, id: string): Promise<Response> {
  const look = await lookAt(parts, request, id)
  if (look.kind === 'refused') return look.response
  const waitMs = waitOf(request, parts.limits.longestWaitMs)
  const first = await present(parts, look.seen)
  const isKnown = matchesEtag(request, first.etag)
  const waits = waitMs !== undefined && !isReadyState(look.seen.state.state)
  if (!waits || (request.headers.has('if-none-match') && !isKnown)) return toResponse(request, first)
  await nextChange(parts, look.seen.state, { waitMs, signal: request.signal })
  // asked again: a right may have been taken away meanwhile
  const again = await lookAt(parts, request, id)
  if (again.kind === 'refused') return again.response
  return toResponse(request, await present(parts, again.seen), waitMs)
}

export async function answerRevoke(parts: TaskAnswerParts, request: Request, id: string): Promise<Response> {
  const body: Partial<Record<keyof RevokeBody, unknown>> = await readJsonObject(request, parts.limits.bodyBytes)
  const { reason } = body
  if (reason !== undefined && (typeof reason !== 'string' || reason.length > 200))
    throw new RequestProblem('bad-request', 'reason is no text of 200 characters at most')
  if (bearerOf(request) === undefined && !isSameOrigin(request))
    return problem('cross-site', 'This request does not prove that it comes from a page of this site')
  const look = await lookAt(parts, request, id)
  if (look.kind === 'refused') return look.response
  if (!look.seen.allow.includes('revoke')) return notFound()
  await createResult(parts.app, id).revoke(reason === undefined || reason === '' ? {} : { reason })
  return jsonResponse(202, '{}')
}

/** The same work whether the task is there or not. */
async function lookAt({ app, hub, access }: TaskAnswerParts, request: Request, id: string): Promise<Look> {
  const [claim] = await access.readHandles([bearerOf(request) ?? id])
  if (claim === undefined || (claim.kind === 'refused' && claim.reason === 'forbidden')) return refused(notFound())
  if (claim.kind === 'refused')
    return refused(problem('expired', 'This handle has expired: get a new one from the page that gave it'))
  const { results } = await app.backend()
  const lookup = await results.get(id)
  const state = lookup.kind === 'state' ? lookup.state : hub.peek(id)
  const allow = await access.permissionsFor(claim, id, { state, request })
  return state === undefined || allow.length === 0
    ? refused(notFound())
    : { kind: 'seen', seen: { state, allow }, claim }
}

function refused(response: Response): Look {
  return { kind: 'refused', response }
}

interface Presented {
  readonly text: string
  readonly etag: string
  readonly isReady: boolean
}

async function present({ hub }: TaskAnswerParts, { state, allow }: Seen): Promise<Presented> {
  const queue = await hub.queues.infoOf(state)
  const text = publicText(state, { ...hub.detailsOf(state), allow, queue })
  // not the remaining time, which is another one at each look
  const shown = JSON.stringify([state.id, versionOf(state), allow, queue])
  const etag = `"${createHash('sha256').update(shown).digest('base64url').slice(0, 22)}"`
  return { text, etag, isReady: isReadyState(state.state) }
}

function toResponse(request: Request, { text, etag, isReady }: Presented, waitedMs?: number): Response {
  const headers = {
    etag,
    'cache-control': 'private, no-cache',
    vary: 'Authorization, Cookie, Prefer',
    ...(isReady ? {} : { 'retry-after': '2' }),
    ...(waitedMs === undefined ? {} : { 'preference-applied': `wait=${Math.round(waitedMs / 1000)}` }),
  }
  if (matchesEtag(request, etag)) return new Response(null, { status: 304, headers })
  return jsonResponse(200, text, headers)
}

/** Resolves at the next change of the task, when the time is up, or when the client has gone. */
function nextChange(
  { app, hub }: TaskAnswerParts,
  state: StoredState,
  { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
): Promise<void> {
  return new Promise(resolve => {
    const viewer: Viewer = { flush: () => stop(), tick: () => undefined }
    const subscription: Subscription = { viewer }
    const timer = app.clock.after(waitMs, () => stop())
    hub.addViewer(viewer)
    const topic = hub.subscribe(state.id, state, subscription)
    signal.addEventListener('abort', stop, { once: true })
    function stop(): void {
      timer.cancel()
      signal.removeEventListener('abort', stop)
      hub.unsubscribe(topic, subscription)
      hub.removeViewer(viewer)
      resolve()
    }
    const isOld = topic.state !== undefined && versionOf(topic.state).join() !== versionOf(state).join()
    if (isOld || signal.aborted) stop()
  })
}
