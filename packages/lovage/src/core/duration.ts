/** Durations as people write them on the command line and in the environment: `30s`, `5m`, `250ms`, `1.5h`. */

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Whole milliseconds, or undefined when `text` is no duration, or one that no number holds exactly. A bare number is milliseconds when `bareUnit` is 'ms', seconds when 's'. */
export function parseDuration(text: string, bareUnit: 'ms' | 's'): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim())
  if (match === null) return undefined
  const ms = Math.round(Number(match[1]) * (unitMs[match[2] ?? bareUnit] ?? 1))
  return Number.isSafeInteger(ms) ? ms : undefined
}

/** `90000` → `1m 30s`: at most two units, for people. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`
  const parts: string[] = []
  let left = Math.round(ms / 1000)
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(left / seconds)
    left -= count * seconds
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.slice(0, 2).join(' ')
}
