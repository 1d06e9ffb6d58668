/**
 * The table of settings. One rule names them: option `leaseMs` is variable LOVAGE_LEASE_MS, and `LOVAGE_LEASE_MS_FILE`
 * names a file that holds the value. Celery's name for the same thing is read too, after ours.
 */
import { parseDuration } from '../core/duration.ts'
import { describe } from '../core/errors.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The values of all settings, resolved. */
export interface SettingValues {
  readonly brokerUrl: string
  readonly resultBackend: string
  readonly defaultQueue: string
  /** Queues a worker takes; empty: the default queue and those its tasks are sent to. */
  readonly queues: readonly string[]
  readonly leaseMs: number
  readonly resultExpiresMs: number
  readonly shutdownTimeoutMs: number
  /** Slots of a worker; undefined: as many as the pool finds right. */
  readonly concurrency: number | undefined
  readonly maxBodyBytes: number
  readonly logLevel: LogLevel
  /** The first signs, all verify. Empty: none was given. */
  readonly secret: readonly string[]
}
export type SettingName = keyof SettingValues

/** How one setting is read. */
export interface SettingRule {
  /** Celery's variable for it. */
  readonly celery?: string
  /** What a bare number in Celery's variable counts; ours count milliseconds. */
  readonly celeryUnit?: 's'
  /** What it must be, for the error message. */
  readonly expected: string
  /** The value, from text (flags, environment) or from the constructor; undefined when it is not what is expected. */
  readonly read: (given: unknown, unit: 'ms' | 's') => unknown
  /** Never shown. */
  readonly isSecret?: true
}

/** No broker takes more: RabbitMQ's own limit. */
const hardBodyBytes = 16 * 1024 * 1024

export const settingRules: Readonly<Record<SettingName, SettingRule>> = {
  brokerUrl: { celery: 'CELERY_BROKER_URL', expected: 'a URL such as sqlite:queue.db', read: readText },
  resultBackend: { celery: 'CELERY_RESULT_BACKEND', expected: 'a URL such as sqlite:queue.db', read: readText },
  defaultQueue: { celery: 'CELERY_TASK_DEFAULT_QUEUE', expected: 'the name of a queue', read: readText },
  queues: { expected: 'names of queues with commas between', read: readList },
  leaseMs: { expected: 'a duration from 1s to 1h', read: durationWithin(1000, 3_600_000) },
  resultExpiresMs: {
    celery: 'CELERY_RESULT_EXPIRES',
    celeryUnit: 's',
    expected: 'a duration from 1s on',
    read: durationWithin(1000, Number.MAX_SAFE_INTEGER),
  },
  shutdownTimeoutMs: { expected: 'a duration', read: durationWithin(0, Number.MAX_SAFE_INTEGER) },
  concurrency: {
    celery: 'CELERY_WORKER_CONCURRENCY',
    expected: 'a whole number from 1 to 10000',
    read: integerWithin(1, 10_000),
  },
  maxBodyBytes: {
    expected: `a whole number of bytes from 1024 to ${hardBodyBytes}`,
    read: integerWithin(1024, hardBodyBytes),
  },
  logLevel: { expected: 'debug, info, warn or error', read: readLogLevel },
  secret: { expected: 'a text, or several with commas between', read: readList, isSecret: true },
}

export const settingNames: readonly SettingName[] = Object.keys(settingRules) as SettingName[]

/** `brokerUrl` → `LOVAGE_BROKER_URL`. */
export function variableName(setting: string): string {
  return `LOVAGE_${setting.replaceAll(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
}

/** A value as an error message shows it. */
export function showGiven(setting: SettingName, given: unknown): string {
  return settingRules[setting].isSecret === true ? 'the value given' : describe(given)
}

function readText(given: unknown): string | undefined {
  return typeof given === 'string' && given.trim() !== '' ? given.trim() : undefined
}

function readList(given: unknown): readonly string[] | undefined {
  const list: readonly unknown[] =
    typeof given === 'string' ? given.split(',').map(part => part.trim()) : Array.isArray(given) ? given : []
  return list.length > 0 && list.every(part => typeof part === 'string' && part !== '')
    ? (list as readonly string[])
    : undefined
}

function readLogLevel(given: unknown): LogLevel | undefined {
  const text = typeof given === 'string' ? given.toLowerCase() : ''
  if (text === 'warning') return 'warn'
  if (text === 'critical') return 'error'
  return text === 'debug' || text === 'info' || text === 'warn' || text === 'error' ? text : undefined
}

function durationWithin(minMs: number, maxMs: number): SettingRule['read'] {
  return (given, unit) => {
    const ms = typeof given === 'string' ? parseDuration(given, unit) : given
    return typeof ms === 'number' && Number.isFinite(ms) && ms >= minMs && ms <= maxMs ? Math.round(ms) : undefined
  }
}

function integerWithin(min: number, max: number): SettingRule['read'] {
  return given => {
    const count = typeof given === 'string' && /^\d+$/.test(given.trim()) ? Number(given) : given
    return typeof count === 'number' && Number.isInteger(count) && count >= min && count <= max ? count : undefined
  }
}
