/**
 * What may not run, or not again: a task whose end is stored, one that acknowledges early, one that was revoked or has
 * expired before it began, one that is not due; and no task a second time without a cause. Whoever was frozen cannot
 * know what happened meanwhile: what it does in its first moments is no violation, because its lease had ended.
 */
import type { EffectLine } from '../programs/history.ts'
import { groupBy, type Histories, type Violation } from './histories.ts'
import { Impairments } from './impairments.ts'

/** A revoke reaches the workers by a wake-up, and by the tick of those that miss it. */
const revokeMs = 500
/** Between the look at the clock and the task's own first line. */
const startMs = 100
/** Between the instant that an end is given and its COMMIT. */
const commitMs = 200
/** And until it has gone through an inbox and a relay, which has to read it back. */
const relayMs = 2000
/** A late result of one that was frozen is known to the others by then: they look when they are handed the task. */
const knownMs = 1000
/** What is suspected of its workers' deaths is looked up before a process of its own is started for it. */
const knownWhenAloneMs = 6000

interface Facts {
  readonly notBefore: ReadonlyMap<string, number>
  readonly expiresAt: ReadonlyMap<string, number>
  readonly revokedAt: ReadonlyMap<string, number>
  readonly finals: Histories['finals']
  readonly impairments: Impairments
}

export interface Once {
  /** Began after its end was stored, which a frozen worker could not know: allowed. */
  readonly excused: number
  readonly violations: readonly Violation[]
}

export function checkOnceRules(histories: Histories): Once {
  const facts = factsOf(histories)
  const ends = groupBy(
    histories.effects.filter(({ k }) => k === 'end'),
    ({ id }) => id,
  )
  const starts = histories.effects.filter(({ k }) => k === 'start').sort((a, b) => a.at - b.at)
  const violations: Violation[] = []
  const mayBeSentTwice = !histories.isAtomic
  const writeMs = histories.isAtomic ? commitMs : relayMs
  let excused = 0
  for (const [id, runs] of groupBy(starts, effect => effect.id)) {
    const add = (rule: string, what: string): number => violations.push({ rule, id, what })
    const someoneWasFrozen = runs.some(({ pid, at }) => facts.impairments.wasFrozen(pid, at, Infinity))
    for (const run of runs) {
      checkStart(run, facts, add)
      const end = { readyAt: facts.finals.get(id)?.readyAt, writeMs }
      const readyAt = writtenAt(end, ends.get(id) ?? [], facts.impairments)
      if (run.at <= readyAt) continue
      if (someoneWasFrozen && couldNotKnow(run, readyAt, facts.impairments)) excused++
      else add('ran after its end', `${describe(run)}, stored at ${readyAt}`)
    }
    if (runs[0]?.kind === 'early' && runs.length > 1) add('early twice', runs.map(describe).join('; '))
    for (const [before, after] of repeats(runs))
      if (!hasCause(before, after, facts.impairments) && !(mayBeSentTwice && wasSentTwice(before, runs, facts)))
        add('ran twice without a cause', `${describe(before)}; ${describe(after)}`)
  }
  return { excused, violations }
}

function factsOf({ producers, faults, finals }: Histories): Facts {
  const notBefore = new Map<string, number>()
  const expiresAt = new Map<string, number>()
  const revokedAt = new Map<string, number>()
  for (const line of producers) {
    if (line.k === 'try' && line.notBefore !== undefined) notBefore.set(line.id, line.notBefore)
    if (line.k === 'ok' && line.expiresAt !== undefined) expiresAt.set(line.id, line.expiresAt)
    if (line.k === 'revoked') revokedAt.set(line.id, line.at)
  }
  return { notBefore, expiresAt, revokedAt, finals, impairments: new Impairments(faults) }
}

function checkStart(run: EffectLine, facts: Facts, add: (rule: string, what: string) => number): void {
  const { id, pid, at, retries } = run
  const isLate = (limit: number | undefined, graceMs: number): boolean =>
    limit !== undefined && at > limit + graceMs && !facts.impairments.wasFrozen(pid, limit - graceMs, at)
  if (isLate(facts.revokedAt.get(id), revokeMs))
    add('started after its revoke', `${describe(run)}, revoked at ${facts.revokedAt.get(id)}`)
  if (isLate(facts.expiresAt.get(id), startMs))
    add('started after it expired', `${describe(run)}, expired at ${facts.expiresAt.get(id)}`)
  if (retries === 0 && at < (facts.notBefore.get(id) ?? 0))
    add('started before it was due', `${describe(run)}, due at ${facts.notBefore.get(id)}`)
}

/** A worker that was frozen when it had decided on the end wrote it when it went on. */
function writtenAt(
  { readyAt = Infinity, writeMs }: { readonly readyAt: number | undefined; readonly writeMs: number },
  ends: readonly EffectLine[],
  impairments: Impairments,
): number {
  const writer = ends.findLast(({ at }) => at <= readyAt)
  if (writer === undefined) return readyAt
  return Math.max(readyAt, impairments.frozenUntil(writer.pid, { from: writer.at, to: readyAt + writeMs }))
}

function couldNotKnow({ pid, parent, at }: EffectLine, readyAt: number, impairments: Impairments): boolean {
  const graceMs = pid === parent ? knownWhenAloneMs : knownMs
  return at <= readyAt + graceMs || impairments.wasFrozen(pid, readyAt, at)
}

/** The first one's worker was gone or frozen before the second began, or the second's was, when the first began. */
function hasCause(before: EffectLine, after: EffectLine, impairments: Impairments): boolean {
  return (
    impairments.wasDisturbed(before.pid, before.at, after.at) || impairments.wasFrozen(after.pid, before.at, after.at)
  )
}

/**
 * Whoever ran the attempt before may have sent this one and died before that was acknowledged: somebody sends it again.
 * What was sent twice may send its next one twice: of older attempts, until soon after the one that followed began.
 */
function wasSentTwice({ retries, at }: EffectLine, runs: readonly EffectLine[], { impairments }: Facts): boolean {
  return runs.some(run => {
    if (run.retries >= retries || run.at > at) return false
    const next = runs.find(other => other.retries === run.retries + 1)?.at ?? at
    const until = run.retries === retries - 1 ? at : Math.min(at, next + relayMs)
    return impairments.wasDisturbed(run.pid, run.at, until)
  })
}

/** Each run that is not the first of its attempt, with the one before it. */
function repeats(runs: readonly EffectLine[]): (readonly [EffectLine, EffectLine])[] {
  const attempts = [...groupBy(runs, ({ retries }) => String(retries)).values()]
  return attempts.flatMap(attempt => attempt.slice(1).map((run, index) => [attempt[index] ?? run, run] as const))
}

function describe({ kind, pid, retries, at }: EffectLine): string {
  return `${kind}, retries ${retries}, began at ${at} in ${pid}`
}
