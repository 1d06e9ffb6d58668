/** Waiting for what is seen from outside: a file's content, a store's state, a process's output. */
import { setTimeout as pause } from 'node:timers/promises'

/** Long runs, for a person at an otherwise idle machine: the same assertions, more of everything. */
export const isLong: boolean = process.env['LONG_TESTS'] === '1'

/**
 * Looks until there is something, and gives it.
 * @throws after `timeoutMs` (20 s), with what was waited for and what was there last.
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  { timeoutMs = 20_000, everyMs = 5, last = () => '' }: UntilOptions = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== null && found !== false) return found as NonNullable<Exclude<T, false>>
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}\n${last()}`)
    await pause(everyMs)
  }
}

export interface UntilOptions {
  readonly timeoutMs?: number
  readonly everyMs?: number
  /** What is told when the time is over. */
  readonly last?: () => string
}

/** The middle one, and the greatest, of some milliseconds. */
export function spread(values: readonly number[]): { readonly median: number; readonly max: number } {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: Math.round(sorted[sorted.length >> 1] ?? NaN), max: Math.round(sorted.at(-1) ?? NaN) }
}
