/** How one call is sent: the options as users give them, checked, and what becomes of them. */
import { describe, InvalidArgumentError } from '../core/errors.ts'
import { isPlainObject } from './call.ts'
import {
  assertDate,
  assertInteger,
  assertMs,
  assertNotBoth,
  assertOptionNames,
  assertText,
  assertTexts,
  longestDelayMs,
} from './options.ts'
import type { ApplyOptions } from './types.ts'

/** Instants instead of distances; epoch milliseconds. */
export interface DueTimes {
  readonly etaAt: number | undefined
  readonly expiresAt: number | undefined
}

const names: readonly string[] = [
  'countdownMs',
  'eta',
  'expiresInMs',
  'expiresAt',
  'queue',
  'priority',
  'maxRetries',
  'softTimeLimitMs',
  'timeLimitMs',
  'ignoreResult',
  'idempotencyKey',
  'taskId',
  'headers',
  'owner',
  'tags',
  'signal',
]

/** @throws {InvalidArgumentError} naming task, option and value. */
export function assertApplyOptions(task: string, options: ApplyOptions): void {
  if (!isPlainObject(options as unknown))
    throw new InvalidArgumentError(`${task}: the options are ${describe(options)}: expected an object`)
  assertOptionNames(task, options, names)
  assertNotBoth(task, options, ['countdownMs', 'eta'])
  assertNotBoth(task, options, ['expiresInMs', 'expiresAt'])
  for (const name of ['countdownMs', 'expiresInMs'] as const)
    assertMs(`${task}: ${name}`, options[name], longestDelayMs)
  for (const name of ['softTimeLimitMs', 'timeLimitMs'] as const) assertMs(`${task}: ${name}`, options[name])
  for (const name of ['eta', 'expiresAt'] as const) assertDate(`${task}: ${name}`, options[name])
  for (const name of ['queue', 'idempotencyKey', 'taskId', 'owner'] as const)
    assertText(`${task}: ${name}`, options[name])
  assertInteger(`${task}: priority`, options.priority, { min: 0, max: 9 })
  assertInteger(`${task}: maxRetries`, options.maxRetries, { min: 0, max: Number.MAX_SAFE_INTEGER })
  assertTexts(`${task}: tags`, options.tags)
  assertHeaders(task, options.headers)
  if (options.signal !== undefined && !isAbortSignal(options.signal))
    throw new InvalidArgumentError(`${task}: signal is ${describe(options.signal)}: expected an AbortSignal`)
}

function assertHeaders(task: string, headers: ApplyOptions['headers']): void {
  if (headers === undefined) return
  if (!isPlainObject(headers))
    throw new InvalidArgumentError(`${task}: headers is ${describe(headers)}: expected an object of texts`)
  for (const [name, value] of Object.entries(headers)) assertText(`${task}: headers.${name}`, value)
}

/** By what it can do: another realm's is as good. */
function isAbortSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'throwIfAborted' in value && 'addEventListener' in value
}

export function dueTimes(options: ApplyOptions, now: number): DueTimes {
  const after = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : now + ms)
  return {
    etaAt: options.eta?.getTime() ?? after(options.countdownMs),
    expiresAt: options.expiresAt?.getTime() ?? after(options.expiresInMs),
  }
}
