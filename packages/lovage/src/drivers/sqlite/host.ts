/** Who a process is and whether it lives: what the lease of a dead worker is judged by. */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

export interface HostIdentity {
  /** Changes with every start of the machine. */
  readonly boot: string
  /** Processes of one pid namespace can see each other. */
  readonly pidSpace: string
  /** Within one time namespace monotonic clocks can be compared. */
  readonly timeSpace: string
}

/** Where /proc is missing, the host's name stands for all three: leases then end by time alone after a reboot. */
export function hostIdentity(): HostIdentity {
  const boot = attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) ?? hostname()
  return {
    boot,
    pidSpace: attempt(() => readlinkSync('/proc/self/ns/pid')) ?? hostname(),
    timeSpace: attempt(() => readlinkSync('/proc/self/ns/time')) ?? boot,
  }
}

/**
 * When a process started, in the kernel's ticks: tells it from a later one of the same pid. Empty: unknown or gone. The
 * same process has another start for those who look from another time namespace.
 */
export function processStart(pid: number): string {
  return attempt(() => processStat(pid).start) ?? ''
}

/** Whether the process of this pid and start lives: a zombie does not. @param start empty: whichever has the pid */
export function isProcessAlive(pid: number, start: string): boolean {
  const stat = attempt(() => processStat(pid))
  if (stat === undefined) return start === '' && canSignal(pid)
  return (start === '' || stat.start === start) && stat.state !== 'Z' && stat.state !== 'X'
}

/** The cheap question, a tenth of the other: a zombie, and another process of the same pid, pass for it. */
export function canSignal(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: it lives, but is someone else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function processStat(pid: number): { readonly state: string; readonly start: string } {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The command's name, in parentheses, may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', start: fields[19] ?? '' }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
