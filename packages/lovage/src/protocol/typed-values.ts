/**
 * kombu's typed JSON, `{"__type__": "decimal", "__value__": "1.50"}`: what JSON cannot say, by a fixed table.
 * A name that is not in the table makes Python raise, so none is ever invented here.
 */
import { isUtf8 } from 'node:buffer'
import { types } from 'node:util'
import { DecodeError, InvalidArgumentError, describe } from '../core/errors.ts'
import { formatIsoTime, parseIsoTime } from './iso-time.ts'

/** `Symbol.for`, so that values of another copy of this package are known too. */
const wireType = Symbol.for('lovage.wireType')

const patterns = {
  decimal: /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Infinity|[+-]?s?NaN\d*)$/,
  date: /^\d{4}-\d{2}-\d{2}$/,
  time: /^(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2}(?::\d{2})?)?$/,
  uuid: /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i,
}

/** Python's `decimal.Decimal`: the exact text, no arithmetic. */
export class Decimal {
  readonly text: string
  /** @throws {InvalidArgumentError} `text` is no decimal number. */
  constructor(text: string) {
    this.text = checkText(text, patterns.decimal.test(text), 'a decimal number such as "1.50"')
    brand(this, 'decimal')
  }
  toString(): string {
    return this.text
  }
  toJSON(): string {
    return this.text
  }
}

/** Python's `datetime.date`: a day in no time zone, `2024-02-29`. */
export class PlainDate {
  readonly text: string
  /** @throws {InvalidArgumentError} `text` is no day of the calendar. */
  constructor(text: string) {
    const isDay = patterns.date.test(text) && parseIsoTime(text) !== undefined
    this.text = checkText(text, isDay, 'a day such as "2024-02-29"')
    brand(this, 'date')
  }
  toString(): string {
    return this.text
  }
  toJSON(): string {
    return this.text
  }
}

/** Python's `datetime.time`: a time of day, `03:04:05.000678`, with or without an offset. */
export class PlainTime {
  readonly text: string
  /** @throws {InvalidArgumentError} `text` is no time of day. */
  constructor(text: string) {
    this.text = checkText(text, patterns.time.test(text), 'a time of day such as "03:04:05"')
    brand(this, 'time')
  }
  toString(): string {
    return this.text
  }
  toJSON(): string {
    return this.text
  }
}

/** To send a `uuid.UUID` to Python. One that arrives is a plain string, as everywhere in JavaScript. */
export class Uuid {
  readonly text: string
  /** @throws {InvalidArgumentError} `text` is not 32 hexadecimal digits, with or without dashes. */
  constructor(text: string) {
    checkText(text, patterns.uuid.test(text), 'a UUID')
    this.text = canonicalUuid(text)
    brand(this, 'uuid')
  }
  toString(): string {
    return this.text
  }
  toJSON(): string {
    return this.text
  }
}

function brand(value: object, type: string): void {
  Object.defineProperty(value, wireType, { value: type })
}

function checkText(text: string, isGood: boolean, expected: string): string {
  if (isGood) return text
  throw new InvalidArgumentError(`${describe(text)} is not ${expected}.`, { details: { value: text } })
}

function canonicalUuid(text: string): string {
  const hex = text.replaceAll('-', '').toLowerCase()
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** How one value travels. */
export interface TypedJson {
  readonly __type__: string
  readonly __value__: unknown
}

/**
 * The typed form of a value that has one; undefined for all others. A date Python has no year for gives the form
 * with the value undefined.
 */
export function toTypedJson(value: object): TypedJson | undefined {
  if (types.isDate(value)) return { __type__: 'datetime', __value__: formatPythonTime(value) }
  if (types.isUint8Array(value)) return bytesToTyped(value)
  const type = wireTypeOf(value)
  if (type === undefined) return undefined
  const text = String((value as { readonly text?: unknown }).text)
  return { __type__: type, __value__: type === 'uuid' ? { hex: text.replaceAll('-', '') } : text }
}

/** `decimal`, `date`, `time` or `uuid` for our own value classes, of this or another copy of the package. */
export function wireTypeOf(value: object): string | undefined {
  const type: unknown = Reflect.get(value, wireType)
  return typeof type === 'string' ? type : undefined
}

/** Python's years are 1 to 9999. */
function formatPythonTime(date: Date): string | undefined {
  const year = date.getUTCFullYear()
  return year >= 1 && year <= 9999 ? formatIsoTime(date.getTime()) : undefined
}

function bytesToTyped(bytes: Uint8Array): TypedJson {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer)
    ? { __type__: 'bytes', __value__: buffer.toString('utf8') }
    : { __type__: 'base64', __value__: buffer.toString('base64') }
}

/** Whether an object has exactly the two keys that mark a typed value. */
export function isTypedJson(value: object): value is TypedJson {
  return Object.hasOwn(value, '__type__') && Object.hasOwn(value, '__value__') && Object.keys(value).length === 2
}

/** @throws {DecodeError} the type is not in kombu's table, or the value is not of that type. */
export function fromTypedJson({ __type__: type, __value__: value }: TypedJson): unknown {
  if (type === 'uuid') return decodeUuid(value)
  if (typeof value !== 'string') return refuse(type, value)
  switch (type) {
    case 'datetime':
      return decodeDate(value)
    case 'bytes':
      return new TextEncoder().encode(value)
    case 'base64':
      return Uint8Array.from(Buffer.from(value, 'base64'))
    case 'decimal':
      return patterns.decimal.test(value) ? new Decimal(value) : refuse(type, value)
    case 'date':
      return parseIsoTime(value) === undefined ? refuse(type, value) : new PlainDate(value.slice(0, 10))
    case 'time':
      return patterns.time.test(value) ? new PlainTime(value) : refuse(type, value)
    default:
      return refuse(type, value)
  }
}

function decodeDate(text: string): Date {
  const at = parseIsoTime(text)
  return at === undefined ? refuse('datetime', text) : new Date(at)
}

function decodeUuid(value: unknown): string {
  const hex = typeof value === 'object' && value !== null && 'hex' in value ? value.hex : undefined
  return typeof hex === 'string' && patterns.uuid.test(hex) ? canonicalUuid(hex) : refuse('uuid', value)
}

const knownTypes = ['datetime', 'date', 'time', 'decimal', 'uuid', 'bytes', 'base64']

function refuse(type: unknown, value: unknown): never {
  const problem = knownTypes.includes(String(type))
    ? `${describe(value)} is no value of the type ${describe(type)}`
    : `The type ${describe(type)} is not known; ${knownTypes.join(', ')} are`
  throw new DecodeError(`A typed JSON value cannot be read: ${problem}.`, { details: { type } })
}
