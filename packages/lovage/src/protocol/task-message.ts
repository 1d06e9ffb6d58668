/**
 * A task's message ⇄ what travels: Celery's protocol 2, and protocol 1 when it arrives.
 * Headers are read where messages are received; a body is decoded only where the task runs.
 */
import type { WireMessage } from '../core/wire.ts'
import { ContentDisallowedError, DecodeError, describe } from '../core/errors.ts'
import { bodyTextOf } from './body-text.ts'
import { formatIsoTime } from './iso-time.ts'
import { decodeJson, defaultLimits, encodeJson, type DecodeLimits } from './json.ts'
import { argsRepr, kwargsRepr } from './repr.ts'
import { readHeaders } from './task-headers.ts'

/** What is said of a task beside its arguments. Instants are epoch milliseconds. */
export interface TaskMessage {
  readonly id: string
  /** The task's name. */
  readonly task: string
  /** Retries made before this attempt. */
  readonly retries: number
  /** Not before. */
  readonly etaAt?: number | undefined
  /** Not started after. */
  readonly expiresAt?: number | undefined
  /** Hard limit of one run. */
  readonly timeLimitMs?: number | undefined
  readonly softTimeLimitMs?: number | undefined
  /** The first task of the workflow; its own id for a task that nobody's task sent. */
  readonly rootId: string
  /** The task that sent this one. */
  readonly parentId?: string | undefined
  readonly group?: string | undefined
  readonly groupIndex?: number | undefined
  /** A name to show instead of the task's. */
  readonly shadow?: string | undefined
  /** Who sent it: `gen4711@host`. */
  readonly origin?: string | undefined
  /** Undefined leaves it to the worker's own setting. */
  readonly ignoreResult?: boolean | undefined
  readonly replacedTaskNesting?: number | undefined
  readonly stampedHeaders?: readonly string[] | undefined
  readonly stamps?: Readonly<Record<string, unknown>> | undefined
  /** Previews, 1024 characters at most. Undefined when sent: made from the body, if that is not text already. */
  readonly argsrepr?: string | undefined
  readonly kwargsrepr?: string | undefined
  /** The queue a foreign client wants its results in. */
  readonly replyTo?: string | undefined
  /** @default the id */
  readonly correlationId?: string | undefined
  /** 0–9, 9 first. @default 0 */
  readonly priority?: number | undefined
  readonly owner?: string | undefined
  readonly tags?: readonly string[] | undefined
  readonly queuedAt?: number | undefined
  /** The task this one is a replay of. */
  readonly replayOf?: string | undefined
  /** The caller's own limit on retries, over the task's. */
  readonly maxRetries?: number | undefined
  /** How often workers that do not know its name have given it back. */
  readonly unknownCount?: number | undefined
  /** Custom headers: those that are none of the above. */
  readonly headers: Readonly<Record<string, unknown>>
}

/** What is to be sent after the task, as signatures. `chain` is in reverse: the next is the last. */
export interface TaskEmbed {
  readonly callbacks: readonly unknown[] | null
  readonly errbacks: readonly unknown[] | null
  readonly chain: readonly unknown[] | null
  readonly chord: unknown
}

export interface TaskBody {
  readonly args: readonly unknown[]
  /** Decoded ones have no prototype: a name from the wire finds nothing but what was sent. */
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly embed: TaskEmbed
}

export const emptyEmbed: TaskEmbed = { callbacks: null, errbacks: null, chain: null, chord: null }

/** `[args, kwargs, embed]` as text. @throws {EncodeError} naming the path: `args[1].total`. */
export function encodeBody(body: TaskBody): string {
  const embed = body.embed === emptyEmbed ? emptyEmbedText : encodeJson(body.embed, 'embed')
  return `[${encodeJson(body.args, 'args')},${encodeJson(body.kwargs, 'kwargs')},${embed}]`
}

const emptyEmbedText = '{"callbacks":null,"errbacks":null,"chain":null,"chord":null}'

