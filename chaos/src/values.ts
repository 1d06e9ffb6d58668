/** Numbers of a command line. */

/** @throws {RangeError} it is no number, or below 0. */
export function number(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value
  throw new RangeError(`--${name} is "${text}"; give a number, 0 or more`)
}

/** @throws {RangeError} it is no number above 0. */
export function positive(name: string, text: string | undefined, fallback: number): number {
  const value = number(name, text, fallback)
  if (value > 0) return value
  throw new RangeError(`--${name} is "${text}"; give a number above 0`)
}

/** @throws {RangeError} it is no whole number above 0. */
export function count(name: string, text: string | undefined, fallback: number): number {
  const value = number(name, text, fallback)
  if (Number.isInteger(value) && value > 0) return value
  throw new RangeError(`--${name} is "${text}"; give a whole number above 0`)
}
