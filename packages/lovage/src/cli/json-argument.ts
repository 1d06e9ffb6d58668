/** JSON on the command line, with errors that help whoever fights with a shell's quotes. */
import { describe, InvalidArgumentError } from '../core/errors.ts'
import { decodeJson } from '../protocol/json.ts'

/** Positional and keyword arguments of a call. */
export interface CallArguments {
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
}

export interface GivenArguments {
  /** The positional ARGS: an array, or an object for keyword arguments. */
  readonly positional?: string | undefined
  readonly args?: string | undefined
  readonly kwargs?: string | undefined
}

/** @throws {InvalidArgumentError} what was given is no JSON, or of the wrong shape, or given twice. */
export function parseCallArguments(given: GivenArguments): CallArguments {
  const first = given.positional === undefined ? undefined : parseJson('ARGS', given.positional)
  if (first !== undefined && !Array.isArray(first) && !isObject(first)) throw wrongShape('ARGS', given.positional)
  const args = given.args === undefined ? undefined : parseJson('--args', given.args)
  const kwargs = given.kwargs === undefined ? undefined : parseJson('--kwargs', given.kwargs)
  if (args !== undefined && !Array.isArray(args)) throw wrongShape('--args', given.args)
  if (kwargs !== undefined && !isObject(kwargs)) throw wrongShape('--kwargs', given.kwargs)
  if (Array.isArray(first) && args !== undefined) throw twice('ARGS', '--args')
  if (isObject(first) && kwargs !== undefined) throw twice('ARGS', '--kwargs')
  return {
    args: (Array.isArray(first) ? first : args) ?? [],
    kwargs: (isObject(first) ? first : kwargs) ?? {},
  }
}

function parseJson(name: string, text: string): unknown {
  try {
    return decodeJson(text)
  } catch (cause) {
    throw new InvalidArgumentError(
      `${name} is ${describe(text)}, which is no JSON. Quote it for the shell, with double quotes inside: '["text", 30]'`,
      { cause, details: { name } },
    )
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function wrongShape(name: string, text: string | undefined): InvalidArgumentError {
  const expected = name === '--kwargs' ? `an object: '{"month": "2026-10"}'` : `an array, one item per argument: '[30]'`
  return new InvalidArgumentError(`${name} is ${describe(text)}: expected ${expected}`, { details: { name } })
}

function twice(one: string, other: string): InvalidArgumentError {
  return new InvalidArgumentError(`${one} and ${other} both give the arguments: leave one of them out`)
}
