/** From a call to what travels: positional and keyword arguments, checked against the schemas, as they were given. */
import { describe, InvalidArgumentError } from '../core/errors.ts'
import type { TaskDefinition } from './registry.ts'
import { validate } from './schema.ts'

/** The arguments of one message. */
export interface WireArguments {
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
}

const noKwargs: WireArguments['kwargs'] = Object.freeze({})

/**
 * Splits and checks the arguments of a call; a promise only when a schema is asynchronous. What travels is the input,
 * not the schema's output: the worker makes the output, so that transforms and defaults happen once per run.
 * @throws {InvalidArgumentError} they do not fit; also as the promise's rejection.
 */
export function checkCall(
  definition: TaskDefinition,
  given: readonly unknown[],
): WireArguments | Promise<WireArguments> {
  if (!Array.isArray(given))
    throw new InvalidArgumentError(`${definition.name}: the arguments are ${describe(given)}: expected an array`)
  const wire = splitCall(definition, given)
  const pending = [
    definition.argsSchema && validate(definition.argsSchema, wire.args, { task: definition.name, part: 'args' }),
    definition.kwargsSchema &&
      validate(definition.kwargsSchema, wire.kwargs, { task: definition.name, part: 'kwargs' }),
  ].filter(checked => checked instanceof Promise)
  return pending.length === 0 ? wire : Promise.all(pending).then(() => wire)
}

/** The keyword object is the last argument of a task that takes one. */
function splitCall({ name, kwargsSchema }: TaskDefinition, given: readonly unknown[]): WireArguments {
  if (kwargsSchema === undefined) return { args: withoutTrailingUndefined(given), kwargs: noKwargs }
  const kwargs: unknown = given.length === 0 ? {} : given[given.length - 1]
  if (!isPlainObject(kwargs)) {
    throw new InvalidArgumentError(
      `${name}: its last argument is ${describe(kwargs)}: expected one plain object, its keyword arguments`,
    )
  }
  return { args: withoutTrailingUndefined(given.slice(0, -1)), kwargs }
}

/** `undefined` at the end is an argument left out; elsewhere the encoder refuses it. */
function withoutTrailingUndefined(args: readonly unknown[]): readonly unknown[] {
  let length = args.length
  while (length > 0 && args[length - 1] === undefined) length--
  return length === args.length ? args : args.slice(0, length)
}

export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}
