/**
 * The plan of a history, drawn from its seed: what is sent, who works, what goes wrong and when. Plain data with a name
 * for every part, so that a failing history can be played again with fewer of them.
 */
import { planTasks, type TaskPlan } from './tasks.ts'
import { Random } from './world.ts'

/** What may go wrong with any request, each at a rate of its own. */
export const noiseNames = [
  'lost request',
  'lost answer',
  'error before',
  'error after',
  'duplicate',
  'late request',
  'lost wake-up',
] as const
export type Noise = (typeof noiseNames)[number]

export const faultKinds = [
  'crash',
  'pause',
  'suspend',
  'stop',
  'clock jump',
  'clock skew',
  'cut from broker',
  'cut from store',
  'broker down',
  'store down',
  'broker slow',
  'store slow',
] as const
type FaultKind = (typeof faultKinds)[number]

export interface PlannedFault {
  readonly name: string
  readonly kind: FaultKind
  readonly atMs: number
  readonly forMs: number
  /** The machine it befalls: a worker's `w2`, a caller's `c1`, or the broker's. */
  readonly machine: string
  /** Strikes at that machine's first request from `atMs` on, not at `atMs`. */
  readonly trigger: 'time' | 'before request' | 'after request'
  /** By how much a clock changes. */
  readonly clockMs: number
}

export interface HistoryPlan {
  readonly seed: number
  /** Another one is another order of the same events. */
  readonly luck: number
  readonly hasFaults: boolean
  /** One step for record and disposition, as sqlite; else store and broker are two. */
  readonly isAtomic: boolean
  /** Whether the broker waits for an eta, else the workers do. */
  readonly brokerDelays: boolean
  readonly slots: number
  readonly workers: readonly string[]
  readonly callers: readonly string[]
  readonly observers: readonly string[]
  readonly tasks: readonly TaskPlan[]
  readonly faults: readonly PlannedFault[]
  readonly noise: Readonly<Record<Noise, number>>
  /** When all faults are over: what is left must drain. */
  readonly calmAtMs: number
}

export const leaseMs = 1000

export function planHistory(seed: number): HistoryPlan {
  const random = new Random(seed, 'plan')
  const hasFaults = random.chance(0.85)
  const isLong = hasFaults && random.chance(0.06)
  const workers = names('w', random.between(2, 3))
  const callers = names('c', random.between(1, 2))
  const calmAtMs = isLong ? 8000 : 2500
  return {
    seed,
    luck: 0,
    hasFaults,
    isAtomic: random.chance(0.5),
    brokerDelays: random.chance(0.7),
    slots: random.between(1, 3),
    workers,
    callers,
    observers: names('o', 2),
    tasks: planTasks(random, random.between(4, 14), hasFaults),
    faults: hasFaults ? planFaults(random, { workers, callers, calmAtMs }) : [],
    noise: planNoise(random, hasFaults),
    calmAtMs,
  }
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`)
}

function planNoise(random: Random, hasFaults: boolean): Record<Noise, number> {
  // every history has noises of its own: some none, some one that is loud
  const rate = (most: number): number => (hasFaults && random.chance(0.5) ? random.next() * most : 0)
  return {
    'lost request': rate(0.12),
    'lost answer': rate(0.12),
    'error before': rate(0.12),
    'error after': rate(0.12),
    duplicate: rate(0.2),
    'late request': rate(0.15),
    'lost wake-up': rate(0.8),
  }
}

const ofTheServers: readonly FaultKind[] = ['broker down', 'store down', 'broker slow', 'store slow']
const strikingAtRequests: readonly FaultKind[] = [
  'crash',
  'crash',
  'pause',
  'suspend',
  'stop',
  'clock jump',
  'clock skew',
  'cut from broker',
  'cut from store',
  'cut from store',
]

interface Surroundings {
  readonly workers: readonly string[]
  readonly callers: readonly string[]
  readonly calmAtMs: number
}

function planFaults(random: Random, { workers, callers, calmAtMs }: Surroundings): PlannedFault[] {
  return Array.from({ length: random.between(2, 12) }, (_, index) => {
    const kind = random.chance(0.2) ? random.pick(ofTheServers) : random.pick(strikingAtRequests)
    const isTimed = ofTheServers.includes(kind) || random.chance(0.4)
    const trigger = isTimed ? 'time' : random.pick(['before request', 'after request'] as const)
    const isBrokerClock = kind.startsWith('clock') && random.chance(0.25)
    const isServer = isBrokerClock || ofTheServers.includes(kind)
    const machine = isServer ? 'broker' : random.pick(kind !== 'stop' && random.chance(0.45) ? callers : workers)
    const atMs = random.between(0, Math.min(calmAtMs - 500, 2000))
    return {
      name: `f${index + 1}`,
      kind,
      atMs,
      forMs: lengthOf(kind, random, calmAtMs),
      machine,
      trigger: machine === 'broker' ? 'time' : trigger,
      clockMs: kind === 'clock jump' ? random.pick([-3_600_000, 3_600_000]) : random.between(-600_000, 600_000),
    }
  })
}

/** Pauses are often just longer than the lease: it goes on with what somebody else has by then. */
function lengthOf(kind: FaultKind, random: Random, calmAtMs: number): number {
  if (kind === 'pause' || kind === 'suspend')
    return random.chance(0.6) ? random.between(leaseMs, 1.3 * leaseMs) : random.between(10, 3 * leaseMs)
  if (kind === 'stop') return random.between(0, 200)
  if (kind === 'store down' || kind === 'broker down')
    return calmAtMs > 2500 && random.chance(0.5) ? 6000 : random.between(10, 1.5 * leaseMs)
  return random.between(10, 2 * leaseMs)
}

/** Names of all that can be left out of a history. */
export function partsOf(plan: HistoryPlan): string[] {
  return [
    ...plan.faults.map(({ name }) => name),
    ...plan.tasks.map(({ id }) => id),
    ...noiseNames.filter(name => plan.noise[name] > 0).map(partOfNoise),
    ...plan.workers,
    ...plan.callers,
    ...plan.observers,
  ]
}

/** The same history with these parts only. Without a worker or a caller the first one stays. */
export function keepOnly(plan: HistoryPlan, parts: ReadonlySet<string>, luck = 0): HistoryPlan {
  const kept = (list: readonly string[]): readonly string[] => {
    const some = list.filter(name => parts.has(name))
    return some.length === 0 ? list.slice(0, 1) : some
  }
  return {
    ...plan,
    luck,
    faults: plan.faults.filter(({ name }) => parts.has(name)),
    tasks: plan.tasks.filter(({ id }) => parts.has(id)),
    noise: Object.fromEntries(
      noiseNames.map(name => [name, parts.has(partOfNoise(name)) ? plan.noise[name] : 0]),
    ) as Record<Noise, number>,
    workers: kept(plan.workers),
    callers: kept(plan.callers),
    observers: plan.observers.filter(name => parts.has(name)),
  }
}

/** `lost-answer`: one word, for the command line. */
export function partOfNoise(name: Noise): string {
  return name.replace(' ', '-')
}
