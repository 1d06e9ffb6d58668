import { expect, it } from 'vitest'
import { Throughput, tickMs } from '../../../src/worker/throughput.ts'

function afterTicks(throughput: Throughput, finishedPerTick: readonly number[]): Throughput {
  for (const finished of finishedPerTick) {
    for (let i = 0; i < finished; i++) throughput.finished()
    throughput.tick()
  }
  return throughput
}

it('holds one delivery a slot for long tasks', () => {
  expect(afterTicks(new Throughput(4), [0, 1, 0, 0]).prefetch(0)).toBe(4)
})

it('holds about two ticks of work for short ones, and no more than a thousand', () => {
  expect(afterTicks(new Throughput(4), [100]).prefetch(0)).toBe(200)
  expect(afterTicks(new Throughput(4), [100]).window()).toBe(4 + 25)
  expect(afterTicks(new Throughput(4), [5000]).prefetch(0)).toBe(1000)
})

it('holds so many more as wait for their end to be stored, within bounds', () => {
  const throughput = afterTicks(new Throughput(4), [100])
  expect([throughput.prefetch(60), throughput.prefetch(5000)]).toEqual([260, 600])
  expect(afterTicks(new Throughput(4), [300]).prefetch(5000)).toBe(1000)
  expect(afterTicks(new Throughput(4), [7]).prefetch(7)).toBe(14)
})

it('comes back to the slots within a second when tasks turn long', () => {
  expect(afterTicks(new Throughput(4), [500, ...Array.from({ length: 1000 / tickMs }, () => 0)]).prefetch(0)).toBe(4)
})

it('begins anew when what was quick has stalled', () => {
  const throughput = afterTicks(new Throughput(4), [500])
  throughput.stalled()
  expect([throughput.prefetch(0), throughput.window()]).toEqual([4, 4])
})
