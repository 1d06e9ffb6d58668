import { describe, expect, it } from 'vitest'
import { Line } from '../../../src/worker/line.ts'
import { createRun } from '../../../src/worker/run.ts'
import type { Run } from '../../../src/worker/run.ts'
import { delivery, request } from './support.ts'

let lastRunId = 0

function run(change: Partial<Pick<Run, 'isolated' | 'careful' | 'waitsSince'>> = {}, expiresAt?: number): Run {
  const runId = ++lastRunId
  return {
    ...createRun({
      delivery: delivery({ token: `t${runId}` }),
      request: { ...request({ id: `id${runId}` }), rootId: '', headers: {}, expiresAt },
      task: undefined,
      workflow: undefined,
      receivedAt: 0,
      factsAreKept: true,
      runId,
    }),
    ...change,
  }
}

/** A line in which these wait, and as many run as the pool may have. */
function lineOf(
  slots: number,
  waiting: readonly Run[],
  window = slots,
): { readonly line: Line; readonly begun: Run[] } {
  const line = new Line(slots)
  for (const each of waiting) line.push(each)
  const begun: Run[] = []
  for (let next = line.next(window); next !== undefined; next = line.next(window)) {
    line.begin(next)
    begun.push(next)
  }
  return { line, begun }
}

describe('the line', () => {
  it('goes in order, as far as the pool may have them', () => {
    const [a, b, c, d] = [run(), run(), run(), run()]
    const { line, begun } = lineOf(2, [a, b, c, d], 3)
    expect(begun).toEqual([a, b, c])
    expect([line.runningCount, line.queuedInPool(), line.waiting()]).toEqual([2, [c], [d]])
    line.ended(a)
    expect(line.next(3)).toBe(d)
  })

  it.each([
    ['that is written down as begun', run({ careful: true })],
    ['that expires', run({}, 1)],
  ])('lets nobody wait in the pool %s', (_what, next) => {
    const { line, begun } = lineOf(1, [run(), next], 10)
    expect([begun.length, line.waiting()]).toEqual([1, [next]])
  })

  it('lets nobody wait in the pool while a start is being written', () => {
    const { line } = lineOf(1, [run()], 10)
    const next = run()
    line.marking()
    line.push(next)
    expect(line.next(10)).toBeUndefined()
    line.marked()
    expect(line.next(10)).toBe(next)
  })

  it('overtakes suspects that have half of the slots', () => {
    const suspects = [run({ isolated: true }), run({ isolated: true }), run({ isolated: true })]
    const innocent = run()
    const { line, begun } = lineOf(4, [...suspects, innocent])
    expect(begun).toEqual([...suspects.slice(0, 2), innocent])
    expect(line.waiting()).toEqual(suspects.slice(2))
  })

  it('keeps as many as there are slots of those that wait for a while, and none of those that wait for long', () => {
    const all = [run(), run(), run(), run()]
    const { line } = lineOf(1, all, 2)
    const [, inPool, ...before] = all
    expect(line.isStuck(249)).toBe(false)
    expect(line.isStuck(250)).toBe(true)
    expect(line.takeStuck(250)).toEqual({ inPool: [], before })
    expect(line.takeStuck(1000)).toEqual({ inPool: [inPool], before: [] })
    expect(new Line(1).isStuck(1000)).toBe(false)
  })

  it('is left by whoever waits, and by all of them', () => {
    const [first, second, third] = [run(), run(), run()]
    const { line } = lineOf(1, [first, second, third])
    line.remove(second)
    line.remove(first)
    expect([line.drain(), line.waiting(), [...line.handedOver()]]).toEqual([[third], [], [first]])
  })
})