/**
 * The message in protocol 2, with every header Celery writes, in its order.
 * @param body text is taken as `encodeBody` made it.
 * @throws {EncodeError} the body holds what would come back as something else.
 */
export function encodeTask(message: TaskMessage, body: TaskBody | string): WireMessage {
  const isText = typeof body === 'string'
  const headers: Record<string, unknown> = {
    lang: 'ts',
    task: message.task,
    id: message.id,
    shadow: message.shadow ?? null,
    eta: timeHeader(message.etaAt),
    expires: timeHeader(message.expiresAt),
    group: message.group ?? null,
    group_index: message.groupIndex ?? null,
    retries: message.retries,
    timelimit: [secondsHeader(message.timeLimitMs), secondsHeader(message.softTimeLimitMs)],
    root_id: message.rootId,
    parent_id: message.parentId ?? null,
    argsrepr: message.argsrepr ?? (isText ? null : argsRepr(body.args)),
    kwargsrepr: message.kwargsrepr ?? (isText ? null : kwargsRepr(body.kwargs)),
    origin: message.origin ?? null,
    ignore_result: message.ignoreResult ?? null,
    replaced_task_nesting: message.replacedTaskNesting ?? 0,
    stamped_headers: message.stampedHeaders ?? null,
    stamps: message.stamps ?? {},
  }
  addOwnHeaders(headers, message)
  return {
    properties: {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: message.correlationId ?? message.id,
      replyTo: message.replyTo,
      priority: message.priority ?? 0,
      deliveryMode: 2,
    },
    headers,
    body: isText ? body : encodeBody(body),
  }
}

function timeHeader(at: number | undefined): string | null {
  return at === undefined ? null : formatIsoTime(at)
}

function secondsHeader(ms: number | undefined): number | null {
  return ms === undefined ? null : ms / 1000
}

/** Ours that Celery lacks, then the custom ones; those never replace one with a meaning. */
function addOwnHeaders(headers: Record<string, unknown>, message: TaskMessage): void {
  if (message.owner !== undefined) headers['lovage_owner'] = message.owner
  if (message.tags !== undefined) headers['lovage_tags'] = message.tags
  if (message.queuedAt !== undefined) headers['lovage_queued_at'] = message.queuedAt
  if (message.replayOf !== undefined) headers['lovage_replay_of'] = message.replayOf
  if (message.maxRetries !== undefined) headers['lovage_max_retries'] = message.maxRetries
  for (const name in message.headers) if (!(name in headers)) headers[name] = message.headers[name]
}

/**
 * What a message says of its task. A body is read only for protocol 1, whose headers are in it.
 * @throws {DecodeError} it is no task, or a header has no meaning; names it.
 * @throws {ContentDisallowedError} protocol 1 in anything but JSON.
 */
export function decodeTaskHeaders(wire: WireMessage, limits: DecodeLimits = defaultLimits): TaskMessage {
  if (wire.headers['task'] !== undefined) return readHeaders(wire.headers, wire, limits)
  const body = decodeBody(wire, limits)
  if (!isMap(body) || body['task'] === undefined) {
    throw new DecodeError('This is no task: it has no header "task", and its body is no protocol 1 message.')
  }
  // protocol 1 calls the group a task set
  return readHeaders({ ...body, group: body['group'] ?? body['taskset'] }, wire, limits)
}

/**
 * The arguments, decompressed and decoded.
 * @throws {DecodeError} it cannot be read, or is over a limit.
 * @throws {ContentDisallowedError} it is not JSON; says what to set in Celery.
 */
export function decodeTaskBody(wire: WireMessage, limits: DecodeLimits = defaultLimits): TaskBody {
  const body = decodeBody(wire, limits)
  if (Array.isArray(body)) return toTaskBody(body[0], body[1], body[2])
  // protocol 1, or its body under the headers of protocol 2
  if (isMap(body) && (body['args'] !== undefined || body['kwargs'] !== undefined)) {
    return toTaskBody(body['args'] ?? [], body['kwargs'] ?? {}, { ...body, chain: null })
  }
  throw new DecodeError(`The body is neither [args, kwargs, embed] nor a protocol 1 message: ${describe(body)}.`)
}

