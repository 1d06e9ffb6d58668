/**
 * Histories of workers, callers, observers, a broker, a store and coordination under faults, judged by invariants.ts.
 * What runs is what ships: app, executor, decisions, the order of a settlement, the memory driver's machines. A seed is
 * a history: the same seed gives the same one, step by step.
 */
import type { Breakage } from './breakages.ts'
import { Caller } from './caller.ts'
import { Cluster } from './cluster.ts'
import { Coverage } from './coverage.ts'
import { Faults, type Target } from './faults.ts'
import type { Violation } from './invariants.ts'
import { Ledger } from './ledger.ts'
import { Network, type NetworkOptions } from './network.ts'
import { startFollower, startReader } from './observer.ts'
import type { HistoryPlan } from './plan.ts'
import { Process, wallTime, type Machine } from './process.ts'
import type { TaskPlan } from './tasks.ts'
import { SimulatedWorker, type WorkerSetup } from './worker.ts'
import { World } from './world.ts'

export interface SimulateOptions {
  readonly breakage?: Breakage | undefined
  readonly tells?: boolean | undefined
}

export interface History {
  readonly plan: HistoryPlan
  readonly violation: Violation | undefined
  readonly counts: Readonly<Record<string, number>>
  readonly coverage: Coverage
  readonly story: readonly string[]
}

/** Lease, poll, the longest wait of `#insist` (5 s) twice, grace and back-off of retries. */
const drainMs = 20_000
/** An unknown name is delivered six times, 1 + 2 + 4 + 8 + 16 seconds apart. */
const unknownNameMs = 35_000
/** After a jump of the wall clock a waiting task is late by a minute at most. */
const jumpMs = 60_000
/** Time for what follows from the last result: a worker that idles puts its timers away. */
const settleDownMs = 100
const lastGraceMs = 2000
/** Seeds of different lucks do not meet. */
const luckStep = 10_000_019
const restartAfterMs = { least: 20, most: 300 }

class Simulation {
  readonly world: World
  readonly #plan: HistoryPlan
  readonly #breakage: Breakage | undefined
  readonly #machines = new Map<string, Machine>()
  readonly #ledger: Ledger
  readonly #coverage: Coverage
  readonly #network: Network
  readonly #cluster: Cluster
  readonly #faults: Faults
  readonly #workers = new Map<string, SimulatedWorker>()
  readonly #callers = new Map<string, Caller>()
  readonly #counts = { lives: 0 }
  /** running → settling down (all has drained) → closing (workers stop) → over */
  #phase: 'running' | 'settling' | 'closing' | 'over' = 'running'
  #deadline: number

