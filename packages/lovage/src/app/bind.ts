/** From what travelled to what a handler gets: keyword arguments bound, both parts through their schemas. */
import { describe, InvalidArgumentError } from '../core/errors.ts'
import type { WireArguments } from './call.ts'
import type { TaskDefinition } from './registry.ts'
import { validate } from './schema.ts'

type Arguments = readonly unknown[]

/**
 * The handler's arguments; a promise only when a schema is asynchronous.
 * @throws {InvalidArgumentError} they do not fit; also as the promise's rejection.
 */
export function bindArguments(definition: TaskDefinition, wire: WireArguments): Arguments | Promise<Arguments> {
  const { argsSchema, kwargsSchema, params } = definition
  const bound = params === undefined ? wire : bindParams(definition, params, wire)
  if (kwargsSchema === undefined) for (const name in bound.kwargs) throw strangeKwarg(definition, name)
  if (argsSchema === undefined && kwargsSchema === undefined) return bound.args
  if (argsSchema === undefined && bound.args.length > 0) throw positionalArguments(definition, bound.args)
  return applySchemas(definition, bound)
}

/** Keyword arguments named in `params` go to their places. */
function bindParams(
  definition: TaskDefinition,
  params: readonly string[],
  { args, kwargs }: WireArguments,
): WireArguments {
  const bound = [...args]
  const rest: [string, unknown][] = []
  for (const [name, value] of Object.entries(kwargs)) {
    const place = params.indexOf(name)
    if (place === -1) rest.push([name, value])
    else if (place < args.length) throw twiceGiven(definition, name, place)
    else bound[place] = value
  }
  // a place that nothing was given for is undefined, as in a call; holes are not
  return { args: Array.from(bound), kwargs: Object.fromEntries(rest) }
}

function applySchemas(definition: TaskDefinition, { args, kwargs }: WireArguments): Arguments | Promise<Arguments> {
  const { name, argsSchema, kwargsSchema } = definition
  const positional = argsSchema === undefined ? args : validate(argsSchema, args, { task: name, part: 'args' })
  const keyword =
    kwargsSchema === undefined ? undefined : validate(kwargsSchema, { ...kwargs }, { task: name, part: 'kwargs' })
  if (positional instanceof Promise || keyword instanceof Promise) {
    return Promise.all([positional, keyword]).then(([first, last]) => joined(definition, first as Arguments, last))
  }
  return joined(definition, positional as Arguments, keyword)
}

function joined({ kwargsSchema }: TaskDefinition, positional: Arguments, keyword: unknown): Arguments {
  return kwargsSchema === undefined ? positional : [...positional, keyword]
}

function strangeKwarg({ name, params }: TaskDefinition, kwarg: string): InvalidArgumentError {
  const known = params === undefined ? '' : ` (params: ${params.join(', ')})`
  return new InvalidArgumentError(
    `${name}: the keyword argument "${kwarg}" is not taken${known}. Name it in the task's params, in the order of its parameters, ` +
      `or give the task a kwargs schema`,
    { details: { task: name, kwarg } },
  )
}

function twiceGiven({ name }: TaskDefinition, kwarg: string, place: number): InvalidArgumentError {
  return new InvalidArgumentError(`${name}: "${kwarg}" was given twice, as argument ${place + 1} and by name`, {
    details: { task: name, kwarg },
  })
}

function positionalArguments({ name }: TaskDefinition, args: Arguments): InvalidArgumentError {
  return new InvalidArgumentError(
    `${name}: takes keyword arguments only, and got ${args.length} positional: ${describe(args[0])}. Send them by name, ` +
      `or give the task an args schema`,
    { details: { task: name } },
  )
}
