/**
 * A task's state is a register that only rises: for each observer its version never falls, a ready state never changes,
 * and in the end all who saw one saw the same, byte for byte. Whoever asks for a task that anybody has seen is not told
 * that there is none, before it is old enough to be forgotten.
 */
import type { SeenLine } from '../programs/history.ts'
import { groupBy, type Histories, type Violation } from './histories.ts'

/** `resultExpiresMs`, which every run leaves at its default: what is ready for so long may be forgotten. */
const keptMs = 86_400_000

export interface MonotonicRegister {
  /** Of tasks that were there. */
  readonly observations: number
  /** Steps back, of any observer. */
  readonly regressed: number
  readonly violations: readonly Violation[]
}

export function checkMonotonicRegister({ seen, finals }: Pick<Histories, 'seen' | 'finals'>): MonotonicRegister {
  const [absences, sightings] = split(seen)
  const violations = vanished(absences, sightings)
  for (const lines of groupBy(sightings, ({ observer, id }) => `${observer} ${id}`).values()) {
    let last: SeenLine | undefined
    for (const line of lines) {
      const why = last === undefined ? undefined : whyBack(last, line)
      if (why !== undefined) violations.push({ rule: 'regressed', id: line.id, what: `${line.observer}: ${why}` })
      last = line
    }
    if (last?.ready !== true) continue
    const final = finals.get(last.id)
    const isSame = final?.state === last.state && (last.value === undefined || last.value === final.value)
    if (!isSame)
      violations.push({
        rule: 'disagreement',
        id: last.id,
        what: `${last.observer} saw ${show(last)}, the store has ${final?.state} ${final?.value ?? ''}`,
      })
  }
  const regressed = violations.filter(({ rule }) => rule === 'regressed').length
  return { observations: sightings.length, regressed, violations }
}

function split(seen: readonly SeenLine[]): [absences: SeenLine[], sightings: SeenLine[]] {
  const { absences = [], sightings = [] } = Object.groupBy(seen, ({ state }) =>
    state === 'ABSENT' ? 'absences' : 'sightings',
  )
  return [absences, sightings]
}

function vanished(absences: readonly SeenLine[], sightings: readonly SeenLine[]): Violation[] {
  const first = firstAt(sightings)
  const ready = firstAt(sightings.filter(line => line.ready))
  return absences.flatMap(({ observer, id, at }) => {
    const seenAt = first.get(id) ?? Infinity
    const mayBeForgotten = at >= (ready.get(id) ?? Infinity) + keptMs
    if (at <= seenAt || mayBeForgotten) return []
    return [{ rule: 'regressed', id, what: `${observer}: asked at ${at}, ABSENT, and it was seen at ${seenAt}` }]
  })
}

/** By id. */
function firstAt(lines: readonly SeenLine[]): Map<string, number> {
  const first = new Map<string, number>()
  for (const { id, at } of lines) first.set(id, Math.min(at, first.get(id) ?? Infinity))
  return first
}

function whyBack(before: SeenLine, after: SeenLine): string | undefined {
  if (before.ready) {
    const isSame = after.state === before.state && after.value === before.value
    return isSame ? undefined : `${show(before)} was ready and became ${show(after)}`
  }
  if (after.ready) return undefined
  const order = compare(before.version, after.version)
  if (order > 0) return `${show(before)} was followed by ${show(after)}`
  const isWhole = after.version.length === 4
  return isWhole && order === 0 && before.state !== after.state
    ? `one version, two states: ${show(before)} and ${show(after)}`
    : undefined
}

function compare(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((part, at) => part !== b[at])
  return index < 0 ? 0 : (a[index] ?? 0) - (b[index] ?? 0)
}

function show({ state, version, value }: SeenLine): string {
  return `${state} (${version.join('.')}${value === undefined ? '' : ` ${value}`})`
}
