import type { ChildProcess } from 'node:child_process'

/**
 * Resolves when the child has ended. Should this process end first, of a signal too, the child is killed, before any
 * other of its last steps: a folder that is removed then is written into no more.
 */
export function goneWithUs(child: ChildProcess): Promise<void> {
  const kill = (): void => void child.kill('SIGKILL')
  process.prependOnceListener('exit', kill)
  return new Promise(resolve => {
    child.once('exit', () => {
      process.off('exit', kill)
      resolve()
    })
  })
}
