/**
 * Named places where a process may be made to die, freeze or throw, in the code that ships.
 * `LOVAGE_CRASH_AT=W7:3:kill` acts on the third passage of W7, `W7:3+:throw` on that and every later one. Each thread
 * counts its own passages. Unset, a crash point is one comparison.
 */
import { writeSync } from 'node:fs'

/** P: whoever sends. W: a worker. S: a web process. W12 waits for chords. */
export type CrashPointName =
  `P${1 | 2 | 3 | 4 | 5}` | `W${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14}` | 'S1'
export type CrashAction = 'kill' | 'stop' | 'throw'

interface Armed {
  readonly name: string
  readonly action: CrashAction
  readonly repeats: boolean
  left: number
}

const armed: Armed | undefined = parseCrashAt(process.env['LOVAGE_CRASH_AT'])

/** `W7`, `W7:3`, `W7:3:stop`, `W7:3+:throw`. Anything else arms nothing. */
export function parseCrashAt(text: string | undefined): Armed | undefined {
  const match = /^([PWSB]\d+)(?::(\d+)(\+)?)?(?::(kill|stop|throw))?$/.exec(text ?? '')
  if (match === null) return undefined
  const [, name = '', passage = '1', repeats, action = 'kill'] = match
  return { name, left: Number(passage), repeats: repeats !== undefined, action: action as CrashAction }
}

export function crashPoint(name: CrashPointName): void {
  if (armed === undefined || armed.name !== name) return
  armed.left -= 1
  if (armed.left === 0 || (armed.left < 0 && armed.repeats)) crash(armed)
}

/** Says so first, past all buffers: whoever watches knows that it came here. */
function crash({ name, action }: Armed): void {
  writeSync(2, `lovage: crash point ${name}: ${action}\n`)
  if (action === 'throw') throw new Error(`crash point ${name}`)
  process.kill(process.pid, action === 'kill' ? 'SIGKILL' : 'SIGSTOP')
}
