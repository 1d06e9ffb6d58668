/** `routes.handle` and `routes.listHandle`: from what a program says to a signed string. */
import type { AppInternals } from '../app/internals.ts'
import { assertMs, assertOptionNames } from '../app/options.ts'
import type { AsyncResult } from '../app/types.ts'
import { describe, IllegalStateError, InvalidArgumentError } from '../core/errors.ts'
import { subjectOf } from './access.ts'
import type { HandlePayload, Permission } from './contract.ts'
import type { HandleKeys } from './handle-keys.ts'
import { handleLifeMs, handleLimitMs, permissions, signHandle } from './handles.ts'

export interface HandleOptions {
  /** @default ['read', 'result'] */
  readonly allow?: readonly Permission[] | undefined
  /** A day at most. Renewed while the task is not ready and somebody watches. @default 900000 (15 minutes) */
  readonly expiresInMs?: number | undefined
}

/** Whose tasks, or which. */
export type ListOptions = HandleOptions &
  ({ readonly owner: string; readonly tag?: undefined } | { readonly tag: string; readonly owner?: undefined })

interface Mint {
  readonly sub: string
  readonly options: HandleOptions
}

/** @throws {InvalidArgumentError | IllegalStateError} */
export function mintHandle(app: AppInternals, keys: HandleKeys, { sub, options }: Mint): string {
  assertOptionNames('handle()', options, ['allow', 'expiresInMs'])
  const { allow = ['read', 'result'], expiresInMs = handleLifeMs } = options
  for (const each of allow) {
    if (!permissions.includes(each))
      throw new InvalidArgumentError(`handle(): allow has ${describe(each)}: expected ${permissions.join(', ')}`)
  }
  assertMs('handle(): expiresInMs', expiresInMs)
  if (expiresInMs > handleLimitMs)
    throw new InvalidArgumentError(
      `handle(): expiresInMs is ${expiresInMs}: a handle lasts ${handleLimitMs} (a day) at most`,
    )
  const now = app.clock.now()
  const payload: HandlePayload = {
    sub,
    allow,
    exp: Math.ceil((now + expiresInMs) / 1000),
    aud: app.name,
    iat: Math.floor(now / 1000),
  }
  const [key] = keys.now()
  if (key === undefined) throw new IllegalStateError('handle(): there is no key to sign with')
  return signHandle(payload, key)
}

/** @throws {InvalidArgumentError} */
export function assertTaskId(result: AsyncResult): string {
  const id: unknown = typeof result === 'object' && result !== null ? result.id : undefined
  if (typeof id !== 'string')
    throw new InvalidArgumentError(
      `handle(): ${describe(result)} is no AsyncResult: give what delay() resolves to, or app.result(id)`,
    )
  if (subjectOf(id).kind === 'task') return id
  throw new InvalidArgumentError(`handle(): the id "${id}" reads as a list of tasks: use another id, or listHandle()`)
}

/** @throws {InvalidArgumentError} */
export function listSubject({ owner, tag }: ListOptions): string {
  const value: unknown = owner ?? tag
  if ((owner === undefined) === (tag === undefined) || typeof value !== 'string' || value === '')
    throw new InvalidArgumentError('listHandle(): expected { owner } or { tag }, a text')
  return owner === undefined ? `tag:${value}` : `owner:${value}`
}

export function withoutSubject({ owner: _owner, tag: _tag, ...options }: ListOptions): HandleOptions {
  return options
}
