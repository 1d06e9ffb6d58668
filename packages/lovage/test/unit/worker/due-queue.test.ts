import { expect, it } from 'vitest'
import type { Clock } from '../../../src/core/clock.ts'
import { DueQueue } from '../../../src/worker/due-queue.ts'

/** A clock whose one timer fires when it is told to. */
function handClock(): Clock & { advance(ms: number): void } {
  let now = 0
  let armed: { at: number; run: () => void } | undefined
  return {
    now: () => now,
    monotonic: () => now,
    after(ms, run) {
      const mine = { at: now + ms, run }
      armed = mine
      return { cancel: () => void (armed = armed === mine ? undefined : armed) }
    },
    every: () => ({ cancel: () => undefined }),
    advance(ms) {
      now += ms
      const due = armed
      if (due === undefined || due.at > now) return
      armed = undefined
      due.run()
    },
  }
}

it('gives items in the order they fall due, each once', () => {
  const clock = handClock()
  const seen: number[] = []
  const queue = new DueQueue<number>({ clock, limit: 100, onDue: item => seen.push(item) })
  for (const dueAt of [50, 10, 40, 10, 30, 20]) queue.add(dueAt, dueAt)
  clock.advance(9)
  expect(seen).toEqual([])
  clock.advance(11)
  expect(seen).toEqual([10, 10, 20])
  clock.advance(100)
  expect(seen).toEqual([10, 10, 20, 30, 40, 50])
  expect(queue.size).toBe(0)
})

it('is bounded, and says when it is full', () => {
  const queue = new DueQueue<string>({ clock: handClock(), limit: 1, onDue: () => undefined })
  expect(queue.add('a', 1)).toBe(true)
  expect(queue.add('b', 1)).toBe(false)
  expect(queue.size).toBe(1)
})

it('lets items be taken out, and all be drained', () => {
  const clock = handClock()
  const seen: string[] = []
  const queue = new DueQueue<string>({ clock, limit: 10, onDue: item => seen.push(item) })
  for (const [item, dueAt] of [
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ] as const)
    queue.add(item, dueAt)
  expect(queue.remove('a')).toBe(true)
  expect(queue.remove('a')).toBe(false)
  clock.advance(2)
  expect(seen).toEqual(['b'])
  expect(queue.drain()).toEqual(['c'])
  clock.advance(10)
  expect(seen).toEqual(['b'])
})
