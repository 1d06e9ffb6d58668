import { expect, test } from 'vitest'
import { Claims, startClaimed } from '../../../src/pools/claims.ts'

test('a run is started or taken back, never both', () => {
  const claims = new Claims()
  const [first, second] = [claims.take(), claims.take()]
  expect(startClaimed(claims.words, first)).toBe(true)
  expect(claims.isStarted(first)).toBe(true)
  expect(claims.cancel(first)).toBe(false)
  expect(claims.cancel(second)).toBe(true)
  expect(startClaimed(claims.words, second)).toBe(false)
  expect(claims.isStarted(second)).toBe(false)
})

test('a run is started once', () => {
  const claims = new Claims()
  const claim = claims.take()
  expect([startClaimed(claims.words, claim), startClaimed(claims.words, claim)]).toEqual([true, false])
})

test('a claim taken back stays void when its word serves another run', () => {
  const claims = new Claims()
  const old = claims.take()
  claims.cancel(old)
  const fresh = claims.take()
  expect(fresh % 4096).toBe(old % 4096)
  expect(startClaimed(claims.words, old)).toBe(false)
  expect(startClaimed(claims.words, fresh)).toBe(true)
})

test('room goes down with each claim and up with each release', () => {
  const claims = new Claims()
  const room = claims.room
  const taken = Array.from({ length: room }, () => claims.take())
  expect([new Set(taken).size, claims.room]).toEqual([room, 0])
  for (const claim of taken) claims.release(claim)
  expect(claims.room).toBe(room)
})

test('claim 0, and a side without claims, is always started', () => {
  expect([startClaimed(undefined, 5), startClaimed(new Claims().words, 0)]).toEqual([true, true])
})
