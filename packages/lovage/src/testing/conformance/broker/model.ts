/** What must hold of any interleaving: the model that the random cases are checked against. */
import type { Delivery, Disposition, ParkedMessage, SettleOutcome } from '../../../broker.ts'
import { idOf } from '../inbox.ts'

interface ModelMessage {
  status: 'queued' | 'done' | 'parked'
  deliveryCount: number
}

export class Model {
  readonly faults: string[] = []
  readonly #messages = new Map<string, ModelMessage>()
  readonly #seed: number
  readonly #isCounted: boolean

  /** @param isCounted whether `deliveryCount` is exact, and not only above 1 */
  constructor(seed: number, isCounted: boolean) {
    this.#seed = seed
    this.#isCounted = isCounted
  }

  published(id: string): void {
    this.#messages.set(id, { status: 'queued', deliveryCount: 0 })
  }

  delivered(batch: readonly Delivery[]): void {
    for (const delivery of batch) {
      const message = this.#messages.get(idOf(delivery))
      if (message === undefined) this.#fault(`${idOf(delivery)} was never published`)
      else if (message.status !== 'queued') this.#fault(`${idOf(delivery)} came again after it was ${message.status}`)
      else if (delivery.deliveryCount <= (this.#isCounted ? message.deliveryCount : Math.min(message.deliveryCount, 1)))
        this.#fault(`${idOf(delivery)} came twice with count ${delivery.deliveryCount}`)
      else message.deliveryCount = delivery.deliveryCount
      if (delivery.crashCount !== 0) this.#fault(`${idOf(delivery)} is said to have crashed somebody`)
      if (delivery.redelivered !== delivery.deliveryCount > 1)
        this.#fault(`${idOf(delivery)} has the wrong redelivered`)
    }
  }

  settled(delivery: Delivery, disposition: Disposition, outcome: SettleOutcome): void {
    const message = this.#messages.get(idOf(delivery))
    if (outcome === 'lost') this.#fault(`${idOf(delivery)} was lost by a living holder`)
    else if (message !== undefined && disposition.kind !== 'requeue')
      message.status = disposition.kind === 'ack' ? 'done' : 'parked'
  }

  /** Ids that have yet to come. */
  outstanding(): readonly string[] {
    return [...this.#messages].filter(([, { status }]) => status === 'queued').map(([id]) => id)
  }

  /** Nothing is left: whatever is not done is among the dead letters. */
  finished(parked: readonly ParkedMessage[]): void {
    for (const id of this.outstanding()) this.#fault(`${id} is lost`)
    const expected = [...this.#messages].filter(([, { status }]) => status === 'parked').map(([id]) => id)
    const found = parked.map(({ id }) => id)
    if (found.sort().join() !== expected.sort().join())
      this.#fault(`parked are ${found.join()}, not ${expected.join()}`)
  }

  #fault(text: string): void {
    this.faults.push(`seed ${this.#seed}: ${text}`)
  }
}
