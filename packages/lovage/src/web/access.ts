/**
 * Who may see which task: by a signed handle, or by the app's own `authorize`. What may not be seen does not exist: the
 * same answer, after the same work.
 */
import type { AppInternals } from '../app/internals.ts'
import { describe, InvalidArgumentError } from '../core/errors.ts'
import type { StoredState } from '../core/record.ts'
import type { HandlePayload, Permission } from './contract.ts'
import type { HandleKeys } from './handle-keys.ts'
import { checkHandle, isSigned, permissions, renewPayload, signHandle } from './handles.ts'

/** What `authorize` is told of a task. */
export interface TaskSummary {
  readonly id: string
  readonly name: string | undefined
  readonly owner: string | undefined
  readonly tags: readonly string[]
}

export type Authorize = (
  request: Request,
  task: TaskSummary,
) => boolean | readonly Permission[] | Promise<boolean | readonly Permission[]>

/** What a handle is about. */
export type Subject =
  | { readonly kind: 'task'; readonly id: string }
  | { readonly kind: 'list'; readonly by: 'owner' | 'tag'; readonly value: string }

export type Claim =
  | { readonly kind: 'signed'; readonly subject: Subject; readonly payload: HandlePayload }
  /** A bare id: `authorize` decides. */
  | { readonly kind: 'bare'; readonly subject: Subject }
  | { readonly kind: 'refused'; readonly reason: 'expired' | 'forbidden' }

const nothing: readonly Permission[] = []

export class Access {
  readonly #app: AppInternals
  readonly #keys: HandleKeys
  readonly #authorize: Authorize | undefined

  constructor(app: AppInternals, keys: HandleKeys, authorize: Authorize | undefined) {
    this.#app = app
    this.#keys = keys
    this.#authorize = authorize
  }

  /** Whether a request's own session counts, besides handles. */
  get asksSession(): boolean {
    return this.#authorize !== undefined
  }

  async readHandles(handles: readonly string[]): Promise<readonly Claim[]> {
    const keys = handles.some(isSigned) ? await this.#keys.load() : []
    const check = { keys, audience: this.#app.name, now: this.#app.clock.now() }
    return handles.map(handle => {
      if (!isSigned(handle)) return { kind: 'bare', subject: subjectOf(handle) }
      const verdict = checkHandle(handle, check)
      if (verdict.kind === 'valid')
        return { kind: 'signed', subject: subjectOf(verdict.payload.sub), payload: verdict.payload }
      return { kind: 'refused', reason: verdict.kind === 'expired' ? 'expired' : 'forbidden' }
    })
  }

  /** What a claim allows of a task; without `read` it is nothing. @param state undefined: there is no such task. */
  async permissionsFor(
    claim: Claim,
    id: string,
    { state, request }: { readonly state: StoredState | undefined; readonly request: Request },
  ): Promise<readonly Permission[]> {
    if (claim.kind === 'refused') return nothing
    const granted = claim.kind === 'signed' ? known(claim.payload.allow) : await this.#ask(request, id, state)
    const isMeant = state !== undefined && isAbout(claim.subject, state)
    return isMeant && granted.includes('read') ? granted : nothing
  }

  /** The same handle for longer, while the app agrees; undefined: not any more. @throws what `authorize` throws. */
  async renew(
    payload: HandlePayload,
    state: StoredState | undefined,
    request: Request | undefined,
  ): Promise<{ readonly handle: string; readonly payload: HandlePayload } | undefined> {
    const next = renewPayload(payload, this.#app.clock.now())
    if (next === undefined) return undefined
    if (request !== undefined && state !== undefined) {
      const granted = await this.#ask(request, state.id, state)
      if (!granted.includes('read')) return undefined
    }
    const [key] = await this.#keys.load()
    return key === undefined ? undefined : { handle: signHandle(next, key), payload: next }
  }

  async #ask(request: Request, id: string, state: StoredState | undefined): Promise<readonly Permission[]> {
    if (this.#authorize === undefined) return nothing
    const { name, owner, tags = [] } = state?.facts ?? {}
    const answer = await this.#authorize(request, { id, name, owner, tags })
    if (typeof answer === 'boolean') return answer ? permissions : nothing
    if (Array.isArray(answer)) return known(answer as readonly Permission[])
    throw new InvalidArgumentError(
      `authorize() gave ${describe(answer)}: expected true, false or a list of permissions`,
    )
  }
}

/** A permission of a later version is none here. */
function known(allow: readonly Permission[]): readonly Permission[] {
  return permissions.filter(each => allow.includes(each))
}

/** `owner:…` and `tag:…` are lists; anything else is the id of a task. */
export function subjectOf(text: string): Subject {
  const [, by, value] = /^(owner|tag):(.+)$/s.exec(text) ?? []
  return by === undefined || value === undefined
    ? { kind: 'task', id: text }
    : { kind: 'list', by: by === 'owner' ? 'owner' : 'tag', value }
}

export function isAbout(subject: Subject, { id, facts }: StoredState): boolean {
  if (subject.kind === 'task') return subject.id === id
  return subject.by === 'owner' ? facts.owner === subject.value : (facts.tags?.includes(subject.value) ?? false)
}