  constructor(drawn: HistoryPlan, { breakage, tells = false }: SimulateOptions = {}) {
    const plan = breakage === 'ack-before-store' ? { ...drawn, isAtomic: false } : drawn
    const world = new World(plan.seed + plan.luck * luckStep, tells)
    const machine = this.#machine('broker')
    this.world = world
    this.#plan = plan
    this.#breakage = breakage
    this.#ledger = this.#createLedger(machine)
    this.#coverage = new Coverage(this.#ledger)
    const parts = { world, plan, ledger: this.#ledger, coverage: this.#coverage }
    const onRequest: NetworkOptions['onRequest'] = (process, moment) => this.#faults.onRequest(process, moment)
    this.#network = new Network({ ...parts, onRequest })
    const network = this.#network
    this.#cluster = new Cluster({ ...parts, network, machine, breakage })
    const targetOn = (name: string): Target | undefined => this.#targetOn(name)
    this.#faults = new Faults({ ...parts, network, machines: this.#machines, targetOn })
    this.#deadline = plan.calmAtMs + drainMs + (this.#ledger.entries.has('unknown') ? unknownNameMs : 0)
    this.#startAll()
  }

  /** One step of the history; false: it is over. */
  step(): boolean {
    try {
      this.#advance()
      if (this.#phase !== 'over' && this.#ledger.violation === undefined && this.world.step()) {
        this.#ledger.balance(this.#cluster.size)
        return true
      }
    } catch (error) {
      // a call that cannot be answered; the ledger knows why, or it is a fault of what runs here
      if (this.#ledger.violation === undefined) throw error
    }
    this.#ledger.ended(this.#cluster.parked, this.#plan.hasFaults)
    return false
  }

  history(): History {
    const { world } = this
    const counts = {
      steps: world.steps,
      tasks: this.#plan.tasks.length,
      ...this.#counts,
      ...this.#faults.counts,
      ...this.#cluster.counts,
      parked: this.#cluster.parked.length,
    }
    return {
      plan: this.#plan,
      violation: this.#ledger.violation,
      counts,
      coverage: this.#coverage,
      story: world.story ?? [],
    }
  }

  /** Once all has drained, workers put away what they used, then stop: nothing may stay behind. */
  #advance(): void {
    const { nowMs } = this.world
    if (this.#phase === 'over' || nowMs < this.#plan.calmAtMs) return
    const extraMs = this.#faults.movedClocks ? jumpMs : 0
    if (nowMs > this.#deadline + extraMs) this.#endLate()
    else if (this.#phase === 'running' && this.#ledger.drained && this.#areIdle()) {
      this.#phase = 'settling'
      this.world.after(settleDownMs, () => this.#close())
    } else if (this.#phase === 'closing' && this.#workers.size === 0) this.#phase = 'over'
  }

  #endLate(): void {
    this.#phase = 'over'
    const busy = [...this.#callers.values()].filter(({ isDone }) => !isDone).map(({ process }) => process.name)
    const detail = busy.length === 0 ? 'the workers never came to rest' : `${busy.join()} still calls`
    this.#ledger.judge('14 all drains after the faults', this.#ledger.drained ? detail : undefined)
  }

  #areIdle(): boolean {
    const areCallersDone = [...this.#callers.values()].every(({ isDone }) => isDone)
    return (
      this.#network.stragglers === 0 &&
      areCallersDone &&
      [...this.#workers.values()].every(worker => worker.isIdle && worker.process.state === 'living')
    )
  }

  #close(): void {
    const isStill = this.#ledger.drained && this.#areIdle()
    this.#phase = isStill ? 'closing' : 'running'
    if (!isStill) return
    this.#deadline = this.world.nowMs + 2 * lastGraceMs
    this.#plan.observers.filter(isFollower).forEach(name => this.#ledger.followedAll(name))
    for (const caller of this.#callers.values()) this.#ledger.judge('13 nothing stays behind', caller.leftovers())
    for (const worker of this.#workers.values()) {
      this.#ledger.judge('13 nothing stays behind', worker.leftovers())
      worker.process.do(() => void worker.stop(lastGraceMs))
    }
  }

  #createLedger(machine: Machine): Ledger {
    const { world } = this
    return new Ledger({
      plans: this.#plan.tasks,
      now: () => world.nowMs,
      brokerWall: () => wallTime(world, machine),
      clocksAgree: () => !this.#faults.movedClocks,
    })
  }

  #startAll(): void {
    const { workers, callers, observers, tasks } = this.#plan
    for (const name of workers) this.#startWorker(name)
    for (const name of callers) this.#startCaller(name)
    for (const name of observers) this.#startObserver(name)
    tasks.forEach((task, index) => this.#scheduleTask(task, index))
  }

  #machine(name: string): Machine {
    const known = this.#machines.get(name)
    if (known !== undefined) return known
    const machine = { name, wallOffsetMs: 0, asleepMs: 0 }
    this.#machines.set(name, machine)
    return machine
  }

  #process(machine: string, name = machine): Process {
    return new Process(this.world, name, this.#machine(machine))
  }

  get #wiring(): Omit<WorkerSetup, 'onEnd'> {
    return {
      world: this.world,
      ledger: this.#ledger,
      network: this.#network,
      cluster: this.#cluster,
      plan: this.#plan,
      breakage: this.#breakage,
    }
  }

  #startWorker(machine: string): void {
    this.#counts.lives++
    const process = this.#process(machine, `${machine}.${this.#counts.lives}`)
    const onEnd = (ended: Process, isKilled: boolean): void => this.#endWorker(ended, isKilled)
    this.#workers.set(machine, new SimulatedWorker({ ...this.#wiring, onEnd }, process))
  }

  #startCaller(name: string): void {
    this.#callers.set(name, new Caller({ ...this.#wiring, coverage: this.#coverage }, this.#process(name)))
  }

  #startObserver(name: string): void {
    const start = isFollower(name) ? startFollower : startReader
    start(this.#wiring, this.#process(name))
  }

  /** It dies, or leaves for good; a supervisor starts another. */
  #endWorker(process: Process, isKilled: boolean): void {
    const worker = this.#workers.get(process.machine.name)
    if (worker?.process !== process || process.state === 'dead') return
    this.world.tell(process.name, () => (isKilled ? 'is killed' : 'ends'))
    worker.cutRuns()
    process.kill()
    this.#cluster.disconnect(process)
    this.#workers.delete(process.machine.name)
    if (this.#phase === 'closing') return
    const { random } = process
    const { least, most } = restartAfterMs
    this.world.after(random.between(least, most), () => {
      if (this.#phase === 'running' || this.#phase === 'settling') this.#startWorker(process.machine.name)
    })
    if (isKilled && random.chance(0.5))
      this.world.after(random.between(0, 20), () => this.#cluster.sawDie(process.name))
  }

  #targetOn(machine: string): Target | undefined {
    const worker = this.#workers.get(machine)
    if (worker !== undefined) {
      const { process } = worker
      return {
        process,
        tasks: () => this.#ledger.heldBy(process),
        kill: () => this.#endWorker(process, true),
        stop: graceMs => process.do(() => void worker.stop(graceMs)),
      }
    }
    const caller = this.#callers.get(machine)
    if (caller === undefined) return undefined
    return {
      process: caller.process,
      tasks: () => [...new Set([...caller.calls].map(({ id }) => id))],
      kill: () => this.#killCaller(caller),
      stop: () => undefined,
    }
  }

  /** Its calls are never repeated: they were accepted, or they were not. */
  #killCaller({ process }: Caller): void {
    this.world.tell(process.name, () => 'is killed')
    process.kill()
    this.#cluster.disconnect(process)
  }

  /** Its calls come from different callers, if there are several. A caller that has died calls no more. */
  #scheduleTask(task: TaskPlan, index: number): void {
    const { publishAfterMs, repeatAfterMs, twinAfterMs, revoke, id } = task
    const callers = [...this.#callers.values()]
    const at = (afterMs: number | undefined, nth: number, call: (caller: Caller) => void): void => {
      const caller = callers[(index + nth) % callers.length]
      if (afterMs !== undefined && caller !== undefined) this.world.after(publishAfterMs + afterMs, () => call(caller))
    }
    at(0, 0, caller => caller.send(task))
    at(repeatAfterMs, 1, caller => caller.sendAgain(task))
    at(twinAfterMs, 1, caller => caller.send(task, true))
    at(revoke?.afterMs, 1, caller => caller.revoke(id, revoke?.terminate === true))
  }
}

/** The others read. */
function isFollower(observer: string): boolean {
  return observer === 'o2'
}

/** Plays histories side by side, so that they share the turns of the event loop: each step's promises settle before the next. */
export async function playAll(
  plans: Iterable<HistoryPlan>,
  options: SimulateOptions,
  onEnd: (history: History) => void,
): Promise<void> {
  const waiting = plans[Symbol.iterator]()
  let playing: Simulation[] = []
  for (;;) {
    for (let next; playing.length < 100 && !(next = waiting.next()).done;)
      playing.push(new Simulation(next.value, options))
    if (playing.length === 0) return
    playing = playing.filter(each => each.step() || onEnd(each.history()))
    await new Promise(resolve => setImmediate(resolve))
  }
}
