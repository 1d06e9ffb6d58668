/**
 * The network between processes and servers. A request takes its time, is lost, comes late or twice, is refused, or is
 * carried out and its answer lost; links are cut and heal; servers are down or slow. Whoever asks is told of an error
 * after a while, and cannot know whether it was done.
 */
import type { Timer } from '../../src/core/clock.ts'
import type { Coverage, FaultName } from './coverage.ts'
import type { HistoryPlan, Noise } from './plan.ts'
import type { Process } from './process.ts'
import type { World } from './world.ts'

export type Service = 'broker' | 'store' | 'coordination'
export type Server = 'broker' | 'store'

export interface Request<T> {
  readonly process: Process
  readonly service: Service
  /** The tasks it is about. */
  readonly tasks: readonly string[]
  /**
   * What it does belongs to the connection: its answer comes late rather than never, and what arrives after its asker
   * gave up is not done. Else a living worker would hold what it does not know of.
   */
  readonly isSession?: boolean
  readonly effect: () => T
}

export class NetworkError extends Error {
  /** It was certainly not done. */
  readonly isRefusal: boolean

  constructor(message: string, isRefusal: boolean) {
    const { stackTraceLimit } = Error
    // there are millions of them, and nobody reads where they were made
    Error.stackTraceLimit = 0
    super(message)
    Error.stackTraceLimit = stackTraceLimit
    this.isRefusal = isRefusal
  }
}

export interface NetworkOptions {
  readonly world: World
  readonly plan: HistoryPlan
  readonly coverage: Coverage
  /** What strikes at a request of this process, before it leaves or after it was done. */
  readonly onRequest: (process: Process, moment: 'before request' | 'after request') => void
}

const patienceMs = 300

export class Network {
  readonly down: Set<Server> = new Set()
  /** Extra milliseconds of what a server does. */
  readonly slowMs: Map<Server, number> = new Map()
  /** Over, once calm begins. */
  isNoisy = true
  /** Requests that are late, or come a second time, and have not arrived yet. */
  stragglers = 0
  readonly #options: NetworkOptions
  readonly #cut = new Set<string>()
  /** When the last request to coordination arrives: they keep their order, as on one connection. */
  readonly #arrivals = new Map<Process, number>()
  /** What waits until a link heals. */
  readonly #waiting: (() => void)[] = []

  constructor(options: NetworkOptions) {
    this.#options = options
  }

  /** Where a service lives: one server does it all, or the store has one of its own. */
  serverOf(service: Service): Server {
    return service === 'store' && !this.#options.plan.isAtomic ? 'store' : 'broker'
  }

  cut(process: Process, server: Server): void {
    this.#cut.add(linkOf(process, server))
  }

