/**
 * Signatures from the wire: a call that another task's end makes. What they hold keeps its spelling
 * (`decodeWireJson`), so that an argument passes through here to a task of another language as it was.
 */
import { DecodeError, UnsupportedError, describe } from '../core/errors.ts'

export type WireMap = Readonly<Record<string, unknown>>

export interface Signature {
  /** The task's name. */
  readonly task: string
  readonly args: readonly unknown[]
  readonly kwargs: WireMap
  /** What `apply_async` takes. */
  readonly options: WireMap
  /** `plain`: a task. A chain or group holds signatures; it is never sent itself. */
  readonly kind: 'plain' | 'chain' | 'group'
  /** Of a chain or group. */
  readonly tasks: readonly Signature[]
  /** It takes no arguments but its own. */
  readonly immutable: boolean
}

/**
 * @param isLast nothing is called with its result: a group in the middle of a chain would be a chord.
 * @throws {DecodeError} it is no signature.
 * @throws {UnsupportedError} it is a chord, or part of one.
 */
export function readSignature(value: unknown, isLast = true): Signature {
  if (!isMap(value) || typeof value['task'] !== 'string' || value['task'] === '')
    throw new DecodeError(`This is no signature: ${describe(value)} has no task.`)
  const { task } = value
  const options = mapOf(value['options'], task, 'options')
  const kwargs = mapOf(value['kwargs'], task, 'kwargs')
  const kind = kindOf(value['subtask_type'], task)
  if (kind === 'chord' || (options['chord'] ?? null) !== null || (kind === 'group' && !isLast)) throw chord(task)
  for (const name of ['link', 'link_error']) for (const linked of listOf(options[name])) readSignature(linked)
  return {
    task,
    args: listOf(value['args']),
    kwargs,
    options,
    kind,
    tasks:
      kind === 'plain'
        ? []
        : listOf(kwargs['tasks']).map((each, index, all) =>
            readSignature(each, kind === 'group' || (isLast && index === all.length - 1)),
          ),
    immutable: value['immutable'] === true,
  }
}

/** As it travels. */
export function toWireSignature({ task, args, kwargs, options, kind, immutable }: Signature): WireMap {
  return { task, args, kwargs, options, subtask_type: kind === 'plain' ? null : kind, immutable }
}

/** With these options over its own. */
export function withOptions(signature: Signature, more: WireMap): Signature {
  return { ...signature, options: { ...signature.options, ...more } }
}

/** A list, or the only item of one: Celery writes both. */
export function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

export function chord(task: string): UnsupportedError {
  return new UnsupportedError(
    `${task} is part of a chord, and chords are not supported yet. Send the tasks of the chord to Celery workers, or ` +
      `chain them: task_routes decides where each goes.`,
    { details: { task } },
  )
}

function kindOf(type: unknown, task: string): Signature['kind'] | 'chord' {
  if (type === 'chain' || task === 'celery.chain') return 'chain'
  if (type === 'group' || task === 'celery.group') return 'group'
  return type === 'chord' || task === 'celery.chord' ? 'chord' : 'plain'
}

function mapOf(value: unknown, task: string, name: string): WireMap {
  if (value === undefined || value === null) return {}
  if (isMap(value)) return value
  throw new DecodeError(`The ${name} of the signature of ${task} are no map: ${describe(value)}.`)
}

function isMap(value: unknown): value is WireMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
