/**
 * Warns of workers that take from our queues and do not know our tasks. One of ours gives such a task back, for a while;
 * Celery's rejects it, with FAILURE: a queue belongs to one language.
 */
import { randomUUID } from 'node:crypto'
import type { Backend } from '../backend.ts'
import type { Notice } from '../broker.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { presencePrefix } from '../core/keys.ts'
import { answersAddress, controlAddress, decodeAnswer, encodeCommand } from '../protocol/pidbox.ts'
import { readCard, type WorkerCard } from './presence.ts'

/** What is known of a worker beside us. */
export interface Neighbour {
  readonly node: string
  readonly queues: readonly string[] | undefined
  readonly tasks: readonly string[] | undefined
  readonly isCelery: boolean
}

/** What to say of a neighbour; undefined: nothing. */
export function warningOf(own: Pick<WorkerCard, 'queues' | 'tasks'>, neighbour: Neighbour): string | undefined {
  const { node, queues, tasks, isCelery } = neighbour
  if (queues === undefined || tasks === undefined) return undefined
  const shared = own.queues.filter(queue => queues.includes(queue))
  const unknown = own.tasks.filter(task => !tasks.includes(task))
  if (shared.length === 0 || unknown.length === 0) return undefined
  const more = unknown.length > 3 ? ` and ${unknown.length - 3} more` : ''
  const what = `${node} takes from ${shared.join(', ')} too, and does not know ${unknown.slice(0, 3).join(', ')}${more}`
  return isCelery
    ? `${what}: Celery rejects such tasks, with FAILURE NotRegistered. Give each language its own queue: routes here, task_routes there`
    : `${what}: it gives such tasks back for a while, then parks them. Load the same tasks there, or route them to other queues`
}

export interface NeighboursOptions {
  readonly backend: Backend
  readonly card: WorkerCard
  readonly clock: Clock
  readonly warn: (message: string) => void
}

/** Celery's event that a worker has come. */
const onlineEvent = 'celeryev.worker.online'
/** A worker that has just come answers after a moment, on a busy machine a long one. */
const settlingMs: readonly number[] = [1000, 5000, 15_000]
const answerMs = 10_000

export class Neighbours {
  readonly #options: NeighboursOptions
  readonly #celery = new Map<string, Neighbour>()
  readonly #warned = new Set<string>()
  readonly #ends: (() => Promise<void> | void)[] = []
  readonly #timers: Timer[] = []
  readonly #name = randomUUID()
  readonly #tickets = { active_queues: randomUUID(), registered: randomUUID() }
  #isStopped = false

  constructor(options: NeighboursOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { broker, coordination } = this.#options.backend
    await this.#keep(coordination.watchKeys(presencePrefix, ({ value }) => this.#met(value)))
    // only a broker that foreign clients share has Celery's workers
    if (broker.reply === undefined) return
    await this.#keep(broker.listen(answersAddress(this.#name), notice => this.#answered(notice)))
    await this.#keep(broker.listen(onlineEvent, () => this.#askSoon()))
    this.#ask()
  }

  /** What begins after the stop ends at once. */
  async #keep(beginning: Promise<() => Promise<void> | void>): Promise<void> {
    const end = await beginning
    if (this.#isStopped) await end()
    else this.#ends.push(end)
  }

  #askSoon(): void {
    for (const timer of this.#timers.splice(0)) timer.cancel()
    if (this.#isStopped) return
    for (const ms of settlingMs) this.#timers.push(this.#options.clock.after(ms, () => this.#ask()))
  }

  /** For good, also while it starts. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const timer of this.#timers.splice(0)) timer.cancel()
    for (const end of this.#ends.splice(0)) await end()
  }

  #ask(): void {
    const { backend, clock } = this.#options
    if (this.#isStopped) return
    for (const [method, ticket] of Object.entries(this.#tickets)) {
      const command = { method, args: {}, answerTo: { address: answersAddress(this.#name), ticket } }
      // a warning more or less: nothing is lost without it
      backend.broker.send(controlAddress, encodeCommand(command, clock.now() + answerMs)).catch(() => undefined)
    }
  }

  /** Celery's: node name and list. */
  #answered({ message }: Notice): void {
    for (const [node, answer] of decodeAnswer(message, this.#tickets.active_queues))
      this.#learn(node, { queues: namesIn(answer, each => (isMap(each) ? each['name'] : each)) })
    for (const [node, answer] of decodeAnswer(message, this.#tickets.registered))
      // what follows a name are the options it was asked for
      this.#learn(node, { tasks: namesIn(answer, each => (typeof each === 'string' ? each.split(' ', 1)[0] : each)) })
  }

  #learn(node: string, more: Partial<Neighbour>): void {
    if (node === this.#options.card.node || this.#celery.size > mostNeighbours) return
    const known = this.#celery.get(node) ?? { node, queues: undefined, tasks: undefined, isCelery: true }
    const neighbour = { ...known, ...more }
    this.#celery.set(node, neighbour)
    this.#tell(neighbour)
  }

  #met(text: string | undefined): void {
    const card = text === undefined ? undefined : readCard(text)
    if (card !== undefined && card.node !== this.#options.card.node) this.#tell({ ...card, isCelery: false })
  }

  #tell(neighbour: Neighbour): void {
    const warning = warningOf(this.#options.card, neighbour)
    if (warning === undefined || this.#warned.has(warning)) return
    this.#warned.add(warning)
    this.#options.warn(warning)
  }
}

const mostNeighbours = 10_000

function namesIn(answer: unknown, nameOf: (each: unknown) => unknown): readonly string[] | undefined {
  return Array.isArray(answer) ? answer.map(nameOf).filter(name => typeof name === 'string') : undefined
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
