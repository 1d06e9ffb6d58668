/** UUIDv7 ids: sorted by time, 74 random bits. They tell their time and are no secret. */
import { randomFillSync } from 'node:crypto'

const pool = new Uint8Array(4096)
let poolOffset = pool.length
const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** 10 fresh random bytes: a UUIDv7 needs 74 bits. Drawn from a pool, because one call per id costs more than the id. */
function randomOffset(): number {
  if (poolOffset + 10 > pool.length) {
    randomFillSync(pool)
    poolOffset = 0
  }
  const offset = poolOffset
  poolOffset += 10
  return offset
}

/** @param now epoch milliseconds, the id's first 48 bits. */
export function uuidv7(now: number): string {
  const offset = randomOffset()
  const time = Math.trunc(now).toString(16).padStart(12, '0')
  const byte = (index: number): string => hex[pool[offset + index] ?? 0] ?? '00'
  const version = hex[0x70 | ((pool[offset] ?? 0) & 0x0f)] ?? '70'
  const variant = hex[0x80 | ((pool[offset + 2] ?? 0) & 0x3f)] ?? '80'
  return (
    `${time.slice(0, 8)}-${time.slice(8, 12)}-${version}${byte(1)}-${variant}${byte(3)}-` +
    byte(4) +
    byte(5) +
    byte(6) +
    byte(7) +
    byte(8) +
    byte(9)
  )
}
