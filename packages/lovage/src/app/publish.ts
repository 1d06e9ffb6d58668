/** From a call to an accepted message: id, queue, times, limits, the PENDING record; one trip for many. */
import { hostname } from 'node:os'
import type { Publication, PublishOutcome } from '../broker.ts'
import { crashPoint } from '../core/crash-point.ts'
import { EncodeError, MessageTooLargeError, PublishError } from '../core/errors.ts'
import { uuidv7 } from '../core/id.ts'
import type { StateRecord } from '../core/record.ts'
import type { WireMessage } from '../core/wire.ts'
import { defaultLimits } from '../protocol/json.ts'
import { emptyEmbed, encodeTask } from '../protocol/task-message.ts'
import type { TaskMessage } from '../protocol/task-message.ts'
import { dueTimes } from './apply-options.ts'
import type { DueTimes } from './apply-options.ts'
import type { AppState } from './app-state.ts'
import type { WireArguments } from './call.ts'
import { currentTask } from './process-wide.ts'
import type { TaskDefinition } from './registry.ts'
import type { ApplyOptions } from './types.ts'
import { hintAtMissingWorker } from './worker-hint.ts'

/** What is sent: a task by name, with its definition where there is one. */
export interface Call {
  readonly name: string
  readonly definition: TaskDefinition | undefined
  readonly wire: WireArguments
  readonly options: ApplyOptions
  /** Over `options.taskId`: an idempotency key's. */
  readonly id?: string | undefined
}

/**
 * Sends calls in one trip and gives their ids; rejects when one was not accepted.
 * @throws {EncodeError | MessageTooLargeError} before anything is sent.
 * @throws {PublishError} with the ids that were and were not accepted.
 */
export async function publishCalls(app: AppState, calls: readonly Call[]): Promise<readonly string[]> {
  calls[0]?.options.signal?.throwIfAborted()
  // before anything is waited for: what is done to the arguments from now on is not sent
  const drafts = calls.map(call => toPublication(app, call))
  return await publishDrafts(app, calls, drafts)
}

/** The same with the publications that `toPublication` made of the calls. */
export async function publishDrafts(
  app: AppState,
  calls: readonly Call[],
  drafts: readonly Publication[],
): Promise<readonly string[]> {
  const signal = calls[0]?.options.signal
  const backend = await app.backend()
  // without a delay of the broker's the worker waits, by the header
  const batch = backend.broker.capabilities.delay ? drafts : drafts.map(draft => ({ ...draft, notBefore: undefined }))
  crashPoint('P1')
  const publishing = app.publish(backend, batch)
  const outcomes = signal === undefined ? await publishing : await orAborted(publishing, signal)
  assertAccepted(calls, batch, outcomes)
  crashPoint('P4')
  hintAtMissingWorker(app, backend)
  return batch.map(({ id }) => id)
}

/** The id a call will have; drawn where it is needed before the publication is made. */
export function callId(app: AppState, options: ApplyOptions): string {
  return options.taskId ?? uuidv7(app.clock.now())
}

/** What is sent. @throws {EncodeError | MessageTooLargeError} */
export function toPublication(app: AppState, call: Call): Publication {
  const now = app.clock.now()
  const times = dueTimes(call.options, now)
  const message = toTaskMessage(app, call, { ...times, now })
  const queue = call.options.queue ?? call.definition?.options.queue ?? app.queueOf(call.name)
  return {
    id: message.id,
    queue,
    message: encodeWithin(message, call.wire, app.config.maxBodyBytes.value),
    priority: message.priority,
    notBefore: times.etaAt,
    record: message.ignoreResult === true ? undefined : pendingRecord(message, queue, now),
  }
}

const origin = `gen${process.pid}@${hostname()}`

