/**
 * What leaves a running task: progress, custom states, log lines. A report goes out at once when none did in the last
 * 250 ms; else it replaces the one that waits, which goes out when the time has come: at a later call, when the task's
 * loop yields, or at its end, whichever is first. So the last one always leaves, and a task that never yields is seen.
 * Nothing here throws: what cannot be reported is said in the log.
 */
import type { Clock, Timer } from '../core/clock.ts'
import { isBuiltInState } from '../core/states.ts'
import type { ProgressDocument } from '../core/record.ts'
import type { RunReport } from '../pools/pool.ts'
import { encodeJson } from '../protocol/json.ts'
import type { StateSchemas } from './types.ts'
import type { ProgressDetails } from './types.ts'
import { coerceError, describe } from '../core/errors.ts'

/** Four a second. */
const intervalMs = 250
const longestMessage = 200
const longestRecord = 4096
const mostLogLines = 10_000

type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface ReporterOptions {
  readonly runId: number
  readonly clock: Clock
  readonly report: (report: RunReport) => void
  readonly stateSchemas: StateSchemas | undefined
}

export class TaskReporter {
  readonly #options: ReporterOptions
  readonly #clock: Clock
  /** What waits to be sent; 'none' when everything has left. */
  #waiting: 'none' | 'progress' | 'state' = 'none'
  #current = 0
  #total: number | undefined
  #details: ProgressDetails | undefined
  #state: { readonly state: string; readonly value: string } | undefined
  /** Wall time of the last report. Wall, because it is the cheapest clock; a jump of it only moves one report. */
  #sentAt = 0
  #timer: Timer | undefined
  #isEnded = false
  #logLines = 0
  /** Complaints already made: one of a kind is enough. */
  #complaints: Set<string> | undefined

  constructor(options: ReporterOptions) {
    this.#options = options
    this.#clock = options.clock
  }

  progress(current: number, total: number | undefined, details: ProgressDetails | undefined): void {
    this.#current = current
    this.#total = total
    this.#details = details
    this.#waiting = 'progress'
    const sinceMs = this.#clock.now() - this.#sentAt
    if (sinceMs >= intervalMs || sinceMs < 0) this.flush()
    else if (this.#timer === undefined) this.#arm(intervalMs - sinceMs)
  }

  state(state: string, meta: unknown): void {
    const value = this.#checkedState(state, meta)
    if (value === undefined) return
    this.#state = { state, value }
    this.#waiting = 'state'
    const sinceMs = this.#clock.now() - this.#sentAt
    if (sinceMs >= intervalMs || sinceMs < 0) this.flush()
    else if (this.#timer === undefined) this.#arm(intervalMs - sinceMs)
  }

  log(level: LogLevel, message: string, fields?: object): void {
    if (this.#isEnded) return
    this.#logLines++
    if (this.#logLines > mostLogLines) return
    const isLast = this.#logLines === mostLogLines
    const text = isLast
      ? `No more than ${mostLogLines} lines of one run are kept`
      : shorten(String(message), longestRecord / 2)
    const shown = fields === undefined || isLast ? undefined : plainFields(fields)
    this.#options.report({
      kind: 'log',
      runId: this.#options.runId,
      level: isLast ? 'warn' : level,
      message: text,
      fields: shown,
    })
  }

  /** Sends what waits, if anything does. */
  flush(): void {
    const waiting = this.#waiting
    if (waiting === 'none' || this.#isEnded) return
    this.#waiting = 'none'
    this.#timer?.cancel()
    this.#timer = undefined
    this.#sentAt = this.#clock.now()
    if (waiting === 'progress') this.#sendProgress()
    else if (this.#state !== undefined)
      this.#options.report({ kind: 'state', runId: this.#options.runId, ...this.#state })
  }

  /** Sends what waits; whatever is called afterwards does nothing. Idempotent. */
  end(): void {
    this.flush()
    this.#isEnded = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(ms: number): void {
    if (this.#isEnded) return
    this.#timer = this.#clock.after(
      ms,
      () => {
        this.#timer = undefined
        this.flush()
      },
      { ref: false },
    )
  }

  #sendProgress(): void {
    const progress = progressDocument(this.#current, this.#total, this.#details)
    if (progress !== undefined) this.#options.report({ kind: 'progress', runId: this.#options.runId, progress })
    else this.#complain(`progress(${describe(this.#current)}) is not reported: it is no number`)
  }

  /** The JSON text of the meta; undefined when the state is not reported. */
  #checkedState(state: string, meta: unknown): string | undefined {
    if (isBuiltInState(state))
      return this.#refuse(
        state,
        `it is Lovage's to set${state === 'PROGRESS' ? ': call task.progress(current, total)' : ''}`,
      )
    const { stateSchemas } = this.#options
    const schema = stateSchemas !== undefined && Object.hasOwn(stateSchemas, state) ? stateSchemas[state] : undefined
    if (schema === undefined)
      return this.#refuse(state, `declare it in the task's options: { states: { ${state}: … } }`)
    try {
      const result = schema['~standard'].validate(meta)
      const issue = result instanceof Promise ? undefined : result.issues?.[0]
      if (issue !== undefined) return this.#refuse(state, `what goes with it does not fit: ${issue.message}`)
      return shortenedJson(encodeJson(meta, state))
    } catch (error) {
      return this.#refuse(state, coerceError(error).message)
    }
  }

  #refuse(state: string, why: string): undefined {
    this.#complain(`State ${describe(state)} is not reported: ${why}`)
    return undefined
  }

  #complain(message: string): void {
    this.#complaints ??= new Set()
    if (this.#complaints.has(message) || this.#complaints.size >= 20) return
    this.#complaints.add(message)
    this.log('warn', message)
  }
}

/** Undefined when `current` is no number. A total that is none is an unknown one. */
function progressDocument(
  current: unknown,
  total: unknown,
  details: ProgressDetails | undefined,
): ProgressDocument | undefined {
  if (typeof current !== 'number' || !Number.isFinite(current)) return undefined
  const text = (value: unknown): string | undefined =>
    value === undefined || value === null
      ? undefined
      : shorten(typeof value === 'string' ? value : describe(value), longestMessage)
  const document: Record<string, unknown> = { current }
  if (typeof total === 'number' && Number.isFinite(total)) document['total'] = total
  const given = details ?? {}
  for (const name of ['message', 'phase', 'unit'] as const) {
    const value = text(given[name])
    if (value !== undefined) document[name] = value
  }
  return document as unknown as ProgressDocument
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text
}

/** What is over the limit becomes the mark of it and its beginning. */
function shortenedJson(json: string): string {
  if (Buffer.byteLength(json) <= longestRecord) return json
  return JSON.stringify({
    truncated: true,
    bytes: Buffer.byteLength(json),
    beginning: shorten(json, longestRecord / 8),
  })
}

/** A copy that can cross a thread border: JSON values only, errors by name and message. */
function plainFields(fields: object): object {
  try {
    const json = JSON.stringify(fields, (_key, value: unknown) => plainField(value)) ?? '{}'
    return JSON.parse(shortenedJson(json)) as object
  } catch {
    return { unprintable: describe(fields) }
  }
}

function plainField(value: unknown): unknown {
  if (value instanceof Error) return { type: value.name, message: value.message }
  return typeof value === 'bigint' ? `${value}n` : value
}
