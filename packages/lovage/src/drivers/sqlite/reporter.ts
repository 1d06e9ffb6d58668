/** Gathers the answers and events of a transaction, to send them as one message. */
import type { ErrorRow, OpsReport, StoreEvent } from './ops.ts'

export class Reporter {
  readonly #send: (report: OpsReport) => void
  #answered: number[] = []
  #values: unknown[] = []
  #failed: { number: number; error: ErrorRow }[] = []
  #events: StoreEvent[] = []

  constructor(send: (report: OpsReport) => void) {
    this.#send = send
  }

  answer(number: number, value: unknown): void {
    this.#answered.push(number)
    this.#values.push(value)
  }

  fail(number: number, error: ErrorRow): void {
    this.#failed.push({ number, error })
  }

  emit(event: StoreEvent): void {
    this.#events.push(event)
  }

  flush(): void {
    const [answered, values, failed, events] = [this.#answered, this.#values, this.#failed, this.#events]
    if (answered.length + failed.length + events.length === 0) return
    this.#answered = []
    this.#values = []
    this.#failed = []
    this.#events = []
    this.#send({ kind: 'report', answered, values, failed, events })
  }
}
