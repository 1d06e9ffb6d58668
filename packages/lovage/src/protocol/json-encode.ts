/** The slower way to JSON: a copy in which everything special is replaced by what stands for it on the wire. */
import { types } from 'node:util'
import { EncodeError, describe } from '../core/errors.ts'
import { isTypedJson, toTypedJson } from './typed-values.ts'

/** Below the 200 levels a reader takes, so that there is room for a message or a result document around it. */
export const maxEncodedDepth = 190
/** Keys of one object, as many as a reader takes. */
const maxEncodedKeys = 10_000
/** Digits of an integer, as many as Python reads. */
const maxDigits = 4300

/** `JSON.rawJSON`: text that `JSON.stringify` takes over as it is. */
export const rawJson: (text: string) => object = (JSON as unknown as { rawJSON: (text: string) => object }).rawJSON

/** Where the walk is: the keys on the way, and the objects they lead through. */
interface Place {
  readonly root: string
  readonly path: (string | number)[]
  readonly ancestors: object[]
}

/**
 * A copy for `JSON.stringify`.
 * @throws {EncodeError} a part of it would come back as something else.
 */
export function toWireValue(value: unknown, root: string): unknown {
  return convert(value, { root, path: [], ancestors: [] })
}

function convert(value: unknown, place: Place): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return convertNumber(value, place)
    case 'bigint':
      return convertBigInt(value, place)
    case 'object':
      return value === null ? null : convertObject(value, place)
    case 'undefined':
    case 'function':
    case 'symbol':
      throw refusal(value, place)
  }
}

/** A number beyond 2^53 is written with a fraction: as an integer it would come back as a BigInt. */
function convertNumber(value: number, place: Place): unknown {
  if (!Number.isFinite(value)) throw refusal(value, place)
  const isLarge = Math.abs(value) > Number.MAX_SAFE_INTEGER && Math.abs(value) < 1e21
  return isLarge ? rawJson(`${value}.0`) : value
}

function convertBigInt(value: bigint, place: Place): unknown {
  const digits = String(value)
  if (digits.length > maxDigits)
    throw problem(place, `an integer of more than ${maxDigits} digits`, 'Send it as a string')
  return rawJson(digits)
}

function convertObject(value: object, place: Place): unknown {
  const typed = toTypedJson(value)
  if (typed !== undefined) {
    if (typed.__value__ === undefined) throw refusal(value, place)
    return typed
  }
  if (place.ancestors.includes(value)) throw problem(place, 'a reference to an object around it', 'Send a tree, or ids')
  if (place.ancestors.length === maxEncodedDepth) {
    throw problem(place, `nested deeper than ${maxEncodedDepth} levels`, 'Send a flatter value, or a string')
  }
  place.ancestors.push(value)
  const copy = Array.isArray(value) ? convertArray(value, place) : convertRecord(value, place)
  place.ancestors.pop()
  return copy
}

function convertArray(array: readonly unknown[], place: Place): unknown[] {
  // not `map`, which passes over holes
  return Array.from(array, (item, index) => within(index, item, place))
}

function within(key: string | number, item: unknown, place: Place): unknown {
  place.path.push(key)
  const copy = convert(item, place)
  place.path.pop()
  return copy
}

function convertRecord(value: object, place: Place): unknown {
  const reduced = reduce(value, place)
  if (reduced !== value) return convert(reduced ?? null, place)
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  if (entries.length > maxEncodedKeys) {
    throw problem(place, `an object of more than ${maxEncodedKeys} keys`, 'Send an array of [key, value] pairs')
  }
  if (isTypedJson(value)) {
    throw problem(
      place,
      'an object of exactly the keys __type__ and __value__',
      'Rename one: kombu reads them as a type',
    )
  }
  const copy: Record<string, unknown> = {}
  for (const [key, item] of entries) {
    if (changesPrototypes(key, item))
      throw problem(place, `an object with the key ${key}`, 'Rename it: readers leave it out')
    copy[key] = within(key, item, place)
  }
  return copy
}

/** What a reader would leave out. */
function changesPrototypes(key: string, item: unknown): boolean {
  if (key === '__proto__') return true
  return key === 'constructor' && typeof item === 'object' && item !== null && Object.hasOwn(item, 'prototype')
}

/** What `toJSON` gives, the object itself when it is a plain one. */
function reduce(value: object, place: Place): unknown {
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    try {
      const reduced: unknown = value.toJSON(String(place.path.at(-1) ?? ''))
      return reduced
    } catch (error) {
      throw problem(place, `${nameOf(value)}, whose toJSON throws`, 'Mend it, or send plain data', error)
    }
  }
  if (!isRecord(value)) throw refusal(value, place)
  return value
}

/** Objects of another realm have another `Object.prototype`: it is the one that has none itself. */
function isRecord(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || (typeof prototype === 'object' && Object.getPrototypeOf(prototype) === null)
}

function refusal(value: unknown, place: Place): EncodeError {
  const [what, remedy] = explain(value)
  return problem(place, what, remedy)
}

function explain(value: unknown): readonly [what: string, remedy: string] {
  if (value === undefined) return ['undefined in an array', 'Write null, or leave it out']
  if (typeof value === 'number') return [String(value), 'Send null or a string: JSON has no word for it']
  if (typeof value === 'object' && value !== null) return explainObject(value)
  return [typeof value === 'symbol' ? 'a symbol' : describe(value), 'Send plain data: its name, or its result']
}

function explainObject(value: object): readonly [what: string, remedy: string] {
  if (types.isMap(value)) return ['a Map', 'Send Object.fromEntries(map) or [...map]']
  if (types.isSet(value)) return ['a Set', 'Send [...set]']
  if (types.isPromise(value)) return ['a Promise', 'Await it first']
  if (types.isDate(value)) return ['a Date outside the years 1 to 9999', 'Send a string or a number']
  if (types.isNativeError(value))
    return [`an error (${value.name})`, 'Send { name: error.name, message: error.message }']
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value))
    return [nameOf(value), 'Send a Uint8Array of its bytes']
  return [nameOf(value), 'Send a plain object, or give the class a toJSON method']
}

function nameOf(value: object): string {
  const { constructor } = value as { readonly constructor?: unknown }
  const name = typeof constructor === 'function' ? constructor.name : ''
  return name === '' ? 'an object with a prototype' : `an instance of ${name}`
}

function problem(place: Place, what: string, ...[remedy, cause]: [remedy: string, cause?: unknown]): EncodeError {
  const path = place.root + place.path.map(formatKey).join('')
  return new EncodeError(`${path}: ${what} cannot travel as JSON. ${remedy}.`, { cause, details: { path } })
}

function formatKey(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${describe(key)}]`
}
