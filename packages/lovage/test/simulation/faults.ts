/** Carries out the faults of a plan: at their time, or at the next request of the machine they befall. */
import type { Coverage, FaultName } from './coverage.ts'
import type { Network, Server } from './network.ts'
import type { HistoryPlan, PlannedFault } from './plan.ts'
import type { Machine, Process } from './process.ts'
import type { World } from './world.ts'

/** What runs on a machine now; undefined: nothing, it is being started. */
export interface Target {
  readonly process: Process
  /** The tasks it has in hand. */
  tasks(): readonly string[]
  kill(): void
  /** A graceful stop, if it knows one. */
  stop(graceMs: number): void
}

export interface FaultsOptions {
  readonly world: World
  readonly plan: HistoryPlan
  readonly network: Network
  readonly coverage: Coverage
  /** By name, the broker's too. */
  readonly machines: ReadonlyMap<string, Machine>
  readonly targetOn: (machine: string) => Target | undefined
}

/** Once it is calm again, clocks that were moved agree on a time so much later: all that waited is due. */
const calmWallOffsetMs = 3 * 3_600_000
/** The longest pause between two tries of a write. */
const lateWritesMs = 8000

export class Faults {
  readonly counts: Record<string, number> = {}
  readonly #options: FaultsOptions
  /** Waiting for a request. */
  #armed: PlannedFault[] = []
  #isOver = false
  #movedClocks = false

  constructor(options: FaultsOptions) {
    this.#options = options
    for (const fault of options.plan.faults)
      options.world.after(fault.atMs, () => {
        if (fault.trigger === 'time') this.#strike(fault)
        else this.#armed.push(fault)
      })
    options.world.after(options.plan.calmAtMs, () => this.#calm())
  }

  /** Whether a wall clock was ever moved in this history. */
  get movedClocks(): boolean {
    return this.#movedClocks
  }

  onRequest(process: Process, moment: 'before request' | 'after request'): void {
    const isMeant = (fault: PlannedFault): boolean => fault.machine === process.machine.name && fault.trigger === moment
    const meant = this.#armed.filter(isMeant)
    this.#armed = this.#armed.filter(fault => !isMeant(fault))
    for (const fault of meant) this.#strike(fault)
  }

  #strike(fault: PlannedFault): void {
    if (this.#isOver) return
    const { kind } = fault
    switch (kind) {
      case 'crash':
      case 'pause':
      case 'suspend':
      case 'stop':
        return this.#strikeProcess(fault)
      case 'clock jump':
      case 'clock skew':
        return this.#moveClock(fault)
      case 'cut from broker':
        return this.#cut(fault, 'broker')
      case 'cut from store':
        return this.#cut(fault, 'store')
      case 'broker down':
      case 'store down':
      case 'broker slow':
      case 'store slow':
        return this.#trouble(fault)
      default:
        return kind satisfies never
    }
  }

  #strikeProcess({ kind, machine, forMs }: PlannedFault): void {
    const target = this.#options.targetOn(machine)
    if (target === undefined || target.process.state !== 'living') return
    this.#mark(kind, target.tasks())
    if (kind === 'crash') target.kill()
    else if (kind === 'stop') target.stop(forMs)
    else target.process.freeze(forMs, kind === 'suspend')
  }

  #moveClock({ kind, machine: name, clockMs, forMs }: PlannedFault): void {
    const machine = this.#options.machines.get(name)
    if (machine === undefined) return
    this.#mark(kind, name === 'broker' ? this.#all() : (this.#options.targetOn(name)?.tasks() ?? []))
    this.#options.world.tell(name, () => `has its clock moved by ${clockMs} ms`)
    this.#movedClocks = true
    machine.wallOffsetMs += clockMs
    if (kind === 'clock jump')
      this.#options.world.after(forMs, () => (machine.wallOffsetMs -= this.#isOver ? 0 : clockMs))
  }

  #cut({ kind, machine, forMs }: PlannedFault, server: Server): void {
    const { plan, network, world } = this.#options
    const target = this.#options.targetOn(machine)
    if (target === undefined || (server === 'store' && plan.isAtomic)) return
    const { process } = target
    this.#mark(kind, target.tasks())
    world.tell(process.name, () => `is cut from the ${server} for ${forMs} ms`)
    network.cut(process, server)
    world.after(forMs, () => network.heal(process, server))
  }

  #trouble({ kind, forMs }: PlannedFault): void {
    const { plan, network, world } = this.#options
    const server = kind.startsWith('store') ? 'store' : 'broker'
    if (server === 'store' && plan.isAtomic) return
    this.#mark(kind, this.#all())
    world.tell(server, () => `is ${kind.endsWith('down') ? 'down' : 'slow'} for ${forMs} ms`)
    if (kind.endsWith('down')) {
      network.down.add(server)
      world.after(forMs, () => network.down.delete(server))
    } else {
      network.slowMs.set(server, 400)
      world.after(forMs, () => network.slowMs.delete(server))
    }
  }

  #calm(): void {
    const { network, world, machines } = this.#options
    this.#isOver = true
    this.#armed = []
    network.calm()
    if (this.#movedClocks) {
      const moveAll = (): void => machines.forEach(machine => (machine.wallOffsetMs += calmWallOffsetMs))
      for (const machine of machines.values()) machine.wallOffsetMs = 0
      moveAll()
      // a delay that was reckoned before, and written after
      world.after(lateWritesMs, moveAll)
    }
    world.tell('faults', () => 'are over')
  }

  #all(): readonly string[] {
    return this.#options.plan.tasks.map(({ id }) => id)
  }

  #mark(fault: FaultName, tasks: readonly string[]): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
    for (const id of tasks) this.#options.coverage.strike(fault, id)
  }
}
