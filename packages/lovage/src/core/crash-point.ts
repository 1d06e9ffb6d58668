/**
 * Named places where a process may be made to die, freeze or throw: RELIABILITY's P, W, S and B points in the real code.
 * `LOVAGE_CRASH_AT=W7:3:kill` acts on the third passage of W7. Unset, a crash point is one comparison.
 */
export type CrashPointName = 'W2' | 'W3' | 'W4' | 'W5' | 'W6' | 'W7' | 'W8'
type CrashAction = 'kill' | 'stop' | 'throw'

interface Armed {
  readonly name: string
  readonly action: CrashAction
  left: number
}

const armed: Armed | undefined = parseCrashAt(process.env['LOVAGE_CRASH_AT'])

/** `W7`, `W7:3`, `W7:3:stop`. Anything else arms nothing. */
export function parseCrashAt(text: string | undefined): Armed | undefined {
  const match = /^([PWSB]\d+)(?::(\d+))?(?::(kill|stop|throw))?$/.exec(text ?? '')
  if (match === null) return undefined
  return { name: match[1] ?? '', left: Number(match[2] ?? 1), action: (match[3] ?? 'kill') as CrashAction }
}

export function crashPoint(name: CrashPointName): void {
  if (armed === undefined || armed.name !== name || --armed.left !== 0) return
  if (armed.action === 'throw') throw new Error(`crash point ${name}`)
  process.kill(process.pid, armed.action === 'kill' ? 'SIGKILL' : 'SIGSTOP')
}
