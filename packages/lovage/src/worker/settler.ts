/**
 * Carries settlements out, until they are: what the store or the broker refuses for a while is tried again, what they
 * will never take is parked with the reason, and what another has overtaken gives way to what is stored.
 */
import type { Backend } from '../backend.ts'
import type { Settlement, SettleOutcome } from '../broker.ts'
import type { StoredState } from '../core/record.ts'
import { sleep, type Clock } from '../core/clock.ts'
import { crashPoint } from '../core/crash-point.ts'
import { coerceError, isRefusal } from '../core/errors.ts'
import { isSameVersion } from '../core/states.ts'
import type { ExecutorEvents } from './executor.ts'
import { isClosed } from './decide.ts'
import { Outcome } from './outcome.ts'
import { factsOf, nextSeq, sawStored, type Run } from './run.ts'
import { settlementFor } from './settlement.ts'
import type { Sender } from './successors.ts'

export interface SettlerOptions {
  readonly backend: Backend
  readonly clock: Clock
  readonly random: () => number
  readonly sender: Sender
  readonly events: Pick<ExecutorEvents, 'unsettled' | 'trouble'>
}

/** How a run was settled. */
export interface Settled {
  /** What was made of it in the end. */
  readonly ended: Outcome
  /** Another worker has the delivery by now; what this one made of it was dropped. */
  readonly isLost: boolean
  /** It was not: nothing of it can ever be written. */
  readonly refusal: Error | undefined
}

interface Written {
  readonly settlement: Settlement
  readonly answer: SettleOutcome | Error
  /** The end that overtook it. */
  readonly stored?: StoredState | undefined
}

export class Settler {
  readonly #options: SettlerOptions
  /** Aborted by `abandon`. */
  readonly #over = new AbortController()

  constructor(options: SettlerOptions) {
    this.#options = options
  }

  /** For good: tries no more. What was to be settled never is. */
  abandon(): void {
    this.#over.abort()
  }

  async settle(run: Run, outcome: Outcome, now: number): Promise<Settled> {
    let ended = outcome
    let written = await this.#write(run, () => this.#settlementFor(run, outcome, now))
    if (written.answer instanceof Error) {
      const parked = unsettleable(written.answer)
      ended = parked
      written = await this.#write(run, () => this.#settlementFor(run, parked, now))
      if (written.answer instanceof Error)
        written = await this.#write(run, () => alone(this.#settlementFor(run, parked, now)))
    }
    const { answer } = written
    const isLost = answer === 'overtaken' ? await this.#settleOvertaken(run, written) : answer !== 'settled'
    return { ended, isLost, refusal: answer instanceof Error ? answer : undefined }
  }

  async storedState({ request }: Run): Promise<StoredState | undefined> {
    const { results } = this.#options.backend
    const lookup = await this.insist('read the state of a task', () => results.get(request.id, { isFresh: true }))
    return lookup.kind === 'state' ? lookup.state : undefined
  }

  /** The error, when what is to be written is at fault: then trying again cannot help. */
  #settleUnlessRefused(settlement: Settlement): Promise<SettleOutcome | Error> {
    return this.insist('settle a delivery', () =>
      this.#trySettle(settlement).catch((error: unknown) => {
        if (isRefusal(error)) return coerceError(error)
        throw error
      }),
    )
  }

  /**
   * Overtaken by a state that is no end, it is written above that, as long as the delivery is ours: another runs the same
   * attempt, who may have lost his delivery and not know it yet, or has another copy of the message. A final state is
   * above theirs as it is; the end of an attempt is not, and were it to give way, each would overtake the other for ever.
   * So the first that is done ends it.
   */
  async #write(run: Run, make: () => Settlement): Promise<Written> {
    for (;;) {
      const settlement = make()
      const answer = await this.#settleUnlessRefused(settlement)
      if (answer !== 'overtaken') return { settlement, answer }
      const stored = await this.storedState(run)
      if (stored === undefined || isClosed(stored, run.request.retries)) return { settlement, answer, stored }
      if (!(await this.#isHeld(run))) return { settlement, answer: 'lost' }
      sawStored(run, stored)
    }
  }

  async #isHeld({ delivery }: Run): Promise<boolean> {
    const { broker } = this.#options.backend
    const lost = await this.insist('ask for a delivery', () => broker.markStarted([delivery]))
    return lost.length === 0
  }

  /**
   * The store has another end, or ours, and the first try's answer was lost: what follows is what follows from that one.
   * Whether what was made of the delivery here was dropped.
   */
  async #settleOvertaken(run: Run, { settlement: { record }, stored }: Written): Promise<boolean> {
    const { delivery } = run
    const settlement = this.#settlementFor(run, Outcome.superseded(stored), this.#options.clock.now())
    const answer = await this.#settleUnlessRefused(settlement)
    if (answer instanceof Error) {
      // its end is recorded, and stays; what cannot be sent is told where somebody looks
      const disposition = {
        kind: 'park',
        reason: `what was to follow it could not be sent: ${answer.message}`,
      } as const
      await this.insist('park a delivery', () => this.#trySettle({ delivery, disposition }))
      this.#options.events.unsettled?.(run, answer, 'Its end is kept, and its message is among the dead letters')
    }
    return record === undefined || stored === undefined || !isSameVersion(record, stored)
  }

  #settlementFor(run: Run, outcome: Outcome, now: number): Settlement {
    try {
      return this.#makeSettlement(run, outcome, now)
    } catch (error) {
      // what is to be called after it cannot be called: then nothing is, and whoever waits is told
      const { name: type, message } = coerceError(error)
      const failed = Outcome.failed({ type, message: `What follows cannot be sent: ${message}`, retryable: false })
      return this.#makeSettlement(
        { ...run, workflow: undefined },
        outcome.kind === 'superseded' ? outcome : failed,
        now,
      )
    }
  }

  #makeSettlement(run: Run, outcome: Outcome, now: number): Settlement {
    return settlementFor(outcome, run, {
      now,
      seq: nextSeq(run, this.#options.clock),
      startedAt: run.startedAt,
      wasShown: run.announced,
      policy: run.task?.policy,
      facts: factsOf(run),
      sender: this.#options.sender,
    })
  }

  async #trySettle(settlement: Settlement): Promise<SettleOutcome> {
    const answer = await this.#options.backend.settle(settlement)
    crashPoint('W9')
    return answer
  }

  /** Does it until it is done: a store that is gone for a while costs time, never a result. Once abandoned it never resolves. */
  async insist<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    const { clock, random, events } = this.#options
    for (let tries = 0; ; tries++) {
      try {
        return await attempt()
      } catch (error) {
        if (!this.#over.signal.aborted) events.trouble?.(coerceError(error), what)
        const pauseMs = Math.min(50 * 2 ** Math.min(tries, 10), 5000) * (0.5 + random() / 2)
        await sleep(clock, pauseMs, this.#over.signal).catch(() => new Promise(() => undefined))
      }
    }
  }
}

/** Of a task whose end the store or broker will never take: told as loudly as can be, and kept for a look. */
function unsettleable({ name: type, message }: Error): Outcome {
  return Outcome.parked(`its end could not be recorded: ${message}`, { type, message, retryable: false })
}

/** Without what was to be called next, which may be what was refused. Who waits is told. */
function alone({ successors: _successors, ...rest }: Settlement): Settlement {
  return rest
}
