/**
 * What `task.retry()`, `ignore()` and `reject()` throw. No errors: a task that retries has not failed, and a `catch` that
 * looks for errors lets them pass. Recognised by a brand, so that two copies of this package understand each other.
 */
const brand = Symbol.for('lovage.signal')

abstract class Signal {
  abstract readonly kind: 'retry' | 'ignore' | 'reject'

  constructor() {
    Object.defineProperty(this, brand, { value: true })
  }

  toString(): string {
    return `task.${this.kind}()`
  }
}

export class RetrySignal extends Signal {
  readonly kind = 'retry'
  readonly countdownMs: number | undefined
  readonly maxRetries: number | undefined
  readonly cause: unknown
  constructor(options: {
    readonly countdownMs?: number | undefined
    readonly maxRetries?: number | undefined
    readonly cause?: unknown
  }) {
    super()
    this.countdownMs = options.countdownMs
    this.maxRetries = options.maxRetries
    this.cause = options.cause
  }
}
export class IgnoreSignal extends Signal {
  readonly kind = 'ignore'
  readonly reason: string | undefined
  constructor(reason: string | undefined) {
    super()
    this.reason = reason
  }
}
export class RejectSignal extends Signal {
  readonly kind = 'reject'
  readonly requeue: boolean
  constructor(requeue: boolean) {
    super()
    this.requeue = requeue
  }
}
export type TaskSignal = RetrySignal | IgnoreSignal | RejectSignal

export function isTaskSignal(thrown: unknown): thrown is TaskSignal {
  return typeof thrown === 'object' && thrown !== null && Reflect.get(thrown, brand) === true
}
