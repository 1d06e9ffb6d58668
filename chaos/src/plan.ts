/** What is done when: an endless list of faults from a seed. Pure; whom it hits is chosen when the time has come. */
import type { Random } from './programs/random.ts'

export type FaultPlan =
  /** All rates are 0. */
  | { readonly kind: 'none' }
  | { readonly kind: 'kill worker' }
  /** As many workers as there are, at once. */
  | { readonly kind: 'kill all workers' }
  | { readonly kind: 'freeze worker'; readonly forMs: number }
  | { readonly kind: 'stop worker' }
  | { readonly kind: 'kill producer' }
  | { readonly kind: 'kill reader' }
  | { readonly kind: 'fill disk'; readonly forMs: number }
  | { readonly kind: 'server' }

export interface Rates {
  readonly killsPerMinute: number
  readonly freezesPerMinute: number
  readonly producerKillsPerMinute: number
  readonly fillsPerMinute: number
  readonly workers: number
  readonly leaseMs: number
  readonly canFill: boolean
  readonly hasServer: boolean
}

export interface Planned {
  readonly afterMs: number
  readonly fault: FaultPlan
}

/** The next fault, and how long after the one before: exponential, as things that happen by themselves. */
export function nextFault(random: Random, rates: Rates): Planned {
  const weights = weightsOf(rates)
  const perMinute = weights.reduce((sum, [, weight]) => sum + weight, 0)
  if (perMinute === 0) return { afterMs: 10_000, fault: { kind: 'none' } }
  const afterMs = Math.min(10_000, (-Math.log(1 - random.next()) * 60_000) / perMinute)
  let left = random.next() * perMinute
  const [kind] = weights.find(([, weight]) => (left -= weight) < 0) ?? ['kill worker']
  return { afterMs, fault: faultOf(kind, random, rates) }
}

function weightsOf(rates: Rates): [FaultPlan['kind'], number][] {
  const { killsPerMinute, workers } = rates
  // now and then all at once; as many fewer one by one
  const massacres = killsPerMinute > 0 ? 0.5 : 0
  return [
    ['kill worker', Math.max(0, killsPerMinute - massacres * workers)],
    ['kill all workers', massacres],
    ['freeze worker', rates.freezesPerMinute],
    ['stop worker', killsPerMinute / 15],
    ['kill producer', rates.producerKillsPerMinute],
    ['kill reader', killsPerMinute / 20],
    ['fill disk', rates.canFill ? rates.fillsPerMinute : 0],
    ['server', rates.hasServer && killsPerMinute > 0 ? 1 : 0],
  ]
}

function faultOf(kind: FaultPlan['kind'], random: Random, { leaseMs }: Rates): FaultPlan {
  if (kind === 'freeze worker') return { kind, forMs: leaseMs + random.between(300, 2000) }
  if (kind === 'fill disk') return { kind, forMs: random.between(500, 4000) }
  return { kind }
}
