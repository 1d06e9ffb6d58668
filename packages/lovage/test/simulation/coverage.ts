/**
 * What the histories have tried: in which state a task was when a fault struck. Every pair that can exist must come up
 * often enough; those that cannot are listed with the reason.
 */
import type { Ledger } from './ledger.ts'
import { faultKinds, noiseNames } from './plan.ts'

const taskStates = [
  'absent',
  'queued',
  'delayed',
  'waiting in worker',
  'running',
  'STARTED',
  'PROGRESS',
  'RETRY waiting',
  'settling',
  'final, not acked',
  'final',
  'orphaned',
] as const
export type TaskState = (typeof taskStates)[number]

/** What the callers do at a bad moment is a fault as well. */
const faultNames = [...faultKinds, ...noiseNames, 'revoke', 'sent again'] as const
export type FaultName = (typeof faultNames)[number]

/** Each pair must come up so often in 20,000 histories. */
const enough = 100
const enoughHistories = 20_000

/** Of one history, or of many. */
export class Coverage {
  readonly counts: Map<string, number> = new Map()
  readonly #ledger: Pick<Ledger, 'stateOf'> | undefined

  constructor(ledger?: Pick<Ledger, 'stateOf'>) {
    this.#ledger = ledger
  }

  strike(fault: FaultName, id: string): void {
    const state = this.#ledger?.stateOf(id)
    if (state !== undefined) this.#add(`${fault}|${state}`, 1)
  }

  merge(other: Coverage): void {
    for (const [pair, count] of other.counts) this.#add(pair, count)
  }

  count(fault: FaultName, state: TaskState): number {
    return this.counts.get(`${fault}|${state}`) ?? 0
  }

  /** Pairs that can exist and came up too seldom for so many histories. */
  short(histories: number): string[] {
    const least = (enough * histories) / enoughHistories
    return pairs()
      .filter(([fault, state]) => impossible(fault, state) === undefined && this.count(fault, state) < least)
      .map(([fault, state]) => `${fault} × ${state}: ${this.count(fault, state)}`)
  }

  /** Faults and states that never came up. */
  unmet(): string[] {
    const faults = faultNames.filter(fault => taskStates.every(state => this.count(fault, state) === 0))
    const states = taskStates.filter(state => faultNames.every(fault => this.count(fault, state) === 0))
    return [...faults, ...states]
  }

  /** A row for each fault, a column for each state; what cannot be is a dash. */
  table(): string {
    const cell = (fault: FaultName, state: TaskState): string =>
      impossible(fault, state) === undefined ? String(this.count(fault, state)) : '–'
    const widths = taskStates.map(state => Math.max(state.length, 7))
    const line = (head: string, cells: readonly string[]): string =>
      [head.padEnd(16), ...cells.map((text, index) => text.padStart(widths[index] ?? 0))].join('  ')
    return [
      line('', taskStates),
      ...faultNames.map(fault =>
        line(
          fault,
          taskStates.map(state => cell(fault, state)),
        ),
      ),
      '',
      '– cannot be:',
      ...reasons().map(([reason, faults]) => `  ${faults.join(', ')}: ${reason}`),
    ].join('\n')
  }

  #add(pair: string, count: number): void {
    this.counts.set(pair, (this.counts.get(pair) ?? 0) + count)
  }
}

function pairs(): [FaultName, TaskState][] {
  return faultNames.flatMap(fault => taskStates.map((state): [FaultName, TaskState] => [fault, state]))
}

/** Each reason, with the faults it is given for. */
function reasons(): [string, FaultName[]][] {
  const all = new Map<string, Set<FaultName>>()
  for (const [fault, state] of pairs()) {
    const reason = impossible(fault, state)
    if (reason !== undefined) all.set(reason, (all.get(reason) ?? new Set()).add(fault))
  }
  return [...all].map(([reason, faults]) => [reason, [...faults]])
}

/** Faults of one process: they befall the tasks it has in hand, as their worker or as their caller. */
const ofAProcess: ReadonlySet<FaultName> = new Set([
  'crash',
  'pause',
  'suspend',
  'stop',
  'cut from broker',
  'cut from store',
])
const nobodys: ReadonlySet<TaskState> = new Set(['absent', 'queued', 'delayed', 'RETRY waiting', 'final'])

/** Why a pair cannot exist; undefined: it can. */
function impossible(fault: FaultName, state: TaskState): string | undefined {
  if (fault === 'lost wake-up' && state !== 'queued' && state !== 'RETRY waiting')
    return 'a wake-up tells of messages that are ready'
  if (fault === 'sent again' && state === 'absent') return 'it is the first call, then'
  if (ofAProcess.has(fault) && state === 'orphaned') return 'the process that has it is dead already'
  if (fault === 'stop' && nobodys.has(state)) return 'no worker has it; a caller that stops has nothing to give back'
  return undefined
}
