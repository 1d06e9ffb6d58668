/**
 * How long after a worker's death, or freeze, what it was running began again elsewhere. Counted are the samples of a
 * fleet that was whole but for that worker: from a second before until the task began again, every other worker was
 * ready. The rest is set apart, since there a task waits for a free slot too; and so are tasks that had met a death
 * before: from the second on they run alone in a process of their own, whose start is not the queue's.
 */
import type { EffectLine, FaultKind, FaultLine } from './programs/history.ts'
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
  const absences = absencesOf(histories.faults)
  const samples: number[] = []
  const apart: number[] = []
  for (const [index, fault] of histories.faults.entries()) {
    if (fault.k !== kind || fault.role !== 'worker') continue
    // the one that was hit is meant to be away, and so is the one that is started in its place
    const own = [fault.pid, kind === 'kill' ? startedAfter(histories.faults, index) : undefined]
    const foreign = absences.filter(({ pid, to }) => to > fault.at - 1000 && (pid === undefined || !own.includes(pid)))
    for (const run of cutShort(byPid.get(String(fault.pid)) ?? [], fault.at)) {
      const runs = byId.get(run.id) ?? []
      const next = firstStart(runs, run, fault.at)
      if (next === undefined) continue
      const isDisturbed = foreign.some(({ from }) => from < next.at)
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

/** When a worker, or the disk, was not to be had; of no length: something happened. */
interface Absence {
  readonly pid: number | undefined
  readonly from: number
  to: number
}

const begins = new Set<FaultKind>(['start', 'freeze', 'stop', 'full'])
const ends = new Set<FaultKind>(['ready', 'thaw', 'exit', 'free', 'died', 'kill'])
const happens = new Set<FaultKind>(['died', 'kill', 'server'])

function absencesOf(faults: readonly FaultLine[]): readonly Absence[] {
  const open = new Map<number | undefined, Absence>()
  const absences: Absence[] = []
  for (const { k, pid, role, at } of faults) {
    if (role !== undefined && role !== 'worker') continue
    const begun = open.get(pid)
    if (begun !== undefined && ends.has(k)) {
      begun.to = at
      open.delete(pid)
    }
    if (happens.has(k)) absences.push({ pid, from: at, to: at })
    if (!begins.has(k)) continue
    const absence = { pid, from: at, to: Infinity }
    open.set(pid, absence)
    absences.push(absence)
  }
  return absences
}

function startedAfter(faults: readonly FaultLine[], index: number): number | undefined {
  return faults.slice(index, index + 100).find(({ k, role }) => k === 'start' && role === 'worker')?.pid
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