  heal(process: Process, server: Server): void {
    this.#cut.delete(linkOf(process, server))
    for (const run of this.#waiting.splice(0)) this.#options.world.after(0, run)
  }

  /** Everything works again, and stays so. */
  calm(): void {
    this.isNoisy = false
    this.down.clear()
    this.slowMs.clear()
    this.#cut.clear()
    for (const run of this.#waiting.splice(0)) this.#options.world.after(0, run)
  }

  strikes(noise: Noise, process: Process, tasks: readonly string[]): boolean {
    const rate = this.#options.plan.noise[noise]
    if (rate === 0 || !this.isNoisy || !process.random.chance(rate)) return false
    this.#mark(noise, tasks)
    return true
  }

  call<T>(request: Request<T>): Promise<T> {
    const { process } = request
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#options.onRequest(process, 'before request')
    // what a dying process had sent may have left its socket, or not
    if (process.state === 'dead' && process.random.chance(0.5)) return promise
    const patience = process.later(patienceMs, () => close(() => reject(new NetworkError('timed out', false))))
    const asked: Asked<T> = { ...request, isOver: false, hasCopy: false, patience, resolve, reject, close }
    function close(tell: () => void): void {
      if (asked.isOver) return
      asked.isOver = true
      patience.cancel()
      tell()
    }
    if (this.strikes('lost request', process, request.tasks)) return promise
    const isLate = this.strikes('late request', process, request.tasks)
    const mayRepeat = request.isSession !== true && request.service !== 'coordination'
    asked.hasCopy = mayRepeat && this.strikes('duplicate', process, request.tasks)
    this.#arriveAfter(isLate ? process.random.between(50, 1200) : process.random.between(0, 2), asked)
    if (asked.hasCopy) this.#arriveAfter(process.random.between(0, 400), { ...asked, isCopy: true })
    return promise
  }

  /** Tells a process something; it is never lost, but waits for a link that is cut. */
  push(process: Process, service: Service, deliver: () => void): void {
    const isThere = (): void => {
      if (this.#isCut(process, service)) this.#waiting.push(isThere)
      else process.do(deliver)
    }
    this.#options.world.after(process.random.between(0, 2), isThere)
  }

  #arriveAfter<T>(ms: number, asked: Asked<T>): void {
    const { world } = this.#options
    const { process, service } = asked
    const slowMs = this.slowMs.get(this.serverOf(service)) ?? 0
    const extraMs = slowMs === 0 ? 0 : process.random.between(0, slowMs)
    let atMs = world.nowMs + ms + extraMs
    if (service === 'coordination') {
      atMs = Math.max(atMs, (this.#arrivals.get(process) ?? 0) + 1)
      this.#arrivals.set(process, atMs)
    }
    const isStraggler = atMs - world.nowMs > 10
    if (isStraggler) this.stragglers++
    world.after(atMs - world.nowMs, () => {
      if (isStraggler) this.stragglers--
      this.#arrive(asked)
    })
  }

  #arrive<T>(asked: Asked<T>): void {
    const { process, service, tasks, isSession = false, isCopy = false } = asked
    if (this.#isCut(process, service) || (isSession && (asked.isOver || process.state === 'dead'))) return
    if (this.down.has(this.serverOf(service))) return this.#refuse(asked)
    if (!isCopy && this.strikes('error before', process, tasks)) return this.#refuse(asked)
    const value = asked.effect()
    if (isCopy) return
    if (isSession) asked.patience.cancel()
    this.#options.onRequest(process, 'after request')
    if (isSession) return this.push(process, service, () => asked.close(() => asked.resolve(value)))
    if (this.strikes('lost answer', process, tasks)) return
    const isError = this.strikes('error after', process, tasks)
    this.#answer(asked, () =>
      isError ? asked.reject(new NetworkError('it failed at the end', false)) : asked.resolve(value),
    )
  }

  #refuse<T>(asked: Asked<T>): void {
    if (asked.isCopy === true) return
    const refusal = new NetworkError(`the ${this.serverOf(asked.service)} refuses`, !asked.hasCopy)
    this.#answer(asked, () => asked.reject(refusal))
  }

  #answer<T>(asked: Asked<T>, tell: () => void): void {
    const { process, service } = asked
    this.#options.world.after(process.random.between(0, 2), () => {
      if (!this.#isCut(process, service)) process.do(() => asked.close(tell))
    })
  }

  #isCut(process: Process, service: Service): boolean {
    return this.#cut.has(linkOf(process, this.serverOf(service)))
  }

  #mark(fault: FaultName, tasks: readonly string[]): void {
    for (const id of tasks) this.#options.coverage.strike(fault, id)
  }
}

interface Asked<T> extends Request<T> {
  /** It was answered, or given up. */
  isOver: boolean
  /** It comes twice: that the first was refused says nothing of the second. */
  hasCopy: boolean
  readonly patience: Timer
  /** The second of a request that comes twice: nobody waits for its answer. */
  readonly isCopy?: boolean
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
  readonly close: (tell: () => void) => void
}

function linkOf({ machine }: Process, server: Server): string {
  return `${machine.name} ${server}`
}
