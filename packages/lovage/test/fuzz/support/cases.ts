/** Cases as JSON text: what JSON has no word for is written as an object of one `$` key. */

/** Text of one case; `parseCase` gives it back. */
export function caseText(value: unknown): string {
  return JSON.stringify(toPlain(value))
}

export function parseCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(parseCase)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const [name, given] = entries[0] ?? []
  if (entries.length === 1 && name !== undefined && name in readers) return readers[name]?.(given)
  return fromPairs(entries.map(([key, item]) => [key, parseCase(item)]))
}

const readers: Readonly<Record<string, (given: unknown) => unknown>> = {
  $bytes: given => Uint8Array.from(Buffer.from(String(given), 'base64')),
  $bigint: given => BigInt(String(given)),
  $number: given => (given === '-0' ? -0 : Number(given)),
  $undefined: () => undefined,
  $date: given => new Date(Number(given)),
  $pairs: given => fromPairs((given as [string, unknown][]).map(([key, item]) => [key, parseCase(item)])),
}

function toPlain(value: unknown): unknown {
  if (value === undefined) return { $undefined: true }
  if (typeof value === 'bigint') return { $bigint: String(value) }
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { $number: Object.is(value, -0) ? '-0' : String(value) }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (value instanceof Date) return { $date: value.getTime() }
  if (Array.isArray(value)) return value.map(toPlain)
  const pairs = Object.entries(value).map(([key, item]) => [key, toPlain(item)] as const)
  // a literal `__proto__`, or a key of ours
  return pairs.some(([key]) => key === '__proto__' || key in readers) ? { $pairs: pairs } : Object.fromEntries(pairs)
}

/** `Object.fromEntries` keeps a key `__proto__` as a key. */
function fromPairs(pairs: readonly (readonly [string, unknown])[]): object {
  return Object.fromEntries(pairs)
}
