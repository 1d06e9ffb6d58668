/** CPU time and memory of a process with all its threads and children, from outside. Linux only: elsewhere undefined. */
import { readFileSync, readdirSync } from 'node:fs'

/** The kernel counts in hundredths of a second on every architecture that Node runs on. */
const msPerTick = 10

export interface Usage {
  readonly cpuMs: number
  readonly residentBytes: number
}

/** Microseconds of CPU that a client has taken so far. */
export function clientCpuUs({ pid }: { readonly pid?: number }): number {
  if (pid !== undefined) return (usageOf(pid)?.cpuMs ?? Number.NaN) * 1000
  const { user, system } = process.cpuUsage()
  return user + system
}

export function usageOf(pid: number): Usage | undefined {
  if (process.platform !== 'linux') return undefined
  const usages = tree(pid).map(usageOfOne)
  return {
    cpuMs: usages.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    residentBytes: usages.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
  }
}

function tree(pid: number): number[] {
  const threads = readdirSync(`/proc/${String(pid)}/task`)
  const children = threads.flatMap(thread =>
    readFileSync(`/proc/${String(pid)}/task/${thread}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number),
  )
  return [pid, ...children.flatMap(tree)]
}

function usageOfOne(pid: number): Usage {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
  // the second field, the command's name in parentheses, may hold spaces
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
  const residentKib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN)
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * msPerTick, residentBytes: residentKib * 1024 }
}
