/** The contract of everything with a life: Worker, Beat, pools, servers. Start and stop may race in any order. */
import { describe, expect, it } from 'vitest'
import { inTime } from './waits.ts'

export interface LifeObject {
  readonly state: string
  start(): Promise<unknown>
  stop(): Promise<unknown>
}

export interface LifecycleDriver {
  /** A new one, not started; its resources are its own. */
  create(): Promise<LifeObject> | LifeObject
  /** A new one whose first start fails, and whose second does not. Absent: it has nothing that can fail. */
  createFailing?(): Promise<LifeObject> | LifeObject
  /** What `state` says while it runs, and when it is stopped. */
  readonly states: { readonly running: string; readonly stopped: string }
}

/** @param name of the class, for the report. */
export function lifecycleConformance(name: string, driver: LifecycleDriver): void {
  const { running, stopped } = driver.states
  describe(`${name}: lifecycle`, () => {
    it('starts and stops', async () => {
      const life = await driver.create()
      await inTime(life.start(), 'start')
      expect(life.state).toBe(running)
      await inTime(life.stop(), 'stop')
      expect(life.state).toBe(stopped)
    })

    it('may be stopped before it was started', async () => {
      const life = await driver.create()
      await inTime(life.stop(), 'stop')
      expect(life.state).not.toBe(running)
    })

    it('gives the same promise to everybody who stops it', async () => {
      const life = await driver.create()
      await inTime(life.start(), 'start')
      const [first, second] = [life.stop(), life.stop()]
      expect(second).toBe(first)
      await inTime(first, 'stop')
      await inTime(life.stop(), 'stop once more')
      expect(life.state).toBe(stopped)
    })

    it('is stopped when it is told to stop while it starts', async () => {
      const life = await driver.create()
      const starting = Promise.allSettled([life.start()])
      await inTime(life.stop(), 'stop')
      await inTime(starting, 'start')
      expect(life.state).toBe(stopped)
    })

    it('runs when it is started while it stops', async () => {
      const life = await driver.create()
      await inTime(life.start(), 'start')
      const stopping = life.stop()
      const starting = life.start()
      await inTime(stopping, 'stop')
      await inTime(starting, 'start again')
      expect(life.state).toBe(running)
      await inTime(life.stop(), 'stop at last')
      expect(life.state).toBe(stopped)
    })

    it.skipIf(driver.createFailing === undefined)('can be started after a start that failed', async () => {
      const life = await driver.createFailing?.()
      if (life === undefined) return
      await expect(inTime(life.start(), 'a start that fails')).rejects.toBeInstanceOf(Error)
      expect(life.state).not.toBe(running)
      await inTime(life.start(), 'start')
      expect(life.state).toBe(running)
      await inTime(life.stop(), 'stop')
    })

    it('ends stopped after starts and stops in a row, without waiting', async () => {
      const life = await driver.create()
      const calls = [life.start(), life.stop(), life.start(), life.stop()]
      await inTime(Promise.allSettled(calls), 'all calls')
      expect(life.state).toBe(stopped)
    })
  })
}
