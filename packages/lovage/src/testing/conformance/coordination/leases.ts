import { expect } from 'vitest'
import { sleep, systemClock } from '../../../core/clock.ts'
import { LovageError } from '../../../core/errors.ts'
import { numbered } from '../fixtures.ts'
import { leavesNothingOpen } from '../resources.ts'
import type { Case } from '../suite.ts'
import { eventually, inTime } from '../waits.ts'

const longMs = 60_000

export const leaseCases: readonly Case[] = [
  {
    name: 'gives a lease to one holder, who may renew it under the same token',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      const first = await a.lease('leader', 'a', longMs)
      expect(await b.lease('leader', 'b', longMs)).toBeUndefined()
      expect((await a.lease('leader', 'a', longMs))?.token).toBe(first?.token)
      expect(await b.lease('other', 'b', longMs)).toBeDefined()
    },
  },
  {
    name: 'gives a new holder a greater token, after a release and after the end',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      const tokens = [(await a.lease('leader', 'a', longMs))?.token]
      await b.release('leader', 'b')
      expect(await b.lease('leader', 'b', longMs)).toBeUndefined()
      await a.release('leader', 'a')
      tokens.push((await b.lease('leader', 'b', 100))?.token)
      await eventually(async () => {
        const lease = await a.lease('leader', 'a', longMs)
        if (lease !== undefined) tokens.push(lease.token)
        return lease !== undefined
      }, 'the end of a lease')
      const numbers = tokens.map(token => token ?? Number.NaN)
      expect(numbers).toEqual([...new Set(numbers)].sort((x, y) => x - y))
      expect(numbers.length).toBe(3)
    },
  },
  {
    name: 'lets exactly one of 20 concurrent holders win',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      const leases = await Promise.all(
        numbered('holder', 20).map((holder, index) => (index % 2 === 0 ? a : b).lease('leader', holder, longMs)),
      )
      expect(leases.filter(lease => lease !== undefined).length).toBe(1)
    },
  },
  {
    name: 'is trusted for less than its time, counted from before the request',
    async run(lab) {
      const { coordination } = await lab.connect()
      const before = systemClock.monotonic()
      const lease = await coordination.lease('leader', 'a', 10_000)
      expect(lease?.trustedUntil).toBeGreaterThan(before + 5000)
      expect(lease?.trustedUntil).toBeLessThan(before + 10_000)
    },
  },
]

export const tokenBucketCases: readonly Case[] = [
  {
    name: 'lets so many through at once, and then says how long to wait',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      expect([await a.take('rate', 2, longMs), await b.take('rate', 2, longMs)]).toEqual([0, 0])
      const waitMs = await b.take('rate', 2, longMs)
      expect(waitMs).toBeGreaterThan(longMs / 4)
      expect(waitMs).toBeLessThanOrEqual(longMs / 2)
      expect(await a.take('another', 2, longMs)).toBe(0)
    },
  },
  {
    name: 'lets exactly as many of 50 concurrent callers through as there are tokens',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      const answers = await Promise.all(
        numbered('caller', 50).map((_, index) => (index % 2 === 0 ? a : b).take('rate', 7, longMs)),
      )
      expect(answers.filter(answer => answer === 0).length).toBe(7)
    },
  },
  {
    name: 'has one more when the time it told is over, and never more than it holds',
    async run(lab) {
      const { coordination } = await lab.connect()
      const take = (): Promise<number> => coordination.take('rate', 1, 300)
      expect(await take()).toBe(0)
      const waitMs = await take()
      expect(waitMs).toBeGreaterThan(0)
      // the wait is what is tested: the one told must be enough, and a long one gives no more than there is room for
      await sleep(systemClock, waitMs + 5)
      expect(await take()).toBe(0)
      await sleep(systemClock, 700)
      expect(await take()).toBe(0)
      expect(await take()).toBeGreaterThan(0)
    },
  },
]

export const coordinationLifecycleCases: readonly Case[] = [
  {
    name: 'opens twice and closes twice as once, and refuses calls after',
    async run(lab) {
      const connection = await lab.connect()
      await connection.coordination.open()
      await connection.coordination.put('key', 'x', longMs)
      await connection.close()
      await connection.close()
      await expect(inTime(connection.coordination.get('key'), 'a refusal')).rejects.toBeInstanceOf(LovageError)
    },
  },
  {
    name: 'leaves no timer, thread or handle behind',
    async run(lab) {
      await leavesNothingOpen(async () => {
        const connection = await lab.connect()
        await connection.coordination.watchKeys('', () => undefined)
        await connection.coordination.put('key', 'x', longMs)
        await connection.close()
      })
    },
  },
  {
    name: 'keeps keys and leases when every connection is closed',
    async run(lab) {
      const first = await lab.connect()
      await first.coordination.put('key', 'x', longMs)
      await first.coordination.lease('leader', 'a', longMs)
      await first.close()
      const { coordination } = await lab.connect()
      expect(await coordination.get('key')).toBe('x')
      expect(await coordination.lease('leader', 'b', longMs)).toBeUndefined()
    },
  },
]
