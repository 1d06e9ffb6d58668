/** What a run came to: figures, violations, and how they are printed. */
import { breaks } from './breaks/all.ts'
import type { Histories, Violation } from './checkers/histories.ts'
import { checkMonotonicRegister } from './checkers/monotonic-register.ts'
import { checkOnceRules } from './checkers/once-rules.ts'
import { checkTotalQueue } from './checkers/total-queue.ts'
import type { ChaosDriver } from './drivers/driver.ts'
import type { FaultKind } from './programs/history.ts'
import { measureRecovery, type Recovery } from './recovery.ts'
import type { Settings } from './settings.ts'

export interface Report {
  readonly settings: Settings
  /** In the order in which they are shown. */
  readonly figures: Readonly<Record<string, number>>
  readonly afterKill: Recovery & { readonly goalMs: number }
  readonly afterFreeze: Recovery & { readonly goalMs: number }
  readonly violations: readonly Violation[]
}

export interface Evidence {
  readonly histories: Histories
  /** What went wrong outside the histories: a drain that did not end, a file that is damaged. */
  readonly troubles: readonly string[]
  readonly settings: Settings
  readonly driver: Pick<ChaosDriver, 'recoveryGoalMs'>
}

export function judge({ histories, troubles, settings, driver }: Evidence): Report {
  const queue = checkTotalQueue(histories)
  const register = checkMonotonicRegister(histories)
  const once = checkOnceRules(histories)
  const count = (k: FaultKind, role?: string): number =>
    histories.faults.filter(fault => fault.k === k && (role === undefined || fault.role === role)).length
  return {
    settings,
    figures: {
      attempted: queue.attempted,
      acknowledged: queue.acknowledged,
      lost: queue.lost,
      unexpected: queue.unexpected,
      duplicated: queue.duplicated,
      recovered: queue.recovered,
      regressed: register.regressed,
      'again after a freeze': once.excused,
      parked: queue.parked,
      'early, not run again': queue.givenUp,
      observations: register.observations,
      kills: count('kill', 'worker'),
      freezes: count('freeze'),
      stops: count('stop', 'worker'),
      'producers killed': count('kill', 'producer'),
      'readers killed': count('kill', 'reader'),
      'disk filled': count('full'),
      'server faults': count('server') / 2,
    },
    afterKill: { ...measureRecovery(histories, 'kill'), goalMs: driver.recoveryGoalMs },
    afterFreeze: { ...measureRecovery(histories, 'freeze'), goalMs: settings.leaseMs + 1000 },
    violations: [
      ...troubles.map(what => ({ rule: 'trouble', what })),
      ...empty(histories, settings),
      ...ownDeaths(histories),
      ...badEnds(histories),
      ...queue.violations,
      ...register.violations,
      ...once.violations,
    ],
  }
}

/** So many of a kind are to be expected: then none at all is no chance. */
const surely = 10

/** What was to happen and did not once: whatever else holds then was not tried. */
function empty({ producers, seen, faults }: Histories, settings: Settings): Violation[] {
  const { minutes, killsPerMinute, freezesPerMinute } = settings
  // what is acknowledged later is the probe's
  const drainAt = faults.find(({ k }) => k === 'drain')?.at ?? Infinity
  const wasDone = (kind: FaultKind): boolean => faults.some(({ k, role }) => k === kind && role === 'worker')
  const missing = [
    ...(producers.some(({ k, at }) => k === 'ok' && at < drainAt) ? [] : ['no task was acknowledged']),
    ...(seen.some(({ state }) => state !== 'ABSENT') ? [] : ['no reader saw a task']),
    ...(killsPerMinute * minutes < surely || wasDone('kill') ? [] : ['no worker was killed']),
    ...(freezesPerMinute * minutes < surely || wasDone('freeze') ? [] : ['no worker was frozen']),
  ]
  return missing.map(what => ({ rule: 'proves nothing', what }))
}

