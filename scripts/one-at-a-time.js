// What installs something is asked for by several tests at once: one does it, the others wait until it has.
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = join(tmpdir(), 'lovage-install.lock')
// longer than any installation takes: whoever made it is gone
const staleMs = 10 * 60_000

/** Runs `work` while no other process of this machine runs its own. */
export function oneAtATime(work) {
  while (!tryLock()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  try {
    work()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function tryLock() {
  try {
    mkdirSync(folder)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  const since = statSync(folder, { throwIfNoEntry: false })?.mtimeMs
  if (since !== undefined && Date.now() - since > staleMs) rmSync(folder, { recursive: true, force: true })
  return false
}
