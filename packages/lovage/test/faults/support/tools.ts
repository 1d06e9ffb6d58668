/**
 * What of the system some faults need. In CI a missing program is installed, or the run fails; elsewhere it is said. What
 * cannot be installed is a right: many a container's root may not mount. That is said, and counted as skipped, in CI too.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const isLinux = process.platform === 'linux'
const install: string = fileURLToPath(new URL('../../../../../scripts/servers.js', import.meta.url))

/** Whether system calls can be made to fail. @throws {Error} CI has no strace, and it could not be installed. */
export function hasStrace(): boolean {
  return provided('strace', () => spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0)
}

/** The library that makes a process see another time. @throws {Error} as above. */
export function fakeTime(): string | undefined {
  const find = (): string | undefined =>
    globSync('{/usr/lib/*/faketime,/usr/lib/faketime,/usr/lib64/faketime}/libfaketime.so.1')[0]
  provided('faketime', () => find() !== undefined)
  return isLinux ? find() : undefined
}

/** Whether locks can be taken that Node cannot take. @throws {Error} as above. */
export function hasPython(): boolean {
  return provided('python3', () => spawnSync('python3', ['-c', 'import fcntl']).status === 0)
}

/** Whether file systems can be mounted. */
export function canMount(): boolean {
  const isRoot = isLinux && process.getuid?.() === 0
  const can = isRoot && spawnSync('unshare', ['-m', 'true']).status === 0
  const need = isRoot ? 'a root that may mount: docker run --cap-add SYS_ADMIN' : 'root on Linux'
  if (!can) tell('file systems of a size of their own', need)
  return can
}

function provided(program: string, isThere: () => boolean): boolean {
  if (isLinux && !isThere() && process.env['CI'])
    execFileSync(process.execPath, [install, program], { stdio: 'inherit' })
  if (isLinux && isThere()) return true
  if (isLinux && process.env['CI'])
    throw new Error(`CI needs ${program}, and it could not be installed or does not run.`)
  tell(`what ${program} does`, isLinux ? `${program}: sudo apt-get install ${program}` : 'Linux')
  return false
}

function tell(what: string, need: string): void {
  console.warn(`SKIPPED: tests that need ${what}. They need ${need}.`)
}