/** A start that met a full disk or no server is told of it this long afterwards at most. */
const afterOutageMs = 3000

/** A process that ends by itself, though nobody did anything to it: only a full disk, or no server, is a reason. */
function ownDeaths({ faults }: Histories): Violation[] {
  let outageUntil = 0
  const violations: Violation[] = []
  for (const { k, role, pid, note, at } of faults) {
    outageUntil = outageAfter(k, at) ?? outageUntil
    if (k === 'died' && at > outageUntil)
      violations.push({ rule: 'died by itself', what: `${role} ${pid} ended with ${note}` })
  }
  return violations
}

/**
 * A process that was told to stop, and ended as one that failed. A stop is a 0, also of a worker whose tasks took longer
 * than `--shutdown-timeout`: these are given back. One that was not ready need not listen yet.
 */
function badEnds({ faults }: Histories): Violation[] {
  let outageUntil = 0
  const ready = new Set<number>()
  const stoppedAt = new Map<number, number>()
  const violations: Violation[] = []
  for (const { k, role, pid = 0, note, at } of faults) {
    outageUntil = outageAfter(k, at) ?? outageUntil
    if (k === 'start') ready.delete(pid)
    if (k === 'ready') ready.add(pid)
    if (k === 'stop') stoppedAt.set(pid, at)
    const isClean = note === '0' || (note === 'SIGTERM' && !ready.has(pid))
    if (k === 'exit' && !isClean && (stoppedAt.get(pid) ?? at) > outageUntil)
      violations.push({ rule: 'stopped badly', what: `${role} ${pid} was told to stop and ended with ${note}` })
  }
  return violations
}

/** Until when a process may end of a full disk, or of no server, when this has happened. */
function outageAfter(k: FaultKind, at: number): number | undefined {
  if (k === 'full') return Infinity
  if (k === 'free') return at + afterOutageMs
  return k === 'server' ? at + 5 * afterOutageMs : undefined
}

const shownViolations = 10

export function formatReport({ settings, figures, afterKill, afterFreeze, violations }: Report): string {
  const width = 24
  const lines = [
    `${settings.driver}, ${settings.minutes} min, seed ${settings.seed}${settings.break === undefined ? '' : `, broken by ${settings.break}`}`,
    ...Object.entries(figures).map(([name, value]) => `  ${name.padEnd(width)}${value.toLocaleString('en')}`),
    `  ${'recovery after a kill'.padEnd(width)}${formatRecovery(afterKill)}`,
    `  ${'recovery after a freeze'.padEnd(width)}${formatRecovery(afterFreeze)}`,
    violations.length === 0 ? 'Nothing was found.' : `${violations.length} VIOLATIONS`,
    ...violations.slice(0, shownViolations).map(({ rule, id = '', what }) => `  ${rule}: ${id} ${what}`),
  ]
  if (violations.length > shownViolations) lines.push(`  … and ${violations.length - shownViolations} more`)
  if (settings.break !== undefined) lines.push(verdictOn(settings.break, violations))
  return lines.join('\n')
}

/** Whether a seeded bug was found by a rule that is its own. */
function verdictOn(name: string, violations: readonly Violation[]): string {
  const foundAs = breaks[name]?.foundAs ?? []
  const found = foundAs.filter(rule => violations.some(violation => violation.rule === rule))
  return found.length > 0 ? `Found as ${found.join(', ')}.` : `NOT found as ${foundAs.join(' or ')}.`
}

function formatRecovery({ count, p50, p99, max, setApart, p99OfAll, goalMs }: Report['afterKill']): string {
  const apart = setApart === 0 ? '' : `, ${setApart} set apart: with them p99 ${p99OfAll} ms`
  if (p50 === undefined || p99 === undefined) return `no samples${apart}`
  const verdict = p99 <= goalMs ? `goal ${goalMs} ms` : `OVER the goal of ${goalMs} ms`
  return `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${count} samples${apart}; ${verdict})`
}
