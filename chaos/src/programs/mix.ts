/** Which tasks a producer sends, how often, and how. */
import type { ApplyOptions } from 'lovage'
import type { Random } from './random.ts'
import type { Kind } from './history.ts'

/** How often each kind is sent, relative to the others. */
export type Mix = Readonly<Partial<Record<Kind, number>>>

export const usualMix: Mix = {
  quick: 40,
  nap: 20,
  steps: 5,
  flaky: 6,
  delayed: 8,
  early: 4,
  doomed: 4,
  expiring: 4,
  long: 2,
  broken: 2,
}

export interface Call {
  readonly args: readonly unknown[]
  readonly options: ApplyOptions
}

export function chooseKind(random: Random, mix: Mix): Kind {
  const entries = Object.entries(mix) as [Kind, number][]
  let left = random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [kind, weight] of entries) {
    left -= weight
    if (left < 0) return kind
  }
  return 'quick'
}

export function callOf(kind: Kind, random: Random): Call {
  switch (kind) {
    case 'nap':
      return { args: [random.between(2, 120)], options: {} }
    case 'early':
      return { args: [random.between(20, 400)], options: {} }
    case 'steps':
      return { args: [random.between(4, 20)], options: {} }
    case 'long':
      return { args: [random.between(8, 20)], options: {} }
    case 'flaky':
      return { args: [random.between(1, 3)], options: {} }
    case 'delayed':
      return { args: [], options: { countdownMs: random.between(100, 3000) } }
    case 'doomed':
      return { args: [], options: { countdownMs: random.between(1500, 3000) } }
    case 'expiring':
      return { args: [], options: expiry(random) }
    case 'quick':
    case 'broken':
      return { args: [], options: {} }
    default:
      return kind satisfies never
  }
}

/** Half of them expire before they are due; of the others some may start in time. */
function expiry(random: Random): ApplyOptions {
  if (random.next() < 0.5) return { countdownMs: random.between(1100, 2000), expiresInMs: random.between(100, 1000) }
  return { expiresInMs: random.between(1, 60) }
}
