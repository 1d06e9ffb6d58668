/** Ids: UUIDv7, sorted by time, 74 random bits; they tell their time and are no secret. UUIDv5 for what must come out the same. */
import { createHash, randomFillSync } from 'node:crypto'

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

/** Of this library's names: a UUID like any other. */
const namespace = Buffer.from('7c1f0f5e9d0b4a53b1a6a1b1f6c0e2d4', 'hex')

/** The same name, the same id, in every process. */
export function uuidv5(name: string): string {
  const hash = createHash('sha1').update(namespace).update(name).digest()
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80
  const text = hash.toString('hex', 0, 16)
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`
}
