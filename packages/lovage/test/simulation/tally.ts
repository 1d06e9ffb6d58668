/** What many histories come to: sums, coverage, and those that failed. */
import { Coverage } from './coverage.ts'
import { keepOnly, planHistory, type HistoryPlan } from './plan.ts'
import { playAll, type History, type SimulateOptions } from './simulator.ts'

export class Tally {
  readonly coverage: Coverage = new Coverage()
  readonly sums: Map<string, number> = new Map([['histories', 0]])
  /** By seed. */
  readonly failed: History[] = []

  get histories(): number {
    return this.sums.get('histories') ?? 0
  }

  add(history: History): void {
    this.coverage.merge(history.coverage)
    for (const [name, value] of Object.entries({ histories: 1, ...history.counts }))
      this.sums.set(name, (this.sums.get(name) ?? 0) + value)
    if (history.violation !== undefined) this.failed.push(history)
  }

  /** One line for each that failed. */
  violations(): string[] {
    return this.failed.map(({ plan, violation }) => `seed ${plan.seed}: ${violation?.invariant}: ${violation?.detail}`)
  }
}

export interface TallyOptions extends SimulateOptions {
  /** The parts of the histories that are played; all, when absent. */
  readonly only?: ReadonlySet<string> | undefined
  readonly luck?: number | undefined
}

/** Plays the histories of these seeds. @param onEnd is given each as it ends. */
export async function tally(
  seeds: Iterable<number>,
  options: TallyOptions = {},
  onEnd?: (history: History) => void,
): Promise<Tally> {
  const result = new Tally()
  await playAll(plansOf(seeds, options), options, history => {
    result.add(history)
    onEnd?.(history)
  })
  result.failed.sort((a, b) => a.plan.seed - b.plan.seed)
  return result
}

function* plansOf(seeds: Iterable<number>, { only, luck }: TallyOptions): Iterable<HistoryPlan> {
  for (const seed of seeds) yield only === undefined ? planHistory(seed) : keepOnly(planHistory(seed), only, luck)
}
