/** The end of a run: no more faults, no more load, until nothing is left. A drain that does not end proves nothing. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Left } from './drivers/driver.ts'
import type { Fleet } from './fleet.ts'

/** Nothing moves for so long: then nothing will. What is delayed, retried or long is over sooner, and so is a lease. */
const stuckMs = 15_000
/** Whatever moves. */
const drainMs = 180_000

export interface DrainParts {
  readonly left: () => Promise<Left>
  readonly fleet: Fleet
  readonly say: (line: string) => void
}

/** Sentences about what went wrong; none: it is drained, and everybody ended when told to. */
export async function drain({ left, fleet, say }: DrainParts): Promise<readonly string[]> {
  say('  draining')
  const troubles = [...(await fleet.end('producer'))]
  troubles.push(...(await emptied(left)), ...(await probe(fleet)))
  // readers see the last states before they go
  await wait(300)
  troubles.push(...(await fleet.end('reader')), ...(await fleet.end('worker')))
  const { unsettled } = await left()
  if (unsettled > 0) troubles.push(`after all workers had stopped, ${unsettled} messages were still held`)
  return troubles
}

async function emptied(left: DrainParts['left']): Promise<string[]> {
  const beganAt = Date.now()
  let movedAt = beganAt
  let last = ''
  for (let emptyLooks = 0; emptyLooks < 3; await wait(200)) {
    const { ready, delayed, unsettled } = await left()
    emptyLooks = ready + delayed + unsettled === 0 ? emptyLooks + 1 : 0
    const now = `${ready} ready, ${delayed} delayed, ${unsettled} held`
    if (now !== last) movedAt = Date.now()
    last = now
    if (emptyLooks === 0 && (Date.now() > movedAt + stuckMs || Date.now() > beganAt + drainMs))
      return [`the drain did not end: ${now} after ${Math.round((Date.now() - beganAt) / 1000)} s`]
  }
  return []
}

/** By a program of the run's own, so that it goes the way that users' calls go. */
async function probe(fleet: Fleet): Promise<string[]> {
  const { code, said } = await fleet.run('probe.ts')
  return code === 0 ? [] : [said.trim()]
}
