// Runs a Node program to its end. What this process is told in the meantime is passed on: a script that is stopped takes
// along what it has started, and ends after it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'

const signals = ['SIGHUP', 'SIGINT', 'SIGTERM']

/** Vitest's program. */
export const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')

/** Its exit code; 128 and the signal's number when it, or this process, was told to end. Runs in the repository's root. */
export async function runNode(args, env) {
  let told
  const child = spawn(process.execPath, args, { cwd: dirname(import.meta.dirname), stdio: 'inherit', env })
  const tell = signal => {
    told = signal
    child.kill(signal)
  }
  for (const signal of signals) process.on(signal, tell)
  const [code, killedBy] = await once(child, 'exit')
  for (const signal of signals) process.off(signal, tell)
  const signal = told ?? killedBy
  return signal === null ? code : 128 + constants.signals[signal]
}
