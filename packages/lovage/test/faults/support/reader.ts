/**
 * A process that looks at one task after the other, every 5 ms, and compares what it sees with what it saw before.
 * argv: the database, then ids. Prints `reading`, and at the end what it saw as JSON.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { internals } from '../../../src/app/internals.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { compareVersions, isReadyState } from '../../../src/core/states.ts'

export interface Seen {
  looks: number
  /** Looks that found another version than the one before. */
  changes: number
  readonly states: Record<string, number>
  readonly backward: string[]
}

const [database = '', ...ids] = process.argv.slice(2)
const app = new Lovage('reader', { brokerUrl: `sqlite:${database}` })
const { results } = await internals(app).backend()
const seen: Seen = { looks: 0, changes: 0, states: {}, backward: [] }
console.log('reading')
for (const id of ids) await follow(id)
console.log(JSON.stringify(seen))
await app.close()

async function follow(id: string): Promise<void> {
  let last: StoredState | undefined
  while (last === undefined || !isReadyState(last.state)) {
    last = compare(last, await look(id))
    await pause(5)
  }
  // a final state stays: a few more looks
  for (let more = 0; more < 20; more++) last = compare(last, await look(id))
}

async function look(id: string): Promise<StoredState | undefined> {
  const lookup = await results.get(id)
  seen.looks++
  return lookup.kind === 'state' ? lookup.state : undefined
}

function compare(last: StoredState | undefined, next: StoredState | undefined): StoredState | undefined {
  seen.states[next?.state ?? 'absent'] = (seen.states[next?.state ?? 'absent'] ?? 0) + 1
  const step = `${JSON.stringify(last)} and then ${JSON.stringify(next)}`
  if (last === undefined) return next
  if (next === undefined) seen.backward.push(step)
  else if (isBackward(last, next)) seen.backward.push(step)
  else if (JSON.stringify(last) !== JSON.stringify(next)) seen.changes++
  return next ?? last
}

function isBackward(last: StoredState, next: StoredState): boolean {
  if (isReadyState(last.state)) return JSON.stringify(last) !== JSON.stringify(next)
  if (isReadyState(next.state)) return false
  if (next.state === 'PENDING' && last.state !== 'PENDING') return true
  const order = compareVersions(next, last)
  return order < 0 || (order === 0 && JSON.stringify(last) !== JSON.stringify(next))
}
