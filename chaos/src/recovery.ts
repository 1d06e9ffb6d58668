/**
 * How long after a worker's death, or freeze, what it was running began again elsewhere. Samples during which another
 * worker was disturbed too are set apart, and so are tasks that had met a death before: from the second on they run
 * alone in a process of their own, whose start is not the queue's.
 */
import type { EffectLine, FaultLine } from './programs/history.ts'
import { groupBy, type Histories } from './checkers/histories.ts'

export interface Recovery {
  readonly count: number
  /** Milliseconds; undefined: no samples. */
  readonly p50: number | undefined
  readonly p99: number | undefined
  readonly max: number | undefined
  /** Began again, but counted apart; and the 99th percentile with these. */
  readonly setApart: number
  readonly p99OfAll: number | undefined
}

export function measureRecovery(histories: Histories, kind: 'kill' | 'freeze'): Recovery {
  const byPid = groupBy(histories.effects, ({ pid }) => String(pid))
  const byId = groupBy(histories.effects, ({ id }) => id)
  const disturbances = histories.faults.filter(isDisturbance)
  const samples: number[] = []
  const apart: number[] = []
  for (const fault of histories.faults) {
    if (fault.k !== kind || fault.role !== 'worker') continue
    for (const run of cutShort(byPid.get(String(fault.pid)) ?? [], fault.at)) {
      const runs = byId.get(run.id) ?? []
      const next = firstStart(runs, run, fault.at)
      if (next === undefined) continue
      const isDisturbed = disturbances.some(({ pid, at }) => pid !== fault.pid && at > fault.at - 1000 && at < next.at)
      const hadTrouble = runs.filter(({ k, at }) => k === 'start' && at <= fault.at).length > 1 + run.retries
      const list = isDisturbed || hadTrouble ? apart : samples
      list.push(next.at - fault.at)
    }
  }
  const sorted = samples.toSorted((a, b) => a - b)
  const all = [...samples, ...apart].toSorted((a, b) => a - b)
  return {
    count: samples.length,
    p50: at(sorted, 0.5),
    p99: at(sorted, 0.99),
    max: sorted.at(-1),
    setApart: apart.length,
    p99OfAll: at(all, 0.99),
  }
}

function isDisturbance({ k, role }: FaultLine): boolean {
  return k === 'full' || k === 'server' || (role === 'worker' && (k === 'kill' || k === 'freeze' || k === 'stop'))
}

/** What a worker had begun and not ended at an instant. */
function cutShort(effects: readonly EffectLine[], at: number): EffectLine[] {
  const open = new Map<string, EffectLine>()
  for (const effect of effects) {
    if (effect.at > at) continue
    const key = `${effect.id} ${effect.retries}`
    if (effect.k === 'start') open.set(key, effect)
    else open.delete(key)
  }
  return [...open.values()]
}

function firstStart(runs: readonly EffectLine[], cut: EffectLine, after: number): EffectLine | undefined {
  return runs
    .filter(({ k, pid, at, retries }) => k === 'start' && pid !== cut.pid && at >= after && retries === cut.retries)
    .reduce<EffectLine | undefined>((first, run) => (first === undefined || run.at < first.at ? run : first), undefined)
}

function at(sorted: readonly number[], quantile: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]
}