function decodeBody(wire: WireMessage, limits: DecodeLimits): unknown {
  assertJson(wire.properties.contentType)
  return decodeJson(bodyTextOf(wire, limits), limits)
}

function toTaskBody(args: unknown, kwargs: unknown, embed: unknown): TaskBody {
  if (!Array.isArray(args)) throw new DecodeError(`The arguments are no list: ${describe(args)}.`)
  if (!isMap(kwargs)) throw new DecodeError(`The keyword arguments are no map: ${describe(kwargs)}.`)
  return { args, kwargs: Object.assign(Object.create(null) as typeof kwargs, kwargs), embed: toEmbed(embed) }
}

/** Python takes a missing embed for an empty one. */
function toEmbed(embed: unknown): TaskEmbed {
  if (!isMap(embed)) return emptyEmbed
  const { callbacks, errbacks, chain, chord } = embed
  if ((callbacks ?? errbacks ?? chain ?? chord ?? null) === null) return emptyEmbed
  return {
    callbacks: listOrNull('callbacks', callbacks),
    errbacks: listOrNull('errbacks', errbacks),
    chain: listOrNull('chain', chain),
    chord: chord ?? null,
  }
}

function listOrNull(name: string, value: unknown): readonly unknown[] | null {
  if (value === undefined || value === null) return null
  if (Array.isArray(value)) return value
  throw new DecodeError(`The ${name} of the body are no list of signatures: ${describe(value)}.`)
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const otherTypes: ReadonlyMap<string, string> = new Map([
  ['application/x-python-serialize', 'pickle, and decoding pickle can run any code'],
  ['application/x-yaml', 'YAML'],
  ['application/x-msgpack', 'msgpack'],
  ['application/data', 'raw or signed data'],
  ['text/plain', 'plain text'],
])

/** Whatever parameters it has. */
export function isJson(contentType: string): boolean {
  return contentType === 'application/json' || typeOf(contentType) === 'application/json'
}

function typeOf(contentType: string): string {
  return contentType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function assertJson(contentType: string): void {
  if (isJson(contentType)) return
  const known = otherTypes.get(typeOf(contentType))
  throw new ContentDisallowedError(
    `A body of the content type ${describe(contentType)}${known === undefined ? '' : ` (${known})`} is refused: only ` +
      `application/json is taken. Where the message comes from, set Celery's task_serializer = 'json' and ` +
      `result_serializer = 'json', and accept_content = ['json'].`,
    { details: { contentType } },
  )
}

/** What was noted on the old message on its way: on the new one it would look like a cycle. */
const wayHeaders = /^(?:x-(?:death|(?:first|last)-death-.*|delivery-count|acquired-count)|lovage_unknown)$/

/**
 * The message of the next attempt, as Celery sends it: the same id and body, its own id as parent when it had none.
 * @param change `etaAt` undefined: at once.
 */
export function retryMessage(
  wire: WireMessage,
  change: { readonly retries: number; readonly etaAt?: number | undefined },
): WireMessage {
  if (wire.headers['task'] === undefined) return upgradedRetry(wire, change)
  const headers: Record<string, unknown> = {}
  for (const name in wire.headers) if (!wayHeaders.test(name)) headers[name] = wire.headers[name]
  headers['retries'] = change.retries
  headers['eta'] = timeHeader(change.etaAt)
  headers['parent_id'] ??= headers['id']
  return { properties: wire.properties, headers, body: wire.body }
}

/** A retry of protocol 1 leaves in protocol 2. */
function upgradedRetry(
  wire: WireMessage,
  change: { readonly retries: number; readonly etaAt?: number | undefined },
): WireMessage {
  const message = decodeTaskHeaders(wire)
  const { retries, etaAt } = change
  return encodeTask({ ...message, retries, etaAt, parentId: message.parentId ?? message.id }, decodeTaskBody(wire))
}
