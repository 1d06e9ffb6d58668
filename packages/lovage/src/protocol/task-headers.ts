/** Celery's headers, read one by one: what steers the worker must make sense, what is only shown may be missing. */
import type { WireMessage } from '../core/wire.ts'
import { DecodeError, describe } from '../core/errors.ts'
import { parseIsoTime } from './iso-time.ts'
import type { DecodeLimits } from './json.ts'
import type { TaskMessage } from './task-message.ts'

type Headers = Readonly<Record<string, unknown>>

/** @throws {DecodeError} naming the header. */
export function readHeaders(headers: Headers, wire: WireMessage, limits: DecodeLimits): TaskMessage {
  const id = requiredText(headers, 'id')
  const { correlationId, replyTo, priority } = wire.properties
  return {
    id,
    task: requiredText(headers, 'task'),
    retries: count(headers, 'retries') ?? 0,
    etaAt: instant(headers, 'eta'),
    expiresAt: instant(headers, 'expires'),
    timeLimitMs: timeLimit(headers, 0),
    softTimeLimitMs: timeLimit(headers, 1),
    rootId: text(headers['root_id']) ?? id,
    parentId: text(headers['parent_id']),
    group: text(headers['group']),
    groupIndex: count(headers, 'group_index'),
    shadow: text(headers['shadow']),
    origin: text(headers['origin']),
    ignoreResult: flag(headers['ignore_result']),
    replacedTaskNesting: count(headers, 'replaced_task_nesting'),
    stampedHeaders: texts(headers['stamped_headers']),
    stamps: stamps(headers['stamps']),
    argsrepr: text(headers['argsrepr']),
    kwargsrepr: text(headers['kwargsrepr']),
    replyTo: text(replyTo),
    correlationId: text(correlationId),
    priority,
    owner: text(headers['lovage_owner']),
    tags: texts(headers['lovage_tags']),
    queuedAt: count(headers, 'lovage_queued_at'),
    replayOf: text(headers['lovage_replay_of']),
    maxRetries: count(headers, 'lovage_max_retries'),
    unknownCount: count(headers, 'lovage_unknown'),
    headers: customHeaders(wire.headers, limits.maxHeaderBytes),
  }
}

const knownHeaders: ReadonlySet<string> = new Set(
  (
    'lang task id shadow eta expires group group_index retries timelimit root_id parent_id argsrepr kwargsrepr origin ' +
    'ignore_result replaced_task_nesting stamped_headers stamps compression ' +
    'lovage_owner lovage_tags lovage_queued_at lovage_replay_of lovage_max_retries lovage_unknown'
  ).split(' '),
)

const noHeaders: Headers = {}

/** @throws {DecodeError} all headers together are over the limit; what is neither text nor custom is not counted. */
function customHeaders(headers: Headers, maxBytes: number): Headers {
  let custom: Record<string, unknown> | undefined
  let size = 0
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === 'string') size += value.length
    // set on an object, `__proto__` is no key
    if (knownHeaders.has(name) || name === '__proto__') continue
    if (typeof value === 'object' && value !== null) size += sizeOf(name, value)
    custom ??= {}
    custom[name] = value
  }
  if (size > maxBytes) throw new DecodeError(`The headers have ${size} characters; the limit is ${maxBytes}.`)
  return custom ?? noHeaders
}

function sizeOf(name: string, value: object): number {
  try {
    return JSON.stringify(value).length
  } catch (cause) {
    throw new DecodeError(`The header "${name}" cannot be read: it is nested too deep, or no JSON value.`, { cause })
  }
}

function requiredText(headers: Headers, name: string): string {
  const value = headers[name]
  if (typeof value === 'string' && value !== '') return value
  throw bad(name, value, 'a text that is not empty')
}

/** Empty is none, as in Python. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function texts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : undefined
}

function flag(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}

function count(headers: Headers, name: string): number | undefined {
  const value = headers[name]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw bad(name, value, 'a whole number from 0 up')
}

function instant(headers: Headers, name: string): number | undefined {
  const value = headers[name]
  if (value === undefined || value === null || value === '') return undefined
  const at = typeof value === 'string' ? parseIsoTime(value) : undefined
  if (at === undefined) throw bad(name, value, 'an ISO 8601 time')
  return at
}

/** `[hard, soft]` in seconds, not as Celery's documentation has it. */
function timeLimit(headers: Headers, index: 0 | 1): number | undefined {
  const limits = headers['timelimit']
  if (limits === undefined || limits === null) return undefined
  if (!Array.isArray(limits)) throw bad('timelimit', limits, '[hard, soft]')
  const value: unknown = limits[index]
  // 0 is no limit to Python
  if (value === undefined || value === null || value === 0) return undefined
  if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return Math.round(value * 1000)
  throw bad('timelimit', limits, '[hard, soft] in seconds, or nulls')
}

function stamps(value: unknown): Headers | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  // oxlint-disable-next-line no-unreachable-loop -- asks only whether there is a first key
  for (const _name in value) return value as Headers
  return undefined
}

function bad(name: string, value: unknown, expected: string): DecodeError {
  return new DecodeError(`The header "${name}" is ${describe(value)}; expected ${expected}.`, {
    details: { header: name, value },
  })
}
