/** Snapshots as the command line shows them; whatever came in messages cannot steer the terminal. */
import { formatDuration } from '../core/duration.ts'
import { printable, printableLine } from '../core/printable.ts'
import type { Progress, Snapshot, TaskError } from '../app/types.ts'
import type { Style } from './terminal.ts'

/** One line: the state and what goes with it. `SUCCESS {"current":5,"total":5}`, `PROGRESS 1/5`. */
export function describeSnapshot(snapshot: Snapshot, width?: number): string {
  return printableLine(`${snapshot.state} ${detailOf(snapshot)}`.trimEnd(), width)
}

function detailOf(snapshot: Snapshot): string {
  if (snapshot.ready && snapshot.state === 'SUCCESS') return showJson(snapshot.result)
  if (snapshot.state === 'RETRY') return retryDetail(snapshot)
  if (snapshot.error !== undefined) return errorDetail(snapshot.error)
  if (snapshot.state === 'PROGRESS') return progressDetail(snapshot.progress ?? { current: 0 })
  const isOurs = ['PENDING', 'RECEIVED', 'STARTED'].includes(snapshot.state)
  return isOurs || snapshot.meta === undefined ? '' : showJson(snapshot.meta)
}

function errorDetail({ type, message, note }: TaskError): string {
  return `${type}: ${message}${note === undefined ? '' : ` (${note})`}`
}

function retryDetail({ error, ...rest }: Snapshot): string {
  const retryAt = 'retryAt' in rest && rest.retryAt instanceof Date ? rest.retryAt.getTime() : Date.now()
  return `in ${formatDuration(Math.max(0, retryAt - Date.now()))}: ${error?.type ?? 'Error'}: ${error?.message ?? ''}`
}

/** `3/10 rows reading the file`, `3` where the total is unknown. */
export function progressDetail({ current, total, unit, phase, message }: Progress): string {
  const amount = total === undefined ? String(current) : `${current}/${total}`
  return [amount, unit, phase, message].filter(part => part !== undefined && part !== '').join(' ')
}

/** JSON, with the bigints that a result may hold. */
export function showJson(value: unknown, indent?: number): string {
  return printable(
    JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? item.toString() : item), indent) ?? 'null',
  )
}

const stateStyles: Readonly<Record<string, Style>> = {
  SUCCESS: 'green',
  FAILURE: 'red',
  REVOKED: 'yellow',
  RETRY: 'yellow',
  PENDING: 'dim',
}

export function stateStyle(state: string): Style {
  return stateStyles[state] ?? 'cyan'
}

/** A snapshot for programs. */
export function snapshotJson(snapshot: Snapshot): string {
  return showJson(snapshot)
}
