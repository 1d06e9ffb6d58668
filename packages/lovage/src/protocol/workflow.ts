/**
 * What a message says is to be called after its task: `link`, `link_error`, the rest of its chain; and the messages
 * those calls are. A message that is made twice is the same twice: ids are given, or made of the caller's.
 */
import type { WireMessage } from '../core/wire.ts'
import { uuidv5 } from '../core/id.ts'
import { bodyTextOf } from './body-text.ts'
import { parseIsoTime } from './iso-time.ts'
import { decodeJson, decodeWireJson, defaultLimits, wireNumber, type DecodeLimits } from './json.ts'
import { argsRepr, kwargsRepr } from './repr.ts'
import {
  chord,
  listOf,
  readSignature,
  toWireSignature,
  withOptions,
  type Signature,
  type WireMap,
} from './signature.ts'
import { encodeTask, isJson, type TaskMessage } from './task-message.ts'
import { isTypedJson } from './typed-values.ts'

export interface Workflow {
  /** Called with the result. */
  readonly callbacks: readonly Signature[]
  /** Called with the id of the task that failed. */
  readonly errbacks: readonly Signature[]
  /** The first is called with the result, the next with that one's, and so on. */
  readonly chain: readonly Signature[]
}

/** Nothing follows: the end of nearly every body. */
const nothingFollows = /,\s*(?:null|\{\s*(?:"(?:callbacks|errbacks|chain|chord)"\s*:\s*null\s*,?\s*)*\})\s*\]\s*$/
const tailLength = 200

/**
 * Undefined: nothing follows, or the body cannot be read, as whoever runs it will say.
 * @throws {DecodeError} something is to follow that is no signature.
 * @throws {UnsupportedError} it is part of a chord.
 */
export function readWorkflow(wire: WireMessage, limits: DecodeLimits = defaultLimits): Workflow | undefined {
  const { body, headers } = wire
  if (headers['compression'] === undefined && nothingFollows.test(tailOf(body))) return undefined
  const embed = embedOf(wire, limits)
  const callbacks = listOf(embed['callbacks'])
  const errbacks = listOf(embed['errbacks'])
  const chain = listOf(embed['chain']).toReversed()
  if ((embed['chord'] ?? null) !== null) throw chord(text(headers['task']) ?? 'the task')
  if (callbacks.length + errbacks.length + chain.length === 0) return undefined
  return {
    callbacks: callbacks.map(each => readSignature(each)),
    errbacks: errbacks.map(each => readSignature(each)),
    chain: chain.map((each, index) => readSignature(each, index === chain.length - 1)),
  }
}

function tailOf(body: WireMessage['body']): string {
  return typeof body === 'string' ? body.slice(-tailLength) : Buffer.from(body.subarray(-tailLength)).toString('latin1')
}

function embedOf(wire: WireMessage, limits: DecodeLimits): WireMap {
  if (!isJson(wire.properties.contentType)) return {}
  try {
    const body = decodeWireJson(bodyTextOf(wire, limits), limits)
    // in protocol 1 the body is the map; it has no chain, but callbacks in callbacks
    const embed: unknown = Array.isArray(body) ? body[2] : { ...(body as WireMap), chain: null }
    return typeof embed === 'object' && embed !== null ? (embed as WireMap) : {}
  } catch {
    return {}
  }
}

/** The task whose end makes the calls. */
export interface Caller {
  readonly id: string
  readonly rootId: string
  /** Epoch milliseconds of its end: what a countdown counts from. */
  readonly endedAt: number
  /** Who sends: `gen4711@host`. */
  readonly origin?: string | undefined
}

/** A call, as a message. */
export interface Call {
  readonly message: TaskMessage
  readonly wire: WireMessage
  /** Undefined: where tasks of its name go. */
  readonly queue: string | undefined
}

/** How a signature is called. */
interface Occasion {
  readonly caller: Caller
  /** JSON texts of the arguments that go before its own. */
  readonly given: readonly string[]
  /** What makes its id, where none is given. */
  readonly path: string
  /** What is called after it, one after the other. */
  readonly rest: readonly Signature[]
}

/** The calls that follow from a result. @param result JSON text. */
export function callsOnSuccess({ callbacks, chain }: Workflow, result: string, caller: Caller): readonly Call[] {
  const given = [result]
  const linked = callbacks.flatMap((each, index) => call(each, { caller, given, path: `link/${index}`, rest: [] }))
  const [next, ...rest] = chain
  return next === undefined ? linked : [...linked, ...call(next, { caller, given, path: 'chain/0', rest })]
}

/** The calls that follow from a failure: each errback with the id of the task, as Celery calls those it has no function of. */
export function callsOnFailure({ errbacks }: Workflow, caller: Caller): readonly Call[] {
  const given = [JSON.stringify(caller.id)]
  return errbacks.flatMap((each, index) => call(each, { caller, given, path: `link_error/${index}`, rest: [] }))
}

/** Ids and addresses of what will not be called any more: whoever waits for the end of a chain waits for these. */
export function idsInChain({
  chain,
}: Workflow): readonly { readonly id: string; readonly name: string; readonly replyTo: string | undefined }[] {
  return chain.flatMap(({ task, options }) => {
    const id = text(options['task_id'])
    return id === undefined ? [] : [{ id, name: task, replyTo: text(options['reply_to']) }]
  })
}

function call(signature: Signature, occasion: Occasion): readonly Call[] {
  switch (signature.kind) {
    case 'chain':
      return callChain(signature, occasion)
    case 'group':
      return callGroup(signature, occasion)
    case 'plain':
      return [callTask(signature, occasion)]
    default:
      return signature.kind satisfies never
  }
}

