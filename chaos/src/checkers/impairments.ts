/** Which process was disturbed when: what may be the cause of a task's running twice. */
import type { EffectLine, FaultLine } from '../programs/history.ts'

/** Who was frozen knows no better for so long after it goes on. */
const afterThawMs = 2000
/** A disk that has room again: leases that could not be renewed meanwhile have ended. */
const afterOutageMs = 5000
/** A server that was killed or cut off is back, and its clients with it. */
const afterServerMs = 15_000

interface Span {
  readonly kind: 'gone' | 'frozen'
  readonly from: number
  readonly to: number
}

export class Impairments {
  readonly #spans = new Map<number, Span[]>()
  readonly #outages: Span[] = []

  constructor(faults: readonly FaultLine[]) {
    for (const fault of faults) this.#add(fault)
  }

  #add({ k, pid = 0, at }: FaultLine): void {
    const spans = this.#spans.get(pid) ?? []
    this.#spans.set(pid, spans)
    // the pid of one that is gone, given to another
    if (k === 'start') end(spans, 'gone', at)
    if (k === 'kill' || k === 'stop' || k === 'died') spans.push({ kind: 'gone', from: at, to: Infinity })
    if (k === 'freeze') spans.push({ kind: 'frozen', from: at, to: Infinity })
    if (k === 'thaw') end(spans, 'frozen', at + afterThawMs)
    if (k === 'server') this.#outages.push({ kind: 'frozen', from: at, to: at + afterServerMs })
    if (k === 'full') this.#outages.push({ kind: 'frozen', from: at, to: Infinity })
    if (k === 'free') end(this.#outages, 'frozen', at + afterOutageMs)
  }

  /** Whether a process was gone, or frozen, at some time between two instants, or nobody could write. */
  wasDisturbed(pid: number, from: number, to: number): boolean {
    return [...(this.#spans.get(pid) ?? []), ...this.#outages].some(span => span.from <= to && span.to >= from)
  }

  /** When a process goes on that froze between two instants, and knows it; -Infinity: it did not. */
  frozenUntil(pid: number, { from, to }: { readonly from: number; readonly to: number }): number {
    const spans = (this.#spans.get(pid) ?? []).filter(
      span => span.kind === 'frozen' && span.from >= from && span.from <= to,
    )
    return Math.max(-Infinity, ...spans.map(span => span.to))
  }

  /** The same, and whatever is gone does not count: the dead do nothing late. */
  wasFrozen(pid: number, from: number, to: number): boolean {
    const spans = [...(this.#spans.get(pid) ?? []), ...this.#outages]
    return spans.some(span => span.kind === 'frozen' && span.from <= to && span.to >= from)
  }
}

function end(spans: Span[], kind: Span['kind'], to: number): void {
  const index = spans.findLastIndex(span => span.kind === kind && span.to === Infinity)
  const span = spans[index]
  if (span !== undefined) spans[index] = { ...span, to }
}

/** Where a suspect ran alone, in a process whose parent is the worker, the worker stands for it. Pids come again: parents tell. */
export function ofWorkers(effects: readonly EffectLine[], faults: readonly FaultLine[]): EffectLine[] {
  const workers = new Set(faults.filter(({ role }) => role === 'worker').map(({ pid }) => pid))
  return effects.map(line => (workers.has(line.parent) ? { ...line, pid: line.parent } : line))
}