function toTaskMessage(app: AppState, call: Call, times: DueTimes & { readonly now: number }): TaskMessage {
  const { options, definition } = call
  const parent = currentTask()
  const id = call.id ?? callId(app, options)
  return {
    id,
    task: call.name,
    retries: 0,
    etaAt: times.etaAt,
    expiresAt: times.expiresAt,
    timeLimitMs: options.timeLimitMs,
    softTimeLimitMs: options.softTimeLimitMs,
    rootId: parent?.request.rootId ?? id,
    parentId: parent?.id,
    origin,
    ignoreResult: options.ignoreResult ?? (definition?.options.ignoreResult === true ? true : undefined),
    priority: options.priority ?? definition?.options.priority,
    owner: options.owner,
    tags: options.tags,
    queuedAt: times.now,
    maxRetries: options.maxRetries,
    headers: options.headers ?? noHeaders,
  }
}

const noHeaders: Readonly<Record<string, unknown>> = Object.freeze({})

/** @throws {EncodeError} naming task and path. @throws {MessageTooLargeError} naming size, limit and remedy. */
function encodeWithin(message: TaskMessage, wire: WireArguments, maxBodyBytes: number): WireMessage {
  let encoded: WireMessage
  try {
    encoded = encodeTask(message, { args: wire.args, kwargs: wire.kwargs, embed: emptyEmbed })
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error
    throw new EncodeError(`${message.task}: ${error.message}`, { cause: error, details: error.details })
  }
  assertSize(message, encoded, maxBodyBytes)
  return encoded
}

function assertSize(message: TaskMessage, encoded: WireMessage, maxBodyBytes: number): void {
  const bytes = Buffer.byteLength(encoded.body)
  if (bytes > maxBodyBytes) {
    throw new MessageTooLargeError(
      `${message.task}: the arguments take ${bytes} bytes, the limit is ${maxBodyBytes}. Send a reference to the data (a path, a key, ` +
        `a row's id), or raise maxBodyBytes (LOVAGE_MAX_BODY_BYTES) up to ${defaultLimits.maxBodyBytes}`,
      { details: { task: message.task, bytes, limit: maxBodyBytes } },
    )
  }
  // what is not the caller's is some 700 bytes: it needs no count
  if (message.tags === undefined && message.headers === noHeaders) return
  const headerBytes = Buffer.byteLength(JSON.stringify(encoded.headers))
  if (headerBytes <= defaultLimits.maxHeaderBytes) return
  throw new MessageTooLargeError(
    `${message.task}: the headers take ${headerBytes} bytes, the limit is ${defaultLimits.maxHeaderBytes}. Pass data as arguments`,
    { details: { task: message.task, headerBytes, limit: defaultLimits.maxHeaderBytes } },
  )
}

function pendingRecord(message: TaskMessage, queue: string, now: number): StateRecord {
  const { id, task, owner, tags, rootId, parentId } = message
  return {
    id,
    state: 'PENDING',
    retries: 0,
    delivery: 0,
    seq: 0,
    at: now,
    facts: { name: task, queue, queuedAt: now, owner, tags, rootId: rootId === id ? undefined : rootId, parentId },
  }
}

/** The wait ends with the signal; the publish does not. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function assertAccepted(
  calls: readonly Call[],
  batch: readonly Publication[],
  outcomes: readonly PublishOutcome[],
): void {
  const failed = outcomes.filter(outcome => outcome.accepted !== 'yes')
  const [first] = failed
  if (first === undefined) return
  const idsWhere = (isAccepted: boolean): string[] =>
    batch.filter((_, index) => (outcomes[index]?.accepted === 'yes') === isAccepted).map(({ id }) => id)
  const rejectedIds = idsWhere(false)
  const subject =
    calls.length === 1
      ? `${calls[0]?.name ?? ''} (${rejectedIds[0] ?? ''})`
      : `${failed.length} of ${calls.length} calls of ${calls[0]?.name ?? ''}`
  const accepted = failed.some(outcome => outcome.accepted === 'unknown') ? 'unknown' : 'no'
  const verdict =
    accepted === 'no'
      ? 'not accepted'
      : 'perhaps not accepted; sent again with the same id it is the same task, which may run twice'
  throw new PublishError(`${subject} ${calls.length === 1 ? 'was' : 'were'} ${verdict}: ${first.error.message}`, {
    cause: first.error,
    accepted,
    acceptedIds: idsWhere(true),
    rejectedIds,
  })
}
