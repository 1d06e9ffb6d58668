/**
 * Histories of several workers, one broker and one store under crashes, freezes, refusals, lost answers and lost
 * wake-ups, judged by `invariants.ts`. What runs is what ships: the executor with its decisions, the order of a
 * settlement, the memory driver's machines. A seed is a history: the same seed gives the same one, step by step.
 */
import type { Publication } from '../../src/broker.ts'
import { encodeTask } from '../../src/protocol/task-message.ts'
import { Cluster, queueName, type Breakage, type Faults } from './cluster.ts'
import { Ledger, type Violation } from './invariants.ts'
import { planTasks, type TaskPlan } from './tasks.ts'
import { SimulatedWorker } from './worker.ts'
import { Process, World } from './world.ts'

export interface SimulateOptions {
  readonly breakage?: Breakage | undefined
  readonly tells?: boolean | undefined
}

export interface History {
  readonly seed: number
  readonly violation: Violation | undefined
  readonly counts: Readonly<Record<string, number>>
  readonly story: readonly string[]
}

const leaseMs = 1000
const pollMs = 1000
const faultsEndMs = 2500
/** Lease, poll, the longest wait of `#insist` (5 s) twice, grace and back-off of retries. */
const drainMs = 20_000
/** An unknown name is delivered six times, 1 + 2 + 4 + 8 + 16 seconds apart. */
const unknownNameMs = 35_000

class Simulation {
  readonly seed: number
  readonly world: World
  readonly #plans: readonly TaskPlan[]
  readonly #ledger: Ledger
  readonly #faults: Faults
  readonly #hasFaults: boolean
  readonly #cluster: Cluster
  readonly #slots: number
  readonly #breakage: Breakage | undefined
  readonly #revoked = new Set<string>()
  readonly #workers = new Map<Process, SimulatedWorker>()
  readonly #producer: Process
  readonly #counts = { crashes: 0, pauses: 0, outages: 0, stops: 0, jumps: 0 }
  #lives = 0
  readonly #deadline: number

  constructor(seed: number, { breakage, tells = false }: SimulateOptions) {
    this.seed = seed
    this.world = new World(seed, tells)
    const { random } = this.world
    this.#breakage = breakage
    this.#hasFaults = random.chance(0.8)
    const rate = (most: number): number => (this.#hasFaults ? random.next() * most : 0)
    this.#faults = { active: true, killRate: rate(0.02), lostAnswerRate: rate(0.05), lostWakeUpRate: rate(0.8) }
    this.#plans = planTasks(random, random.between(4, 14), this.#hasFaults)
    this.#ledger = new Ledger(this.#plans)
    this.#slots = random.between(1, 3)
    this.#deadline = faultsEndMs + drainMs + (this.#ledger.entries.has('unknown') ? unknownNameMs : 0)
    const { world } = this
    const onKill = (process: Process): void => this.#kill(process)
    const atomic = breakage === 'ack-before-store' ? false : random.chance(0.5)
    this.#cluster = new Cluster({
      world,
      ledger: this.#ledger,
      faults: this.#faults,
      atomic,
      leaseMs,
      breakage,
      onKill,
    })
    this.#producer = new Process(world, 'producer')
    for (let index = random.between(2, 3); index > 0; index--) this.#startWorker()
    for (const plan of this.#plans) world.after(plan.publishAfterMs, () => void this.#publish(plan))
    if (this.#hasFaults) for (let index = random.between(1, 6); index > 0; index--) this.#scheduleFault()
    world.after(faultsEndMs, () => this.#calm())
  }

  /** One step of the history; false: it is over. */
  step(): boolean {
    const { monotonic } = this.world.now()
    const isOver = monotonic >= faultsEndMs && (this.#ledger.drained || monotonic > this.#deadline)
    try {
      if (!isOver && this.#ledger.violation === undefined && this.world.step()) return true
    } catch (error) {
      // a call that cannot be answered; the ledger knows why, or it is a fault of what runs here
      if (this.#ledger.violation === undefined) throw error
    }
    this.#ledger.ended(this.#cluster.size, this.#hasFaults)
    return false
  }

  history(): History {
    const { seed, world } = this
    const { violation } = this.#ledger
    const counts = {
      steps: world.steps,
      tasks: this.#plans.length,
      ...this.#counts,
      ...this.#cluster.counts,
      parked: this.#cluster.parkedCount,
    }
    return { seed, violation, counts, story: world.story ?? [] }
  }

  #startWorker(): void {
    const { world } = this
    const worker = new SimulatedWorker(
      {
        world,
        cluster: this.#cluster,
        ledger: this.#ledger,
        slots: this.#slots,
        leaseMs,
        revoked: this.#revoked,
        pollMs: this.#breakage === 'lost-wakeup' ? undefined : pollMs,
        onKill: process => this.#kill(process),
      },
      `w${++this.#lives}`,
    )
    this.#workers.set(worker.process, worker)
    world.tell(worker.process.name, () => 'starts')
  }

  /** It dies, or leaves for good; a supervisor starts another. */
  #kill(process: Process): void {
    const worker = this.#workers.get(process)
    if (worker === undefined || process.state === 'dead') return
    const { random } = this.world
    this.world.tell(process.name, () => (worker.isStopping ? 'ends' : 'is killed'))
    if (!worker.isStopping) this.#counts.crashes++
    worker.cutRuns()
    process.kill()
    this.#workers.delete(process)
    this.world.after(random.between(20, 300), () => this.#startWorker())
    if (random.chance(0.5)) this.world.after(random.between(0, 20), () => this.#cluster.sawDie(process.name))
  }

  #scheduleFault(): void {
    const { world } = this
    const { random } = world
    const strike = random.pick([
      () => this.#crash(),
      () => this.#freeze(),
      () => this.#freeze(),
      () => this.#refuse(),
      () => this.#stop(),
      () => this.#jump(),
    ])
    world.after(random.between(0, faultsEndMs - 1), strike)
  }

  #anyWorker(): SimulatedWorker | undefined {
    return this.#workers.size === 0 ? undefined : this.world.random.pick([...this.#workers.values()])
  }

  #crash(): void {
    const worker = this.#anyWorker()
    if (worker !== undefined) this.#kill(worker.process)
  }

  /** Often just longer than the lease: it goes on with what somebody else has by then. */
  #freeze(): void {
    const { random } = this.world
    this.#counts.pauses++
    const ms = random.chance(0.6) ? random.between(leaseMs, 1.3 * leaseMs) : random.between(10, 3 * leaseMs)
    this.#anyWorker()?.process.freeze(ms)
  }

  #refuse(): void {
    const { random } = this.world
    const service = random.pick(['broker', 'store'] as const)
    this.#counts.outages++
    this.world.tell(service, () => 'refuses')
    this.#cluster.down.add(service)
    this.world.after(random.between(10, 1.5 * leaseMs), () => this.#cluster.down.delete(service))
  }

  #stop(): void {
    const worker = this.#anyWorker()
    if (worker === undefined || worker.isStopping) return
    this.#counts.stops++
    const graceMs = this.world.random.between(0, 200)
    worker.process.do(() => void worker.stop(graceMs))
  }

