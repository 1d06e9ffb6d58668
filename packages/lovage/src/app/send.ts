/** Sending, as task objects and `sendTask` do it. */
import { InvalidArgumentError, describe } from '../core/errors.ts'
import { assertApplyOptions } from './apply-options.ts'
import type { AppState } from './app-state.ts'
import { createResult } from './async-result.ts'
import { checkCall, isPlainObject } from './call.ts'
import type { WireArguments } from './call.ts'
import { publishOnce } from './idempotency.ts'
import { publishCalls } from './publish.ts'
import type { Call } from './publish.ts'
import { assertTaskName } from './registry.ts'
import type { TaskDefinition } from './registry.ts'
import type { ApplyOptions, AsyncResult } from './types.ts'

const noOptions: ApplyOptions = Object.freeze({})

/** One call of a task that is defined or declared here: checked against its schemas. */
export async function apply(
  app: AppState,
  definition: TaskDefinition,
  call: readonly [args: readonly unknown[], options?: ApplyOptions | undefined],
): Promise<AsyncResult> {
  const [args, options = noOptions] = call
  if (options !== noOptions) assertApplyOptions(definition.name, options)
  const checked = checkCall(definition, args)
  const wire = checked instanceof Promise ? await checked : checked
  return await send(app, { name: definition.name, definition, wire, options })
}

/** Many calls of one task in one trip. Nothing is sent when one of them does not fit. */
export async function applyMany(
  app: AppState,
  definition: TaskDefinition,
  many: readonly [batch: Iterable<readonly unknown[]>, options?: ApplyOptions | undefined],
): Promise<AsyncResult[]> {
  const [batch, options = noOptions] = many
  assertApplyOptions(definition.name, options)
  if (typeof batch?.[Symbol.iterator] !== 'function')
    throw new InvalidArgumentError(
      `${definition.name}: applyMany got ${describe(batch)}: expected a list of argument lists, such as [[1], [2]]`,
    )
  for (const name of ['taskId', 'idempotencyKey'] as const) {
    if (options[name] !== undefined)
      throw new InvalidArgumentError(
        `${definition.name}: applyMany cannot take ${name}, which is one call's: use applyAsync`,
      )
  }
  const wires: WireArguments[] = []
  for (const args of batch) {
    const checked = checkCall(definition, args)
    wires.push(checked instanceof Promise ? await checked : checked)
  }
  if (wires.length === 0) return []
  const ids = await publishCalls(
    app,
    wires.map(wire => ({ name: definition.name, definition, wire, options })),
  )
  return ids.map(id => createResult(app, id))
}

/** A task by name, sent as it is given, as Celery does. */
export async function sendByName(app: AppState, name: string, rest: readonly unknown[]): Promise<AsyncResult> {
  const [args, kwargs, options = noOptions] = rest as readonly [unknown?, unknown?, ApplyOptions?]
  assertTaskName(name)
  assertApplyOptions(name, options)
  return await send(app, {
    name,
    definition: app.tasks.get(name),
    wire: assertWire(name, args ?? [], kwargs ?? {}),
    options,
  })
}

function assertWire(name: string, args: unknown, kwargs: unknown): WireArguments {
  if (!Array.isArray(args))
    throw new InvalidArgumentError(`${name}: the arguments are ${describe(args)}: expected an array`)
  if (!isPlainObject(kwargs))
    throw new InvalidArgumentError(`${name}: the keyword arguments are ${describe(kwargs)}: expected a plain object`)
  return { args, kwargs }
}

async function send(app: AppState, call: Call): Promise<AsyncResult> {
  const { idempotencyKey } = call.options
  if (idempotencyKey !== undefined) {
    const { id, deduplicated } = await publishOnce(app, call, idempotencyKey)
    return createResult(app, id, deduplicated)
  }
  const [id = ''] = await publishCalls(app, [call])
  return createResult(app, id)
}
