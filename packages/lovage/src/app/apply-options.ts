/** How one call is sent: the options as users give them, checked, and what becomes of them. */
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
  for (const [name, value] of Object.entries(options.headers ?? {})) assertText(`${task}: headers.${name}`, value)
}

export function dueTimes(options: ApplyOptions, now: number): DueTimes {
  const after = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : now + ms)
  return {
    etaAt: options.eta?.getTime() ?? after(options.countdownMs),
    expiresAt: options.expiresAt?.getTime() ?? after(options.expiresInMs),
  }
}
