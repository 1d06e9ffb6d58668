/** Carries out the plan until the time is over; then whatever was frozen or full is free again. */
import { setTimeout as wait } from 'node:timers/promises'
import type { RunningDriver } from './drivers/driver.ts'
import type { Fleet } from './fleet.ts'
import { nextFault, type FaultPlan, type Rates } from './plan.ts'
import type { Random } from './programs/random.ts'
import type { Settings } from './settings.ts'

export interface FaultMakerOptions {
  readonly settings: Settings
  readonly fleet: Fleet
  readonly running: RunningDriver
  readonly random: Random
  readonly say: (line: string) => void
}

/** How many kills may hit one that starts, or is frozen: more, and on a busy machine none would ever be ready. */
const otherwise = 0.15

export class FaultMaker {
  readonly #options: FaultMakerOptions
  readonly #rates: Rates
  /** Epoch ms: no fault begins after it. */
  #until = 0
  /** Thaws, disks to be freed, servers that come back. */
  readonly #pending = new Set<Promise<void>>()
  /** The last of them: one that is starting is not ended at once, which its start would take for a failure. */
  #server: Promise<void> = Promise.resolve()

  constructor(options: FaultMakerOptions) {
    this.#options = options
    const { settings, running } = options
    this.#rates = {
      ...settings,
      canFill: running.volume !== undefined,
      hasServer: (running.faults ?? []).length > 0,
    }
  }

  async run(): Promise<void> {
    const { settings, random } = this.#options
    this.#until = Date.now() + settings.minutes * 60_000
    const telling = setInterval(() => this.#tell(), 30_000)
    try {
      await wait(Math.min(1000, settings.minutes * 60_000))
      while (Date.now() < this.#until) {
        const { afterMs, fault } = nextFault(random, this.#rates)
        await wait(Math.min(afterMs, Math.max(0, this.#until - Date.now())))
        if (Date.now() < this.#until) this.#make(fault)
      }
    } finally {
      clearInterval(telling)
    }
    await Promise.all(this.#pending)
  }

  #make(fault: FaultPlan): void {
    const { fleet, random } = this.#options
    switch (fault.kind) {
      case 'none':
        return
      case 'kill worker':
        return this.#kill('worker')
      case 'kill all workers':
        return fleet.alive('worker').forEach(worker => fleet.kill(worker))
      case 'kill producer':
        return this.#kill('producer')
      case 'kill reader':
        return this.#kill('reader')
      case 'freeze worker':
        return this.#freeze(fault.forMs)
      case 'stop worker': {
        const worker = random.pick(fleet.ready('worker'))
        return worker === undefined ? undefined : fleet.stop(worker)
      }
      case 'fill disk':
        return this.#later(this.#fill(fault.forMs))
      case 'server':
        return this.#disturbServer()
      default:
        return fault satisfies never
    }
  }

  #kill(role: 'worker' | 'producer' | 'reader'): void {
    const { fleet, random } = this.#options
    const member = random.pick(random.next() < otherwise ? fleet.alive(role) : fleet.ready(role))
    if (member !== undefined) fleet.kill(member)
  }

  #freeze(forMs: number): void {
    const { fleet, random } = this.#options
    const worker = random.pick(fleet.ready('worker'))
    if (worker === undefined) return
    fleet.freeze(worker)
    this.#later(wait(forMs).then(() => fleet.thaw(worker)))
  }

  async #fill(forMs: number): Promise<void> {
    const { fleet, running } = this.#options
    fleet.note('full')
    running.volume?.fill()
    await wait(forMs)
    running.volume?.free()
    fleet.note('free')
  }

  /** After the one that is under way. */
  #disturbServer(): void {
    const { fleet, running, random } = this.#options
    const fault = random.pick(running.faults ?? [])
    if (fault === undefined) return
    this.#server = this.#server.then(async () => {
      if (Date.now() > this.#until) return
      fleet.note('server', { note: fault.name })
      await fault.run(random)
      fleet.note('server', { note: `${fault.name} is over` })
    })
    this.#later(this.#server)
  }

  #later(what: Promise<void>): void {
    const pending = what.then(() => void this.#pending.delete(pending))
    // one that failed stays, and fails the run at its end
    pending.catch(() => undefined)
    this.#pending.add(pending)
  }

  #tell(): void {
    const count = (k: string): number => this.#options.fleet.faults.filter(fault => fault.k === k).length
    const left = Math.max(0, Math.round((this.#until - Date.now()) / 1000))
    this.#options.say(`  ${count('kill')} kills, ${count('freeze')} freezes; ${left} s left`)
  }
}
