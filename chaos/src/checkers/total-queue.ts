/**
 * The total queue, after Jepsen: whatever was acknowledged comes out, and nothing comes out that was not put in. To come
 * out is to end in a final state that is true: SUCCESS of work that was done, or an end that says why there is none.
 */
import type { Kind, ProducerLine } from '../programs/history.ts'
import { groupBy, type FinalState, type Histories, type Violation } from './histories.ts'
import { Impairments } from './impairments.ts'

export interface TotalQueue {
  readonly attempted: number
  readonly acknowledged: number
  /** Acknowledged, and without a true end. */
  readonly lost: number
  /** Ran or ended without having been attempted, or although its publish said that it is not queued. */
  readonly unexpected: number
  /** Did its work more than once in one attempt. */
  readonly duplicated: number
  /** Not acknowledged, and came out all the same. */
  readonly recovered: number
  /** Met so many deaths that it is suspected of them: FAILURE, and among the dead letters. */
  readonly parked: number
  /** Acknowledged early, and its worker died: FAILURE by choice. */
  readonly givenUp: number
  readonly violations: readonly Violation[]
}

export function checkTotalQueue({ producers, effects, faults, finals }: Histories): TotalQueue {
  const kinds = new Map<string, Kind>()
  const acknowledged = new Set<string>()
  const refused = new Set<string>()
  for (const line of producers) {
    if (line.k === 'try') kinds.set(line.id, line.kind)
    else if (line.k === 'ok') acknowledged.add(line.id)
    else if (line.k === 'no' && line.accepted === 'no') refused.add(line.id)
  }
  const done = new Map<string, number>()
  for (const [key, runs] of groupBy(effects, ({ id, retries }) => `${id} ${retries}`)) {
    const [id = ''] = key.split(' ')
    const count = runs.filter(({ k }) => k === 'end').length
    done.set(id, Math.max(count, done.get(id) ?? 0))
  }

  const revokableAt = revokableFrom(producers)
  const violations: Violation[] = []
  const report = (rule: string, id: string, what: string): number => violations.push({ rule, id, what })
  for (const id of acknowledged) {
    const why = whyLost(finals.get(id), (done.get(id) ?? 0) > 0)
    if (why !== undefined) report('lost', id, `${kinds.get(id)}: acknowledged, but ${why}`)
  }
  const cameOut = new Set([...done.keys(), ...finals.keys()])
  for (const id of cameOut) {
    if (!kinds.has(id)) report('unexpected', id, 'nobody attempted it')
    else if (refused.has(id)) report('unexpected', id, 'its publish said that it is not queued')
  }
  for (const [id, final] of finals) {
    const why = whyWrong(kinds.get(id), final, revokableAt.get(id))
    if (why !== undefined) report('wrong end', id, why)
  }
  for (const id of blamedWithoutADeath({ effects, faults, finals }))
    report('blamed without a death', id, `${kinds.get(id)} ended in WorkerLostError; nothing befell who ran it`)
  const count = (rule: string): number => violations.filter(violation => violation.rule === rule).length
  const withoutWorker = (isMeant: (id: string) => boolean): number =>
    [...finals].filter(([id, { error }]) => error === 'WorkerLostError' && isMeant(id)).length
  return {
    attempted: kinds.size,
    acknowledged: acknowledged.size,
    lost: count('lost'),
    unexpected: count('unexpected'),
    duplicated: [...done.values()].filter(times => times > 1).length,
    recovered: [...cameOut].filter(id => kinds.has(id) && !acknowledged.has(id) && !refused.has(id)).length,
    parked: withoutWorker(id => kinds.get(id) !== 'early'),
    givenUp: withoutWorker(id => kinds.get(id) === 'early'),
    violations,
  }
}

/** Ended as a lost worker's, though no process that had begun it was killed, frozen or stopped before. */
function blamedWithoutADeath({ effects, faults, finals }: Pick<Histories, 'effects' | 'faults' | 'finals'>): string[] {
  const impairments = new Impairments(faults)
  const starts = groupBy(
    effects.filter(({ k }) => k === 'start'),
    ({ id }) => id,
  )
  return [...finals].flatMap(([id, { error, readyAt = Infinity }]) => {
    // none: it was killed before it could write its first line
    const runs = starts.get(id) ?? []
    const isJust = runs.length === 0 || runs.some(({ pid, at }) => impairments.wasDisturbed(pid, at, readyAt))
    return error === 'WorkerLostError' && !isJust ? [id] : []
  })
}

function whyLost(final: FinalState | undefined, wasDone: boolean): string | undefined {
  if (final === undefined) return 'nothing is known of it'
  if (!final.ready) return `it is ${final.state} with nothing left in the queue`
  return final.state === 'SUCCESS' && !wasDone ? 'its SUCCESS is of work that nobody did' : undefined
}

/** From when on a task may be REVOKED, by id: somebody asks for it, or it may have expired. */
function revokableFrom(producers: readonly ProducerLine[]): Map<string, number> {
  const from = new Map<string, number>()
  for (const line of producers) {
    if (line.k === 'revoking') from.set(line.id, line.at)
    if (line.k === 'try' && line.expiresFrom !== undefined) from.set(line.id, line.expiresFrom)
  }
  return from
}

/** An end that this kind of task cannot come to, or not yet. */
function whyWrong(kind: Kind | undefined, final: FinalState, revokableAt = Infinity): string | undefined {
  const { state, error, readyAt = 0 } = final
  if (state === 'FAILURE' && kind !== 'broken' && error !== 'WorkerLostError')
    return `${kind} ended in FAILURE: ${error}`
  if (state === 'REVOKED' && readyAt < revokableAt)
    return `${kind} ended in REVOKED at ${readyAt}; it could not before ${revokableAt}`
  return state === 'SUCCESS' && kind === 'broken' ? 'broken ended in SUCCESS' : undefined
}
