/**
 * Log lines: for people on a terminal, one JSON object each elsewhere. Secrets and terminal escapes do not get through,
 * and no line is longer than 8 KiB, whatever a task logs.
 */
import { isSecretKey, redactText, redacted } from '../core/redact.ts'
import { printable, printableLine } from '../core/printable.ts'
import type { LogLevel } from './settings.ts'
import { createStderrLines } from './stderr-lines.ts'
import type { WriteLine } from './stderr-lines.ts'
import type { Logger } from './types.ts'

export interface LoggerOptions {
  /** Lines below this level are dropped. */
  readonly level: LogLevel
  /** @default 'pretty' when standard error is a terminal, else 'json' */
  readonly format?: 'pretty' | 'json' | undefined
  /** Only with `pretty`. @default a terminal without NO_COLOR */
  readonly color?: boolean | undefined
  /** @default standard error, once per turn of the event loop */
  readonly write?: WriteLine | undefined
  /** Epoch milliseconds. */
  readonly now?: (() => number) | undefined
}

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
/** From here on up a line may be the last that the process says: it does not wait for others. */
const urgentRank = levels.indexOf('warn')
const longestLine = 8 * 1024
const deepest = 4
/** The worker's own fields in every line: no secrets' names, which takes longer to find out than all the rest. */
const plainKeys: ReadonlySet<string> = new Set(['task', 'id', 'queue'])

/** A logger of ours; others do not say what they drop. */
export interface LeveledLogger extends Logger {
  readonly isEnabled: (level: LogLevel) => boolean
}

export function createLogger(options: LoggerOptions): LeveledLogger {
  const { write = createStderrLines(), now = Date.now } = options
  const format = options.format ?? (process.stderr.isTTY ? 'pretty' : 'json')
  const color = options.color ?? (process.stderr.isTTY && (process.env['NO_COLOR'] ?? '') === '')
  const lowest = levels.indexOf(options.level)
  const isoTime = createIsoTime()
  const log = (level: LogLevel, message: string, fields: object = {}): void => {
    const rank = levels.indexOf(level)
    if (rank < lowest) return
    const entry: Entry = { level, at: now(), message: redactText(message), fields: redactFields(fields) }
    write(format === 'json' ? jsonLine(entry, isoTime(entry.at)) : prettyLine(entry, color), rank >= urgentRank)
  }
  return {
    isEnabled: level => levels.indexOf(level) >= lowest,
    debug: (message, fields) => log('debug', message, fields),
    info: (message, fields) => log('info', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    error: (message, fields) => log('error', message, fields),
  }
}

/** Whether a line of this level comes to anything: a logger that cannot tell is believed to want it. */
export function isEnabled(logger: Logger | LeveledLogger, level: LogLevel): boolean {
  return 'isEnabled' in logger ? logger.isEnabled(level) : true
}

interface Entry {
  readonly level: LogLevel
  /** Epoch milliseconds. */
  readonly at: number
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Writing a time out takes a fifth of a line's making, and many lines have the same. */
function createIsoTime(): (at: number) => string {
  let lastAt: number | undefined
  let lastText = ''
  return at => {
    if (at !== lastAt) lastText = new Date(at).toISOString()
    lastAt = at
    return lastText
  }
}

function jsonLine({ level, message, fields }: Entry, time: string): string {
  // first in the line, and not replaced by a field of that name
  const head = { time, level, message }
  const line = JSON.stringify({ ...head, ...fields, ...head })
  if (line.length <= longestLine) return `${printable(line)}\n`
  const { task, id, queue } = fields
  const short = { ...head, message: cut(message, longestLine / 4), task, id, queue, truncated: true }
  return `${printable(JSON.stringify(short))}\n`
}

const colors: Readonly<Record<LogLevel, string>> = { debug: '2', info: '36', warn: '33', error: '31' }
/** What the message itself says already. */
const inMessage = new Set(['task', 'id', 'queue', 'traceback'])

function prettyLine({ level, at, message, fields }: Entry, color: boolean): string {
  const paint = (code: string, text: string): string => (color && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text)
  const rest = Object.entries(fields).filter(([key, value]) => !inMessage.has(key) && value !== undefined)
  const details = rest.map(([key, value]) => ` ${printableLine(key)}=${showValue(value)}`).join('')
  const { traceback } = fields
  const text = indented(message)
  const trace = typeof traceback === 'string' && !text.includes(traceback) ? `\n    ${indented(traceback)}` : ''
  const head = `${paint('2', clockTime(new Date(at)))} ${paint(colors[level], level.toUpperCase().padEnd(5))}`
  return `${head} ${cut(text, longestLine)}${paint('2', cut(details, 1024))}${cut(trace, longestLine)}\n`
}

/** Every further line begins with spaces: nothing in a message can look like a line of its own. */
function indented(text: string): string {
  return printable(text).trimEnd().replaceAll('\n', '\n    ')
}

function showValue(value: unknown): string {
  const text = typeof value === 'string' && /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value)
  return printableLine(text ?? String(value), 200)
}

/** Local time, as people at the terminal have it: `14:03:07.123`. */
function clockTime(at: Date): string {
  const [hours, minutes, seconds] = [at.getHours(), at.getMinutes(), at.getSeconds()].map(part =>
    String(part).padStart(2, '0'),
  )
  return `${hours}:${minutes}:${seconds}.${String(at.getMilliseconds()).padStart(3, '0')}`
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}

function redactFields(fields: object): Readonly<Record<string, unknown>> {
  return redactValue(fields, deepest) as Readonly<Record<string, unknown>>
}

/** A copy that JSON can write: secrets hidden, deep parts and what has no JSON named. */
function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return { type: value.name, message: redactText(value.message) }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (depth === 0) return Array.isArray(value) ? `[${value.length}]` : '{…}'
  if (Array.isArray(value)) return value.slice(0, 100).map(item => redactValue(item, depth - 1))
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value).slice(0, 100)) {
    const item = (value as Readonly<Record<string, unknown>>)[key]
    if (key === '__proto__') continue
    copy[key] = !plainKeys.has(key) && isSecretKey(key) ? redacted : redactValue(item, depth - 1)
  }
  return copy
}
