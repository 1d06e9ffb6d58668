/** Makes a failing history small: parts are taken out as long as the same invariant is violated. */
import type { Breakage } from './breakages.ts'
import type { Violation } from './invariants.ts'
import { faultKinds, keepOnly, noiseNames, partOfNoise, partsOf, planHistory } from './plan.ts'
import type { HistoryPlan, PlannedFault } from './plan.ts'
import { playAll, type History, type SimulateOptions } from './simulator.ts'
import type { TaskPlan } from './tasks.ts'

/** What fails hangs on the order of events: a smaller history is tried with several. */
const lucks = 12

/** Delta debugging: halves first, then smaller pieces, down to single parts, until none can go. */
export async function shrink(failed: History, options: SimulateOptions): Promise<History> {
  let smallest = failed
  let parts = partsOf(failed.plan)
  for (let size = Math.ceil(parts.length / 2); size >= 1;) {
    const next = await withoutSome(smallest, parts, { ...options, size })
    if (next !== undefined) {
      smallest = next
      parts = partsOf(next.plan)
      size = Math.min(size, Math.max(1, Math.ceil(parts.length / 2)))
    } else if (size === 1) break
    else size = Math.ceil(size / 2)
  }
  return smallest
}

/** The first smaller history that fails the same way, with this luck or with another. */
async function withoutSome(
  failed: History,
  parts: readonly string[],
  { size, breakage }: SimulateOptions & { readonly size: number },
): Promise<History | undefined> {
  const whole = planHistory(failed.plan.seed)
  for (let from = 0; from < parts.length; from += size) {
    const kept = new Set([...parts.slice(0, from), ...parts.slice(from + size)])
    const plans = Array.from({ length: lucks }, (_, luck) => keepOnly(whole, kept, luck))
    const found = await firstFailing(plans, breakage, failed.violation)
    if (found !== undefined && partsOf(found.plan).length < parts.length) return found
  }
  return undefined
}

async function firstFailing(
  plans: readonly HistoryPlan[],
  breakage: Breakage | undefined,
  violation: Violation | undefined,
): Promise<History | undefined> {
  const failing: History[] = []
  await playAll(plans, { breakage }, history => {
    if (history.violation?.invariant === violation?.invariant) failing.push(history)
  })
  return failing.sort((a, b) => a.plan.luck - b.plan.luck)[0]
}

export function commandFor({ plan }: History, breakage: Breakage | undefined): string {
  const flags = breakage === undefined ? '' : ` --break ${breakage}`
  const luck = plan.luck === 0 ? '' : ` --luck ${plan.luck}`
  return `npm run simulate -- --seed ${plan.seed}${luck}${flags} --only ${partsOf(plan).join()} --verbose`
}

/** For people: one line for each part. */
export function describePlan(plan: HistoryPlan): string {
  const kind = plan.isAtomic ? 'one server does all in one step' : 'the store is a server of its own'
  const people = [...plan.workers, ...plan.callers, ...plan.observers].join(', ')
  const noises = noiseNames.filter(name => plan.noise[name] > 0)
  return [
    `  seed ${plan.seed}: ${kind}; ${plan.slots} slots; ${people}`,
    ...plan.tasks.map(describeTask),
    ...[...plan.faults].sort((a, b) => a.atMs - b.atMs).map(describeFault),
    ...noises.map(name => `  ${partOfNoise(name)}: ${(100 * plan.noise[name]).toFixed(1)} % of the requests`),
  ].join('\n')
}

function describeTask(task: TaskPlan): string {
  const parts = [
    `  ${task.id} (${task.name}) is sent at ${task.publishAfterMs} ms and runs for ${task.durationMs} ms`,
    task.etaAfterMs === undefined ? undefined : `eta ${task.etaAfterMs} ms later`,
    task.expiresAfterMs === undefined ? undefined : `expires ${task.expiresAfterMs} ms later`,
    task.revoke === undefined ? undefined : `revoked ${task.revoke.afterMs} ms later`,
    task.isLinked ? 'three tasks follow from it' : undefined,
    task.repeatAfterMs === undefined ? undefined : `sent again ${task.repeatAfterMs} ms later`,
    task.twinAfterMs === undefined ? undefined : `its key used again ${task.twinAfterMs} ms later`,
  ]
  return parts.filter(part => part !== undefined).join(', ')
}

function describeFault({ name, kind, atMs, machine, trigger, forMs, clockMs }: PlannedFault): string {
  const when =
    trigger === 'time' ? `at ${atMs} ms` : `from ${atMs} ms on, ${trigger.replace('request', 'its next request')}`
  const extent = kind.startsWith('clock') ? ` by ${clockMs} ms` : ''
  const length = faultKinds.indexOf(kind) > 0 ? ` for ${forMs} ms` : ''
  return `  ${name} ${kind}${extent} on ${machine} ${when}${length}`
}
