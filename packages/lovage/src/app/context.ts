/** What a handler gets as its first parameter. */
import type { Clock } from '../core/clock.ts'
import { sleep } from '../core/clock.ts'
import { assertDate, assertInteger, assertMs, assertNotBoth, assertOptionNames, longestDelayMs } from './options.ts'
import { IgnoreSignal, RejectSignal, RetrySignal } from './signals.ts'
import type { TaskReporter } from './task-reporter.ts'
import type { Logger, ProgressDetails, RetryOptions, TaskContext, TaskRequest } from './types.ts'

export interface ContextParts {
  readonly id: string
  readonly signal: () => AbortSignal
  readonly clock: Clock
  readonly reporter: TaskReporter
  /** Called once, when the handler asks for it. */
  readonly request: () => TaskRequest
}

export class RunningTask implements TaskContext {
  readonly id: string
  readonly #parts: ContextParts
  readonly #reporter: TaskReporter
  #request: TaskRequest | undefined
  #log: Logger | undefined

  constructor(parts: ContextParts) {
    this.id = parts.id
    this.#parts = parts
    this.#reporter = parts.reporter
  }

  get retries(): number {
    return this.request.retries
  }

  get signal(): AbortSignal {
    return this.#parts.signal()
  }

  get request(): TaskRequest {
    return (this.#request ??= this.#parts.request())
  }

  get log(): Logger {
    return (this.#log ??= createLogger(this.#reporter))
  }

  progress(current: number, total?: number, details?: ProgressDetails): void {
    this.#reporter.progress(current, total, details)
  }

  updateState(state: string, meta: unknown): void {
    this.#reporter.state(state, meta)
  }

  sleep(ms: number): Promise<void> {
    return sleep(this.#parts.clock, ms, this.signal)
  }

  retry(options: RetryOptions = {}): never {
    // oxlint-disable-next-line typescript/only-throw-error -- a signal is no error
    throw new RetrySignal(resolveRetry(options, this.#parts.clock.now()))
  }

  ignore(reason?: string): never {
    // oxlint-disable-next-line typescript/only-throw-error -- a signal is no error
    throw new IgnoreSignal(reason)
  }

  reject(options: { readonly requeue?: boolean | undefined } = {}): never {
    // oxlint-disable-next-line typescript/only-throw-error -- a signal is no error
    throw new RejectSignal(options.requeue ?? false)
  }
}

function resolveRetry(options: RetryOptions, now: number): ConstructorParameters<typeof RetrySignal>[0] {
  const { countdownMs, eta, maxRetries, cause } = options
  assertOptionNames('task.retry()', options, ['countdownMs', 'eta', 'maxRetries', 'cause'])
  assertNotBoth('task.retry()', options, ['countdownMs', 'eta'])
  assertMs('task.retry(): countdownMs', countdownMs, longestDelayMs)
  assertDate('task.retry(): eta', eta)
  assertInteger('task.retry(): maxRetries', maxRetries, { min: 0, max: Number.MAX_SAFE_INTEGER })
  const untilEta = eta === undefined ? undefined : Math.max(0, eta.getTime() - now)
  return { countdownMs: countdownMs ?? untilEta, maxRetries, cause }
}

function createLogger(reporter: TaskReporter): Logger {
  return {
    debug: (message, fields) => reporter.log('debug', message, fields),
    info: (message, fields) => reporter.log('info', message, fields),
    warn: (message, fields) => reporter.log('warn', message, fields),
    error: (message, fields) => reporter.log('error', message, fields),
  }
}
