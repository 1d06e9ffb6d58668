/** ISO 8601 as Celery writes and reads it: `2026-11-22T06:15:18.639072+00:00`. Instants are epoch milliseconds. */

const pattern =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:Z|([+-])(\d{2}):?(\d{2})?(?::?(\d{2})(?:\.\d+)?)?)?)?$/

/** Python's years: 1 to 9999. */
const firstInstant = -62_135_596_800_000
const lastInstant = 253_402_300_799_999

/**
 * Milliseconds, or undefined when `text` is no time. Without an offset it is UTC, as Celery takes it; what is finer
 * than a millisecond is cut off.
 */
export function parseIsoTime(text: string): number | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const part = (index: number): number => Number(match[index] ?? 0)
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)]
  if (hour > 23 || minute > 59 || second > 59 || part(9) > 23 || part(10) > 59 || year < 1) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  // the 31st of February rolls over into March
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  const milliseconds = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3))
  const offset = (part(9) * 3600 + part(10) * 60 + part(11)) * (match[8] === '-' ? -1 : 1)
  const at = date.setUTCHours(hour, minute, second, milliseconds) - offset * 1000
  // an offset may lead out of the years that can be written
  return at >= firstInstant && at <= lastInstant ? at : undefined
}

/** As Python's `isoformat`: six digits of fraction or none, and `+00:00` for the `Z` that Python before 3.11 cannot read. */
export function formatIsoTime(at: number): string {
  const text = new Date(at).toISOString()
  return text.endsWith('.000Z') ? `${text.slice(0, -5)}+00:00` : `${text.slice(0, -1)}000+00:00`
}