  #jump(): void {
    this.#counts.jumps++
    this.world.wallJumpMs += this.world.random.between(-2000, 2000)
  }

  #calm(): void {
    this.#faults.active = false
    this.#cluster.down.clear()
    this.world.tell('faults', () => 'are over')
  }

  /** Sends until it is known to be accepted: an answer that was lost makes a second message of the same id. */
  async #publish(plan: TaskPlan): Promise<void> {
    const backend = this.#cluster.connect(this.#producer)
    const publication = this.#publication(plan)
    const { revokeAfterMs } = plan
    if (revokeAfterMs !== undefined) this.world.after(revokeAfterMs, () => this.#revoke(plan.id))
    for (let isAccepted = false; !isAccepted;) {
      const outcomes = await backend.publish([publication]).catch(() => [])
      isAccepted = outcomes[0]?.accepted === 'yes'
      if (!isAccepted) await new Promise<void>(resolve => void this.world.after(50, resolve))
    }
    this.#ledger.entry(plan.id).acknowledged = true
  }

  #publication({ id, name, etaAfterMs, expiresAfterMs }: TaskPlan): Publication {
    const { now, monotonic } = this.world.now()
    const due = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : now + ms)
    const [etaAt, expiresAt] = [due(etaAfterMs), due(expiresAfterMs)]
    const message = { id, task: name, retries: 0, rootId: id, etaAt, expiresAt, headers: {} }
    const record = { id, state: 'PENDING', retries: 0, delivery: 0, seq: Math.floor(monotonic * 1000), at: now }
    // half of the etas are the broker's to wait for, half the worker's
    const notBefore = this.world.random.chance(0.5) ? etaAt : undefined
    return { id, queue: queueName, message: encodeTask(message, '[[],{},{}]'), notBefore, record }
  }

  #revoke(id: string): void {
    this.world.tell('caller', () => `revokes ${id}`)
    this.#revoked.add(id)
    for (const worker of this.#workers.values()) worker.revoke(id)
  }
}

/** Plays histories side by side, so that they share the turns of the event loop: each step's promises settle before the next. */
export async function simulate(seeds: Iterable<number>, options: SimulateOptions = {}): Promise<History[]> {
  const waiting = seeds[Symbol.iterator]()
  const histories: History[] = []
  let playing: Simulation[] = []
  for (;;) {
    for (let next; playing.length < 100 && !(next = waiting.next()).done;)
      playing.push(new Simulation(next.value, options))
    if (playing.length === 0) return histories
    playing = playing.filter(each => each.step() || !histories.push(each.history()))
    await new Promise(resolve => setImmediate(resolve))
  }
}
