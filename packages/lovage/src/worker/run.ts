/** One delivery on its way through the executor: what is known of it, and the records it leaves behind. */
import type { Delivery } from '../broker.ts'
import type { StateRecord, StoredState, TaskFacts } from '../core/record.ts'
import type { Clock } from '../core/clock.ts'
import type { TaskMessage } from '../protocol/task-message.ts'
import type { Workflow } from '../protocol/workflow.ts'
import type { TaskPolicy } from './decide.ts'
import type { Outcome } from './outcome.ts'

/** What the executor must know of a task it can run. */
export interface RunnableTask {
  readonly policy: TaskPolicy
  readonly softTimeLimitMs: number | undefined
  readonly timeLimitMs: number | undefined
}

/** One delivery on its way. */
export interface Run {
  readonly delivery: Delivery
  readonly request: TaskMessage
  readonly task: RunnableTask | undefined
  /** What is called when it has ended. */
  readonly workflow: Workflow | undefined
  readonly receivedAt: number
  /** Its sender has written its facts: its records need not say them again. */
  readonly factsAreKept: boolean
  phase: 'due' | 'waiting' | 'running' | 'settling'
  runId: number
  /** Epoch ms since when it waits for a slot. */
  waitsSince: number
  /** Epoch ms when the store was asked how far it is; undefined: there was no need. */
  askedAt: number | undefined
  /** Epoch ms; undefined before it was handed to the pool. */
  startedAt: number | undefined
  /** Its STARTED is written. */
  announced: boolean
  isolated: boolean
  /** That it begins is written before it does: a suspect, or a task that may not run twice. */
  careful: boolean
  /** Which hand-over of its message this is, as its records count them. */
  handOver: number
  lastSeq: number
  /** Of an isolated run, why it did not begin after all. */
  refusal: Outcome | undefined
  /** What is being written as its end. */
  outcome: Outcome | undefined
}

type MadeRun = Pick<Run, 'delivery' | 'request' | 'task' | 'workflow' | 'receivedAt' | 'factsAreKept' | 'runId'>

export function createRun(made: MadeRun): Run {
  const { delivery, receivedAt } = made
  return {
    ...made,
    phase: 'waiting',
    waitsSince: receivedAt,
    askedAt: undefined,
    startedAt: undefined,
    announced: false,
    isolated: false,
    careful: false,
    handOver: delivery.deliveryCount,
    lastSeq: 0,
    refusal: undefined,
    outcome: undefined,
  }
}

/** A broker that does not count hand-overs knows less than the store: what begins now is above what the last holder wrote. */
export function sawStored(run: Run, stored: StoredState | undefined): void {
  if (stored?.retries !== run.request.retries) return
  // PENDING was written for the next hand-over, this one
  const next = stored.state === 'PENDING' ? stored.delivery : stored.delivery + 1
  run.handOver = Math.max(run.handOver, next)
}

/** Microseconds of the monotonic clock, always above the run's last. */
export function nextSeq(run: Run, clock: Clock): number {
  run.lastSeq = Math.max(Math.floor(clock.monotonic() * 1000), run.lastSeq + 1)
  return run.lastSeq
}

/** A record of this run without its state. */
export function recordBase(run: Run, clock: Clock): Omit<StateRecord, 'state'> {
  const { request, startedAt } = run
  return {
    id: request.id,
    retries: request.retries,
    delivery: run.handOver,
    seq: nextSeq(run, clock),
    at: clock.now(),
    startedAt,
    facts: factsOf(run),
  }
}

/** Whether the sender wrote a record with the message: an app of ours does, unless nobody asks for the result. */
export function cameWithRecord({ queuedAt, ignoreResult }: TaskMessage): boolean {
  return queuedAt !== undefined && ignoreResult !== true
}

export function factsOf({ request, delivery, factsAreKept }: Run): TaskFacts | undefined {
  if (factsAreKept) return undefined
  return {
    name: request.task,
    queue: delivery.queue,
    queuedAt: request.queuedAt,
    owner: request.owner,
    tags: request.tags,
    rootId: request.rootId === request.id ? undefined : request.rootId,
    parentId: request.parentId,
    replayOf: request.replayOf,
    replyTo: request.replyTo,
    // our own messages have the task's id there, and nobody who asks for it
    correlationId: request.replyTo === undefined ? undefined : request.correlationId,
  }
}

/** Enough of a message that cannot be read to record its end: its id, if it has one. */
export function unreadable(delivery: Delivery): TaskMessage {
  const { headers, properties } = delivery.message
  const id = headers['id'] ?? properties.correlationId
  const name = headers['task']
  const text = typeof id === 'string' ? id : `unreadable-${delivery.token}`
  const task = typeof name === 'string' ? name : '(unreadable)'
  const { replyTo, correlationId } = properties
  return { id: text, task, retries: 0, rootId: text, replyTo, correlationId, headers: {} }
}
