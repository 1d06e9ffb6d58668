/**
 * The three frequent things that pass between the threads, as flat arrays: structured clone takes a fifth of the time
 * it takes for objects, and the store thread's time is what limits a queue. Each row has a fixed width.
 */
import type { StateRecord, TaskFacts } from '../../core/record.ts'
import type { DeliveryRow, MessageRow, Op, OpOf } from './ops.ts'

type Value = string | number | Uint8Array | undefined

/** What travels: `['publish' | 'settle', …]`, or the operation itself. */
export type PackedOp = Op | readonly Value[]

const recordWidth = 14
const messageWidth = 6 + recordWidth
const deliveryWidth = 6

export function packOp(op: Op): PackedOp {
  if (op.kind === 'publish') return packPublish(op.rows)
  const isPlain = op.kind === 'settle' && op.successors.length === 0 && op.disposition.kind === 'ack'
  return isPlain ? ['settle', op.token, ...packRecord(op.record)] : op
}

export function unpackOp(packed: PackedOp): Op {
  if (!isPacked(packed)) return packed
  return packed[0] === 'publish' ? unpackPublish(packed) : unpackSettle(packed)
}

export function packDeliveries(batch: readonly DeliveryRow[]): Value[] {
  const values: Value[] = []
  for (const { token, queue, delivery, crashes, head, body } of batch)
    values.push(token, queue, delivery, crashes, head, body)
  return values
}

export function unpackDeliveries(values: readonly Value[]): DeliveryRow[] {
  const batch: DeliveryRow[] = []
  for (let at = 0; at < values.length; at += deliveryWidth) {
    batch.push({
      token: values[at] as string,
      queue: values[at + 1] as string,
      delivery: values[at + 2] as number,
      crashes: values[at + 3] as number,
      head: values[at + 4] as string,
      body: values[at + 5] as string | Uint8Array,
    })
  }
  return batch
}

function isPacked(packed: PackedOp): packed is readonly Value[] {
  return Array.isArray(packed)
}

function packPublish(rows: readonly MessageRow[]): Value[] {
  const values: Value[] = ['publish']
  for (const { id, queue, priority, notBefore, head, body, record } of rows) {
    values.push(id, queue, priority, notBefore, head, body, ...packRecord(record))
  }
  return values
}

function unpackPublish(values: readonly Value[]): OpOf<'publish'> {
  const rows: MessageRow[] = []
  for (let at = 1; at < values.length; at += messageWidth) {
    rows.push({
      id: values[at] as string,
      queue: values[at + 1] as string,
      priority: values[at + 2] as number,
      notBefore: values[at + 3] as number | undefined,
      head: values[at + 4] as string,
      body: values[at + 5] as string | Uint8Array,
      record: unpackRecord(values, at + 6),
    })
  }
  return { kind: 'publish', rows }
}

function unpackSettle(values: readonly Value[]): OpOf<'settle'> {
  return {
    kind: 'settle',
    token: values[1] as string,
    disposition: { kind: 'ack' },
    successors: [],
    record: unpackRecord(values, 2),
  }
}

const noRecord: readonly undefined[] = Array.from({ length: recordWidth }, () => undefined)
const noFacts: readonly undefined[] = Array.from({ length: 5 }, () => undefined)

/** No state: no record. Facts that have no place of their own go as one JSON text. */
function packRecord(record: StateRecord | undefined): readonly Value[] {
  if (record === undefined) return noRecord
  const { id, state, retries, delivery, seq, at, startedAt, value, keepMs, facts } = record
  return [
    state,
    id,
    retries,
    delivery,
    seq,
    at,
    startedAt,
    value,
    keepMs,
    ...(facts === undefined ? noFacts : packFacts(facts)),
  ]
}

function packFacts({ name, queue, queuedAt, owner, ...rest }: TaskFacts): readonly Value[] {
  return [name, queue, queuedAt, owner, JSON.stringify(rest)]
}

function unpackRecord(values: readonly Value[], at: number): StateRecord | undefined {
  const state = values[at]
  if (state === undefined) return undefined
  return {
    state: state as string,
    id: values[at + 1] as string,
    retries: values[at + 2] as number,
    delivery: values[at + 3] as number,
    seq: values[at + 4] as number,
    at: values[at + 5] as number,
    startedAt: values[at + 6] as number | undefined,
    value: values[at + 7] as string | undefined,
    keepMs: values[at + 8] as number | undefined,
    facts: unpackFacts(values, at + 9),
  }
}

function unpackFacts(values: readonly Value[], at: number): TaskFacts | undefined {
  const rest = values[at + 4]
  if (rest === undefined) return undefined
  const facts = {
    name: values[at] as string | undefined,
    queue: values[at + 1] as string | undefined,
    queuedAt: values[at + 2] as number | undefined,
    owner: values[at + 3] as string | undefined,
  }
  return rest === '{}' ? facts : { ...facts, ...(JSON.parse(rest as string) as TaskFacts) }
}
