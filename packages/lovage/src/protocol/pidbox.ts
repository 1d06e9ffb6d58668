/** Celery's remote control: a command to all workers, and a worker's answer. What is no command is nobody's, never an error. */
import type { WireMessage } from '../core/wire.ts'
import { bodyTextOf } from './body-text.ts'
import { decodeJson, defaultLimits, encodeJson } from './json.ts'

/** Where every worker listens for commands. */
export const controlAddress = 'celery.pidbox'

export interface ControlCommand {
  readonly method: string
  readonly args: Readonly<Record<string, unknown>>
  /** Node names; undefined: everybody. */
  readonly destination: readonly string[] | undefined
  /** Where an answer is waited for; undefined: nowhere. */
  readonly answerTo: { readonly address: string; readonly ticket: string } | undefined
}

/** @param expiresAt epoch milliseconds after which nobody need heed it. */
export function encodeCommand(
  { method, args, answerTo }: Pick<ControlCommand, 'method' | 'args'> & Partial<ControlCommand>,
  expiresAt: number,
): WireMessage {
  const body = {
    method,
    arguments: args,
    destination: null,
    pattern: null,
    matcher: null,
    ...(answerTo === undefined
      ? {}
      : {
          ticket: answerTo.ticket,
          reply_to: {
            exchange: answersExchange,
            routing_key: answerTo.address.slice(answersExchange.length + 1),
          },
        }),
  }
  return message(body, { clock: 0, expires: expiresAt / 1000 })
}

/** @param node the name of the worker that asks. Undefined: it is not for this worker, too old, or none. */
export function decodeCommand(wire: WireMessage, node: string, now: number): ControlCommand | undefined {
  const { expires } = wire.headers
  if (typeof expires === 'number' && expires * 1000 < now) return undefined
  const body = read(wire)
  const { method, arguments: args, destination, ticket, reply_to: replyTo } = body ?? {}
  if (typeof method !== 'string') return undefined
  const nodes = Array.isArray(destination) ? destination.filter(each => typeof each === 'string') : undefined
  if (nodes !== undefined && !nodes.includes(node)) return undefined
  const { exchange, routing_key: key } = isMap(replyTo) ? replyTo : {}
  const isAsked = typeof ticket === 'string' && typeof key === 'string' && exchange === answersExchange
  return {
    method,
    args: isMap(args) ? args : {},
    destination: nodes,
    answerTo: isAsked ? { address: `${answersExchange}.${key}`, ticket } : undefined,
  }
}

const answersExchange = 'reply.celery.pidbox'

/** Where whoever chose this name waits for answers. */
export function answersAddress(name: string): string {
  return `${answersExchange}.${name}`
}

export function encodeAnswer(node: string, ticket: string, answer: unknown): WireMessage {
  return message({ [node]: answer }, { ticket, clock: 0 })
}

/** Answers by node name. @param ticket only answers to this command. */
export function decodeAnswer(wire: WireMessage, ticket: string): readonly (readonly [node: string, answer: unknown])[] {
  const given = wire.headers['ticket']
  return given === ticket ? Object.entries(read(wire) ?? {}) : []
}

function message(body: object, headers: WireMessage['headers']): WireMessage {
  return {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8', deliveryMode: 1 },
    headers,
    body: encodeJson(body),
  }
}

function read(wire: WireMessage): Readonly<Record<string, unknown>> | undefined {
  try {
    const body = decodeJson(bodyTextOf(wire, defaultLimits))
    return isMap(body) ? body : undefined
  } catch {
    return undefined
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