/** What is said of a chain is said of its last task; its errbacks are everybody's. */
function callChain(signature: Signature, occasion: Occasion): readonly Call[] {
  const { task_id: id, link, link_error: errback, group_id: group, group_index: index } = signature.options
  const tasks = signature.tasks.map((each, place, all) => {
    const linked =
      errback === undefined
        ? each
        : withOptions(each, { link_error: [...listOf(each.options['link_error']), ...listOf(errback)] })
    if (place < all.length - 1) return linked
    const ends = listOf(link).length === 0 ? {} : { link: [...listOf(each.options['link']), ...listOf(link)] }
    return withOptions(linked, {
      ...defined({ task_id: id, group_id: group, group_index: index }),
      ...linked.options,
      ...ends,
    })
  })
  const [first, ...rest] = [...tasks, ...occasion.rest]
  if (first === undefined) return []
  return call(first, { ...occasion, given: takes(signature, occasion), rest })
}

/** All at once, each with the same arguments. */
function callGroup(signature: Signature, occasion: Occasion): readonly Call[] {
  const group = text(signature.options['task_id']) ?? uuidv5(`${occasion.caller.id}/${occasion.path}`)
  const given = takes(signature, occasion)
  return signature.tasks.flatMap((each, index) =>
    call(withOptions(each, { group_id: group, group_index: index }), {
      ...occasion,
      given,
      path: `${occasion.path}/${index}`,
    }),
  )
}

function takes({ args, immutable }: Signature, { given }: Occasion): readonly string[] {
  const own = args.map(each => JSON.stringify(each))
  return immutable ? own : [...given, ...own]
}

function callTask(signature: Signature, occasion: Occasion): Call {
  const { options, kwargs } = signature
  const message = messageOf(signature, occasion)
  const args = `[${takes(signature, occasion).join(',')}]`
  const keywords = JSON.stringify(kwargs)
  const embed = JSON.stringify({
    callbacks: listOrNull(listOf(options['link'])),
    errbacks: listOrNull(listOf(options['link_error'])),
    chain: listOrNull(occasion.rest.map(toWireSignature).toReversed()),
    chord: null,
  })
  const wire = encodeTask({ ...message, ...previews(args, keywords) }, `[${args},${keywords},${embed}]`)
  return { message, wire, queue: text(options['queue']) ?? text(options['routing_key']) }
}

function messageOf({ task, options }: Signature, { caller, path }: Occasion): TaskMessage {
  const countdown = wireNumber(options['countdown'])
  return {
    id: text(options['task_id']) ?? uuidv5(`${caller.id}/${path}`),
    task,
    retries: 0,
    etaAt: instant(countdown ?? options['eta'], caller),
    expiresAt: instant(options['expires'], caller),
    timeLimitMs: limit(options['time_limit']),
    softTimeLimitMs: limit(options['soft_time_limit']),
    rootId: text(options['root_id']) ?? caller.rootId,
    parentId: caller.id,
    group: text(options['group_id']),
    groupIndex: count(options['group_index']),
    shadow: text(options['shadow']),
    origin: caller.origin,
    ignoreResult: typeof options['ignore_result'] === 'boolean' ? options['ignore_result'] : undefined,
    replacedTaskNesting: count(options['replaced_task_nesting']),
    ...stamps(options),
    replyTo: text(options['reply_to']),
    priority: priority(options['priority']),
    headers: headersOf(options['headers']),
  }
}

function stamps(options: WireMap): Pick<TaskMessage, 'stampedHeaders' | 'stamps'> {
  const names = listOf(options['stamped_headers']).filter(each => typeof each === 'string')
  if (names.length === 0) return {}
  return { stampedHeaders: names, stamps: headersOf(Object.fromEntries(names.map(name => [name, options[name]]))) }
}

/** For monitors; of a long body none is made, nor of one that only its own task can read. */
function previews(args: string, kwargs: string): Pick<TaskMessage, 'argsrepr' | 'kwargsrepr'> {
  if (args.length + kwargs.length > defaultLimits.maxHeaderBytes) return {}
  try {
    return { argsrepr: argsRepr(decodeJson(args) as unknown[]), kwargsrepr: kwargsRepr(decodeJson(kwargs) as WireMap) }
  } catch {
    return {}
  }
}

/** Seven thousand years: what is due later than can be written is due at once, and never expires. */
const longestS = 220_000_000_000

/** ISO text, a typed date, or seconds from the caller's end. */
function instant(value: unknown, { endedAt }: Caller): number | undefined {
  const seconds = wireNumber(value)
  if (seconds !== undefined) return Math.abs(seconds) < longestS ? endedAt + seconds * 1000 : undefined
  const isTyped = typeof value === 'object' && value !== null && isTypedJson(value) && value.__type__ === 'datetime'
  const written = isTyped ? value.__value__ : value
  return typeof written === 'string' ? parseIsoTime(written) : undefined
}

function limit(value: unknown): number | undefined {
  const seconds = wireNumber(value) ?? 0
  return seconds > 0 && seconds < longestS ? Math.round(seconds * 1000) : undefined
}

function count(value: unknown): number | undefined {
  const number = wireNumber(value)
  return number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined
}

/** 0–9, as everywhere here; brokers refuse what is no byte. */
function priority(value: unknown): number | undefined {
  const number = count(value)
  return number === undefined ? undefined : Math.min(number, 9)
}

/** Headers are plain JSON: numbers as numbers, whatever their spelling. */
function headersOf(value: unknown): WireMap {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  return JSON.parse(JSON.stringify(value)) as WireMap
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function listOrNull(list: readonly unknown[]): readonly unknown[] | null {
  return list.length === 0 ? null : list
}

function defined(map: WireMap): WireMap {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined))
}
