import { inspect } from 'node:util'

/** A value as one line. */
export function describe(value: unknown): string {
  return inspect(value, { compact: true, breakLength: Infinity, depth: 9 })
}
