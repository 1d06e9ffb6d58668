/**
 * JSON as kombu writes and reads it. Plain values cost one look each on top of `JSON.stringify` and `JSON.parse`;
 * typed values, big integers and Python's bare NaN take a slower way.
 */
import { DecodeError } from '../core/errors.ts'
import { maxEncodedDepth, rawJson, toWireValue } from './json-encode.ts'
import { nanToken, replaceNonFinite, scanLimits } from './json-scan.ts'
import { fromTypedJson, isTypedJson } from './typed-values.ts'

/** What is taken from the wire, at most. */
export interface DecodeLimits {
  /** Of a body, inflated. */
  readonly maxBodyBytes: number
  /** A body above this is taken, but worth a warning to whoever sends it. */
  readonly softBodyBytes: number
  /** Of all headers together. */
  readonly maxHeaderBytes: number
  /** Arrays and objects within each other. */
  readonly maxDepth: number
  /** Keys of one object. */
  readonly maxKeys: number
}

export const defaultLimits: DecodeLimits = {
  maxBodyBytes: 16 * 1024 * 1024,
  softBodyBytes: 1024 * 1024,
  maxHeaderBytes: 64 * 1024,
  maxDepth: 200,
  maxKeys: 10_000,
}

/**
 * JSON text of a value; undefined as a whole is `null`, as a property it is left out, `-0` is `0`.
 * @param root what the path in an error begins with.
 * @throws {EncodeError} a part of it would come back as something else; names its path and the remedy.
 */
export function encodeJson(value: unknown, root = '$'): string {
  if (value === undefined) return 'null'
  return JSON.stringify(isPlain(value, 0) ? value : toWireValue(value, root))
}

/** Whether `JSON.stringify` alone says the truth. False also when it is nested too deep, or in a circle. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
    case 'object':
      if (value === null) return true
      if (depth === maxEncodedDepth) return false
      return Array.isArray(value) ? isPlainArray(value, depth + 1) : isPlainObject(value, depth + 1)
    case 'undefined':
    case 'bigint':
    case 'function':
    case 'symbol':
      return false
  }
}

function isPlainArray(array: readonly unknown[], depth: number): boolean {
  // by index: `every` would pass over holes
  for (let index = 0; index < array.length; index++) if (!isPlain(array[index], depth)) return false
  return true
}

const underscore = 95

function isPlainObject(value: object, depth: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  let keys = 0
  for (const key in value) {
    // `__type__` and `__proto__` are looked at more closely
    if (key.charCodeAt(0) === underscore || key === 'constructor') return false
    const item: unknown = value[key as keyof typeof value]
    if (item !== undefined && !isPlain(item, depth)) return false
    keys++
  }
  return keys <= defaultLimits.maxKeys
}

/** Integers of 16 digits and more, not fractions: those are what a number may not hold. */
const special = /__type__|__proto__|constructor|NaN|Infinity|(?<![.\d])\d{16}|\\u00[2-7]/

/**
 * The value of JSON text: typed values by kombu's table, integers beyond 2^53 as BigInt, NaN and Infinity as numbers.
 * A key `__proto__`, and a key `constructor` that holds a `prototype`, are left out: merged into an object
 * they would change what all objects are.
 * @throws {DecodeError} it is no JSON, has an unknown type, or is over a limit.
 */
export function decodeJson(text: string, limits: DecodeLimits = defaultLimits): unknown {
  return parseWithin(text, limits, () => (special.test(text) ? decodeSpecial(text) : (JSON.parse(text) as unknown)))
}

/**
 * The same, but what `JSON.stringify` would not write as it came is kept as it came: `2.0`, integers of any size, typed
 * values as maps. For what only passes through here, on its way to a task of another language.
 * @throws {DecodeError} as `decodeJson`, and for NaN, which no JSON can say.
 */
export function decodeWireJson(text: string, limits: DecodeLimits = defaultLimits): unknown {
  return parseWithin(text, limits, () => parseWithSource(replaceNonFinite(text), keepSpelling))
}

function keepSpelling(key: string, value: unknown, context: { readonly source?: string }): unknown {
  if (key === '__proto__') return undefined
  if (typeof value !== 'number') return value
  const { source = '' } = context
  if (source === nanToken) throw new DecodeError('NaN cannot be passed on: JSON has no word for it.')
  return String(value) === source ? value : rawJson(source)
}

/** A number as `decodeWireJson` gives it; undefined: it is none. */
export function wireNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  const isRaw = typeof value === 'object' && value !== null && 'rawJSON' in value && Object.isFrozen(value)
  return isRaw ? Number(value.rawJSON) : undefined
}

function parseWithin(text: string, limits: DecodeLimits, parse: () => unknown): unknown {
  if (text.length > limits.maxBodyBytes) throw tooLong(text.length, limits)
  // a text this short cannot be over the limits
  if (text.length > limits.maxDepth || text.length > limits.maxKeys) scanLimits(text, limits)
  try {
    return parse()
  } catch (error) {
    if (error instanceof DecodeError) throw error
    throw new DecodeError(`This is no JSON: ${(error as Error).message}.`, { cause: error })
  }
}

function tooLong(length: number, limits: DecodeLimits): DecodeError {
  return new DecodeError(
    `The JSON text has ${length} characters; the limit is ${limits.maxBodyBytes}. Send a reference to the data instead.`,
    { details: { length, limit: limits.maxBodyBytes } },
  )
}

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown
const parseWithSource = JSON.parse as (text: string, reviver: Reviver) => unknown

function decodeSpecial(text: string): unknown {
  return parseWithSource(replaceNonFinite(text), revive)
}

/** Undefined takes the key out. Inner values come first. */
function revive(key: string, value: unknown, context: { readonly source?: string }): unknown {
  if (key === '__proto__') return undefined
  if (typeof value === 'number') return reviveNumber(value, context.source ?? '')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  if (key === 'constructor' && Object.hasOwn(value, 'prototype')) return undefined
  return isTypedJson(value) ? fromTypedJson(value) : value
}

/** Python's own limit for reading an integer; the time it takes grows with the square of its length. */
const maxDigits = 4300

function reviveNumber(value: number, source: string): number | bigint {
  if (source === nanToken) return Number.NaN
  if (Number.isSafeInteger(value) || !/^-?\d+$/.test(source)) return value
  if (source.length > maxDigits) {
    throw new DecodeError(`An integer of ${source.length} digits is over the limit of ${maxDigits}.`)
  }
  return BigInt(source)
}
