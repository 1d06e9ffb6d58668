/**
 * Arguments as Python would print them, for events, logs and Flower: `(2, None)`, `{'x': True}`. Secrets are hidden.
 * What is not shown is not looked at, so that 10 MB of arguments cost as little as 1 KB.
 */
import { types } from 'node:util'
import { isSecretKey, redacted, redactText } from '../core/redact.ts'
import { wireTypeOf } from './typed-values.ts'

/** Characters, Celery's own limit. */
const maxLength = 1024
/** Containers within each other, as Celery's `saferepr`. */
const maxLevels = 3
/** Room for `, ...`, a closing quote and the brackets that are still open. */
const reserve = 16

/** A preview that grows until it is full. */
interface Preview {
  text: string
  isFull: boolean
}

/** A tuple. */
export function argsRepr(args: readonly unknown[]): string {
  // the commonest of all, at a tenth of the price
  if (args.length === 0) return '()'
  const preview: Preview = { text: '', isFull: false }
  writeList(preview, args, { open: '(', close: args.length === 1 ? ',)' : ')', level: 1 })
  return preview.text
}

/** A dict. */
export function kwargsRepr(kwargs: Readonly<Record<string, unknown>>): string {
  const preview: Preview = { text: '', isFull: false }
  writeMap(preview, kwargs, 1)
  return preview.text
}

/** Any value. */
export function valueRepr(value: unknown): string {
  const preview: Preview = { text: '', isFull: false }
  write(preview, value, 0)
  return preview.text
}

function put(preview: Preview, text: string): void {
  if (preview.isFull) return
  const room = maxLength - reserve - preview.text.length
  if (text.length <= room) preview.text += text
  else {
    preview.text += `${text.slice(0, Math.max(0, room))}...`
    preview.isFull = true
  }
}

function write(preview: Preview, value: unknown, level: number): void {
  switch (typeof value) {
    case 'string':
      return writeText(preview, value)
    case 'number':
      return put(preview, numberRepr(value))
    case 'boolean':
      return put(preview, value ? 'True' : 'False')
    case 'bigint':
      return put(preview, value > -(10n ** 100n) && value < 10n ** 100n ? String(value) : '<int>')
    case 'undefined':
      return put(preview, 'None')
    case 'object':
      return value === null ? put(preview, 'None') : writeObject(preview, value, level)
    case 'function':
    case 'symbol':
      return put(preview, `<${typeof value}>`)
  }
}

function numberRepr(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  return Number.isFinite(value) ? String(value) : value > 0 ? 'inf' : '-inf'
}

/** Controls, and what turns or breaks a line. */
// oxlint-disable-next-line no-control-regex -- controls are what is looked for
const unprintable = /[\\\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** Cut before it is looked through for secrets; a little more than fits, so that a secret is known by its beginning. */
function writeText(preview: Preview, text: string, prefix = ''): void {
  if (preview.isFull) return
  const room = maxLength - reserve - preview.text.length
  const shown = redactText(text.length > room ? text.slice(0, room + 128) : text).toWellFormed()
  const escaped = shown.replace(unprintable, escapeCharacter).replaceAll("'", "\\'")
  if (text.length <= room && escaped.length + 2 + prefix.length <= room) {
    preview.text += `${prefix}'${escaped}'`
    return
  }
  const kept = escaped.slice(0, Math.max(0, room - prefix.length - 1)).toWellFormed()
  preview.text += `${prefix}'${kept}...'`
  preview.isFull = true
}

function escapeCharacter(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\r') return '\\r'
  if (character === '\t') return '\\t'
  if (character === '\\') return '\\\\'
  const code = character.charCodeAt(0)
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}

function writeObject(preview: Preview, value: object, level: number): void {
  if (types.isDate(value)) return put(preview, dateRepr(value))
  if (types.isUint8Array(value)) return writeBytes(preview, value)
  const type = wireTypeOf(value)
  if (type !== undefined) return put(preview, typedRepr(type, String((value as { readonly text?: unknown }).text)))
  const isList = Array.isArray(value)
  if (level >= maxLevels) return put(preview, isList ? '[...]' : '{...}')
  if (isList) return writeList(preview, value, { open: '[', close: ']', level: level + 1 })
  return writeMap(preview, value, level + 1)
}

/** Python's brackets, and the level of what is in them. */
interface Brackets {
  readonly open: string
  readonly close: string
  readonly level: number
}

function writeList(preview: Preview, list: readonly unknown[], { open, close, level }: Brackets): void {
  put(preview, open)
  for (let index = 0; index < list.length && !preview.isFull; index++) {
    if (index > 0) put(preview, ', ')
    write(preview, list[index], level)
  }
  preview.text += close
}

function writeMap(preview: Preview, map: object, level: number): void {
  put(preview, '{')
  let isFirst = true
  for (const key in map) {
    if (preview.isFull) break
    if (!isFirst) put(preview, ', ')
    isFirst = false
    writeText(preview, key)
    put(preview, ': ')
    if (preview.isFull) break
    if (isSecretKey(key)) put(preview, `'${redacted}'`)
    else write(preview, map[key as keyof typeof map], level)
  }
  preview.text += '}'
}

function writeBytes(preview: Preview, bytes: Uint8Array): void {
  writeText(preview, Buffer.from(bytes.subarray(0, maxLength)).toString('latin1'), 'b')
}

function dateRepr(date: Date): string {
  if (Number.isNaN(date.getTime())) return '<Invalid Date>'
  const parts = date.toISOString().split(/[-T:.Z]/, 6)
  return `datetime.datetime(${parts.map(Number).join(', ')}, tzinfo=datetime.timezone.utc)`
}

function typedRepr(type: string, text: string): string {
  switch (type) {
    case 'date':
      return `datetime.date(${text.split('-').map(Number).join(', ')})`
    case 'time':
      return `datetime.time(${text
        .split(/[:.Z+-]/, 3)
        .map(Number)
        .join(', ')})`
    default:
      return `${type === 'uuid' ? 'UUID' : 'Decimal'}('${text}')`
  }
}
