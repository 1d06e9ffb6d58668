/**
 * A process that sends tasks and revokes them, through the app that ships. It asks again until it is told that the task
 * was accepted, as those do who must not lose a call.
 */
import { AppState } from '../../src/app/app-state.ts'
import { createResult } from '../../src/app/async-result.ts'
import { publishOnce } from '../../src/app/idempotency.ts'
import { publishCalls, toPublication, type Call } from '../../src/app/publish.ts'
import { sleep } from '../../src/core/clock.ts'
import { queueName } from './cluster.ts'
import { connect, type Wiring } from './connect.ts'
import type { Coverage } from './coverage.ts'
import type { Ledger } from './ledger.ts'
import type { Process } from './process.ts'
import { followersOf, twinId, type TaskPlan } from './tasks.ts'
import type { World } from './world.ts'

export interface CallerSetup extends Wiring {
  readonly world: World
  readonly ledger: Ledger
  readonly coverage: Coverage
}

const pauseMs = 50

export class Caller {
  readonly process: Process
  readonly #setup: CallerSetup
  readonly #app: AppState
  /** Calls that have not come to their end, with the tasks they are about. */
  readonly calls: Set<{ readonly id: string }> = new Set()

  constructor(setup: CallerSetup, process: Process) {
    this.process = process
    this.#setup = setup
    this.#app = new AppState('simulated', {})
    this.#app.takeOver(connect(setup, process), process.clock)
  }

  /** All its calls are over, or it is. */
  get isDone(): boolean {
    return this.process.state === 'dead' || this.calls.size === 0
  }

  /** What is left of it when all its calls are over; undefined: nothing. */
  leftovers(): string | undefined {
    const { name, state, timerCount } = this.process
    if (state !== 'living' || this.calls.size > 0) return undefined
    const listeners = this.#setup.cluster.listeners(this.process)
    return timerCount + listeners === 0 ? undefined : `${name} keeps ${timerCount} timers and ${listeners} listeners`
  }

  /** The call of a plan. @param isTwin with the same idempotency key, and an id of its own. */
  send(plan: TaskPlan, isTwin = false): void {
    this.#begin(plan.id, () => this.#insist(plan.id, () => this.#send(plan, isTwin)))
  }

  sendAgain(plan: TaskPlan): void {
    this.#begin(plan.id, () => {
      this.#setup.coverage.strike('sent again', plan.id)
      this.#setup.world.tell(this.process.name, () => `sends ${plan.id} again`)
      return this.#insist(plan.id, () => this.#send(plan, false))
    })
  }

  revoke(id: string, terminate: boolean): void {
    this.#begin(id, () => {
      this.#setup.coverage.strike('revoke', id)
      this.#setup.world.tell(this.process.name, () => `revokes ${id}`)
      const { clock } = this.#app
      const result = createResult({ clock, backend: () => this.#app.backend() }, id)
      return this.#insist(id, () => result.revoke({ terminate }))
    })
  }

  /** One that is frozen calls later, and is not done until then. */
  #begin(id: string, call: () => Promise<void>): void {
    const begun = { id }
    this.calls.add(begun)
    this.process.do(() => void call().then(() => this.calls.delete(begun)))
  }

  async #send(plan: TaskPlan, isTwin: boolean): Promise<void> {
    const call = callOf(plan, isTwin ? twinId(plan.id) : plan.id)
    const hasKey = plan.twinAfterMs !== undefined
    const sent = hasKey ? (await publishOnce(this.#app, call, plan.id)).id : await this.#sendPlain(plan, call)
    this.#setup.world.tell(this.process.name, () => `knows that ${sent} is accepted`)
    if (sent !== undefined) this.#setup.ledger.acknowledged(sent)
  }

  /** As Celery's callers send what has links. */
  async #sendPlain(plan: TaskPlan, call: Call): Promise<string | undefined> {
    const [link, ...chain] = followersOf(plan).map(({ id }) => signatureOf(id))
    if (link === undefined) return (await publishCalls(this.#app, [call]))[0]
    const draft = toPublication(this.#app, call)
    const embed = { callbacks: [link], errbacks: null, chain: chain.toReversed(), chord: null }
    const message = { ...draft.message, body: JSON.stringify([[], {}, embed]) }
    const [outcome] = await this.#app.publish(await this.#app.backend(), [{ ...draft, message }])
    if (outcome?.accepted !== 'yes') throw outcome?.error ?? new Error('no answer')
    return plan.id
  }

  async #insist(id: string, attempt: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        this.#setup.world.tell(this.process.name, () => `${id}: ${error instanceof Error ? error.message : ''}`)
        await sleep(this.process.clock, pauseMs)
      }
    }
  }
}

function signatureOf(id: string): object {
  const options = { task_id: id, queue: queueName }
  return { task: 'returns', args: [], kwargs: {}, options, subtask_type: null, immutable: true, chord_size: null }
}

function callOf({ name, etaAfterMs, expiresAfterMs }: TaskPlan, taskId: string): Call {
  const times = {
    ...(etaAfterMs === undefined ? {} : { countdownMs: etaAfterMs }),
    ...(expiresAfterMs === undefined ? {} : { expiresInMs: expiresAfterMs }),
  }
  return {
    name,
    definition: undefined,
    wire: { args: [], kwargs: {} },
    options: { taskId, queue: queueName, ...times },
  }
}
