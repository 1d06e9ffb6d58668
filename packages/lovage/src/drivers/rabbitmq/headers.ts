/**
 * Headers ⇄ AMQP field tables. Integers are written as 32 or 64 bits: the client would choose 16 for some, which the
 * py-amqp of Celery 5.2 takes for the letter of a string, and so reads nothing right that comes after.
 */
import { EncodeError, describe } from '../../core/errors.ts'

/** A value of a table as the client takes and gives it. */
export type Field = null | boolean | string | Buffer | Typed | readonly Field[] | { readonly [key: string]: Field }

interface Typed {
  readonly '!': string
  readonly value: number
}

/**
 * What is undefined stays so: the client leaves it out.
 * @throws {EncodeError} naming the header that has no form in a table.
 */
export function toTable(headers: Readonly<Record<string, unknown>>): Record<string, Field | undefined> {
  // a copy keeps the shape of what it is made of; built name by name, an object becomes a slow one after a dozen
  const table = { ...headers }
  for (const key of Object.keys(table)) {
    const value = table[key]
    fieldName(key)
    if (typeof value !== 'string' && value !== undefined) table[key] = toField(value, key)
  }
  return table as Record<string, Field | undefined>
}

function toField(value: unknown, path: string): Field {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value
  if (typeof value === 'number' && Number.isFinite(value)) return toNumber(value)
  if (Array.isArray(value)) return value.map((item, index) => toField(item, `${path}[${index}]`))
  if (typeof value !== 'object' || Object.hasOwn(value, '!')) {
    throw new EncodeError(`The header ${path} cannot travel over AMQP: ${describe(value)}`, { details: { path } })
  }
  const table: Record<string, Field> = {}
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) table[fieldName(key)] = toField(item, `${path}.${key}`)
  }
  return table
}

function toNumber(value: number): Typed {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) return { '!': 'double', value }
  return { '!': value >= -0x80000000 && value < 0x80000000 ? 'int32' : 'int64', value }
}

/** @throws {EncodeError} */
function fieldName(name: string): string {
  // at most 3 bytes each
  if (name.length <= 85 || Buffer.byteLength(name) <= 255) return name
  throw new EncodeError(`A header's name has ${Buffer.byteLength(name)} bytes, AMQP takes 255: ${describe(name)}`)
}

/** JSON values: bytes become text, AMQP's own types their number. */
export function fromTable(table: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> {
  const headers: Record<string, unknown> = { ...table }
  for (const key of Object.keys(headers)) {
    const value = headers[key]
    if (typeof value === 'object' && value !== null) headers[key] = fromField(value)
  }
  return headers
}

function fromField(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  if (Array.isArray(value)) return value.map(fromField)
  if (Object.hasOwn(value, '!')) return fromField('value' in value ? value.value : null)
  return fromTable(value as Readonly<Record<string, unknown>>)
}
