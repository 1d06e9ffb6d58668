/**
 * What comes into the inbox: questions of our own processes, told by the message's `type`, and the result documents of
 * Celery's workers, which have none.
 */
import { createHash } from 'node:crypto'
import type { ConsumeMessage } from 'amqplib'
import { coerceError } from '../../../core/errors.ts'
import type { ErrorDocument, StateRecord } from '../../../core/record.ts'
import { bodyTextOf } from '../../../protocol/body-text.ts'
import { defaultLimits } from '../../../protocol/json.ts'
import { fromResultDocument } from '../../../protocol/result-document.ts'
import { toWireMessage } from '../message.ts'
import type { Arrival } from './decide.ts'
import { isMap, isRecord, parseMap } from './entries.ts'

/** What a process asks of the relay. All but `begin` are answered once what came before is in the stream. */
export type Question =
  /** Answered by a boolean for each record: whether it was kept. */
  | { readonly kind: 'put'; readonly puts: readonly Put[] }
  /** Answered by how far the stream reaches. */
  | { readonly kind: 'fence' }
  /** Answered by how many were forgotten. */
  | { readonly kind: 'forget'; readonly ids: readonly string[] }
  /** A relay's mark at the end of what waited when it took over. */
  | { readonly kind: 'begin'; readonly token: string }

export interface Put {
  /** Drawn by the writer, the same when it asks again. */
  readonly mark: string
  readonly record: StateRecord
}

export interface Answer {
  readonly kept?: readonly boolean[]
  readonly position?: number
  readonly count?: number
}

/** Where the answer goes, and under which number. */
export interface ReturnAddress {
  readonly queue: string
  readonly number: string
}

export type InboxMessage =
  | { readonly kind: 'question'; readonly question: Question; readonly from: ReturnAddress | undefined }
  | { readonly kind: 'document'; readonly arrival: Arrival }
  /** Nothing can be made of it, and nobody can be told. */
  | { readonly kind: 'rubbish' }

/** The AMQP `type` of our questions and answers. */
export const questionType = 'lovage.question'
export const answerType = 'lovage.answer'

export function decodeInbox(message: ConsumeMessage): InboxMessage {
  const { type, replyTo, correlationId } = textProperties(message)
  if (type !== questionType) return decodeDocument(message)
  const question = parseMap(message.content.toString('utf8'))
  if (!isQuestion(question)) return { kind: 'rubbish' }
  const from =
    replyTo === undefined || correlationId === undefined ? undefined : { queue: replyTo, number: correlationId }
  return { kind: 'question', question, from }
}

function isQuestion(value: Record<string, unknown> | undefined): value is Record<string, unknown> & Question {
  switch (value?.['kind']) {
    case 'put':
      return Array.isArray(value['puts']) && value['puts'].every(isPut)
    case 'forget':
      return Array.isArray(value['ids']) && value['ids'].every(id => typeof id === 'string')
    case 'fence':
    case 'begin':
      return true
    default:
      return false
  }
}

function isPut(value: unknown): value is Put {
  return isMap(value) && typeof value['mark'] === 'string' && isRecord(value['record'])
}

function decodeDocument(message: ConsumeMessage): InboxMessage {
  const { contentType = 'application/json', correlationId } = textProperties(message)
  const mark = createHash('sha1').update(message.content).digest('base64').slice(0, 12)
  try {
    if (contentType !== 'application/json') throw new Error(refusedContent(contentType))
    const { facts, readyAt, ...state } = fromResultDocument(textOf(message))
    const { parentId, ...rest } = facts
    // Celery gives a retried root task itself for a parent
    const record = { ...state, at: readyAt ?? state.at, facts: parentId === state.id ? rest : facts }
    return { kind: 'document', arrival: { record, isVersioned: isVersioned(record), mark } }
  } catch (error) {
    if (correlationId === undefined || correlationId === '') return { kind: 'rubbish' }
    return { kind: 'document', arrival: unreadable(correlationId, coerceError(error), mark) }
  }
}

/** Only our own writers know of hand-overs, and only they write PENDING. */
function isVersioned({ delivery, state }: StateRecord): boolean {
  return delivery > 0 || state === 'PENDING'
}

function textOf(message: ConsumeMessage): string {
  const { compression } = (message.properties.headers ?? {}) as Readonly<Record<string, unknown>>
  if (typeof compression !== 'string') return message.content.toString('utf8')
  return bodyTextOf({ ...toWireMessage(message), body: message.content }, defaultLimits)
}

/** Whoever waits for that task is told why nothing can be shown, instead of waiting for ever. */
function unreadable(id: string, error: Error, mark: string): Arrival {
  const document: ErrorDocument = {
    type: 'DecodeError',
    message: `What the worker sent of this task cannot be read. ${error.message}`,
    retryable: false,
  }
  const record = { id, state: 'FAILURE', retries: 0, delivery: 0, seq: 0, at: 0, value: JSON.stringify(document) }
  return { record, isVersioned: false, mark }
}

function refusedContent(contentType: string): string {
  return `Results are read as application/json only, this is ${contentType}: set result_serializer = 'json' in Celery`
}

function textProperties(
  message: ConsumeMessage,
): Readonly<Record<'type' | 'replyTo' | 'correlationId' | 'contentType', string | undefined>> {
  const { type, replyTo, correlationId, contentType } = message.properties as Partial<
    Record<'type' | 'replyTo' | 'correlationId' | 'contentType', unknown>
  >
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
  return {
    type: text(type),
    replyTo: text(replyTo),
    correlationId: text(correlationId),
    contentType: text(contentType),
  }
}
