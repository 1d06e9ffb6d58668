/** Checks of what users hand over, before any I/O: names, numbers, ranges. Every refusal names the value and the remedy. */
import { describe, InvalidArgumentError } from '../core/errors.ts'
import { nearest } from '../core/suggest.ts'

/** @throws {InvalidArgumentError} for a name that no option has, with the nearest. */
export function assertOptionNames(where: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const near = nearest(name, known)
    const hint = near === undefined ? `known: ${known.join(', ')}` : `did you mean ${near}?`
    throw new InvalidArgumentError(`${where}: there is no option "${name}": ${hint}`, { details: { option: name } })
  }
}

/** @throws {InvalidArgumentError} when it is neither undefined nor a whole number in the range. */
export function assertInteger(
  where: string,
  value: unknown,
  range: { readonly min: number; readonly max: number },
): void {
  if (value === undefined) return
  if (Number.isInteger(value) && (value as number) >= range.min && (value as number) <= range.max) return
  throw new InvalidArgumentError(
    `${where} is ${describe(value)}: expected a whole number from ${range.min} to ${range.max}`,
  )
}

/** The last day that Python can read, and a distance from now that stays before it: 7,000 years. */
const lastInstant = Date.UTC(9999, 11, 31)
export const longestDelayMs = 220_000_000_000_000

/** @throws {InvalidArgumentError} when it is neither undefined nor milliseconds from 0 to `maxMs`. */
export function assertMs(where: string, value: unknown, maxMs: number = Number.MAX_VALUE): void {
  if (value === undefined) return
  if (typeof value === 'number' && value >= 0 && value <= maxMs) return
  const range = maxMs === Number.MAX_VALUE ? '0 or more' : `0 to ${maxMs}`
  throw new InvalidArgumentError(`${where} is ${describe(value)}: expected milliseconds, ${range}`)
}

/** @throws {InvalidArgumentError} when it is neither undefined nor a Date that is one. */
export function assertDate(where: string, value: unknown): void {
  if (value === undefined) return
  if (value instanceof Date && Math.abs(value.getTime()) <= lastInstant) return
  throw new InvalidArgumentError(`${where} is ${describe(value)}: expected a Date, before the year 10000`)
}

/** @throws {InvalidArgumentError} when it is neither undefined nor a text with something in it, 255 characters at most. */
export function assertText(where: string, value: unknown): void {
  if (value === undefined) return
  if (typeof value === 'string' && value !== '' && value.length <= longestText) return
  throw new InvalidArgumentError(`${where} is ${describe(value)}: expected a text of 1 to ${longestText} characters`)
}

/** AMQP's short string: names of queues and tasks, ids. */
const longestText = 255

/** @throws {InvalidArgumentError} when it is neither undefined nor a list of texts. */
export function assertTexts(where: string, value: unknown): void {
  if (value === undefined) return
  if (!Array.isArray(value)) throw new InvalidArgumentError(`${where} is ${describe(value)}: expected a list of texts`)
  value.forEach((item, index) => assertText(`${where}[${index}]`, item))
}

/** @throws {InvalidArgumentError} when both are given. */
export function assertNotBoth(where: string, options: object, names: readonly [string, string]): void {
  const given = (name: string): boolean => (options as Readonly<Record<string, unknown>>)[name] !== undefined
  if (!given(names[0]) || !given(names[1])) return
  throw new InvalidArgumentError(`${where}: ${names[0]} and ${names[1]} say the same in two ways: give one of them`)
}
