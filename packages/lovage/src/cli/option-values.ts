/** Values of options, read as people write them. All throw commander's error for a wrong value, which it reports with the option's name. */
import { InvalidArgumentError as WrongValue } from 'commander'
import { parseDuration } from '../core/duration.ts'

/** `30s`, `1.5m`; a bare number is seconds, as Celery's. */
export function durationMs(text: string): number {
  const ms = parseDuration(text, 's')
  if (ms === undefined) throw new WrongValue('Expected a duration such as 30s, 5m or 250ms; a bare number is seconds.')
  return ms
}

export function count(text: string): number {
  if (/^\d+$/.test(text) && Number(text) >= 1) return Number(text)
  throw new WrongValue('Expected a whole number from 1 on.')
}

export function portNumber(text: string): number {
  if (/^\d+$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new WrongValue('Expected a port from 0 to 65535.')
}

export function priority(text: string): number {
  if (/^\d$/.test(text)) return Number(text)
  throw new WrongValue('Expected 0 to 9; 9 goes first.')
}

/** An instant: `2026-11-22T15:00:00Z`; without a zone, local time. */
export function instant(text: string): Date {
  const date = new Date(text)
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(date.getTime())) return date
  throw new WrongValue('Expected an instant such as 2026-11-22T15:00:00Z.')
}

/** An instant, or a duration from now. */
export function expiry(text: string): { readonly expiresInMs: number } | { readonly expiresAt: Date } {
  const ms = parseDuration(text, 's')
  return ms === undefined ? { expiresAt: instant(text) } : { expiresInMs: ms }
}

/** Names with commas between; the option may come again. */
export function names(text: string, before: readonly string[] = []): readonly string[] {
  const given = text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
  if (given.length === 0) throw new WrongValue('Expected a name, or several with commas between.')
  return [...before, ...given]
}
