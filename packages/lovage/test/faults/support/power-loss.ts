/**
 * A disk that loses its power: what a process wrote, as strace recorded it, and what of it may be on the disk after each
 * of its steps. What was fsynced is there; what was not may be there, in whole, in part, or not at all.
 */
import { readFileSync } from 'node:fs'

export type Step =
  | { readonly kind: 'write'; readonly path: string; readonly bytes: Buffer; readonly at: number }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  | { readonly kind: 'sync'; readonly path: string }
  /** It said something on stdout. */
  | { readonly kind: 'said'; readonly text: string }

export const recorder: readonly string[] =
  '-f -y -xx -s 1000000 --seccomp-bpf -qq -e signal=none -e trace=pwrite64,fsync,fdatasync,ftruncate,write'.split(' ')

/** What a recording says, in order. A call that others interrupt counts where it began, a sync where it ended. */
export function readSteps(log: string): Step[] {
  const unfinished = new Map<string, string>()
  const steps: Step[] = []
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest)
    if (resumed !== null) {
      const began = unfinished.get(pid)
      if (began !== undefined && resumed[1]?.endsWith('sync') === true) add(steps, began)
      continue
    }
    if (rest.endsWith('<unfinished ...>')) unfinished.set(pid, rest)
    if (!rest.endsWith('<unfinished ...>') || !/^f(?:data)?sync/.test(rest)) add(steps, rest)
  }
  return steps
}

function add(steps: Step[], call: string): void {
  const [, name = '', fd = '', hexPath = '', rest = ''] = /^(\w+)\((\d+)<([^>]*)>(.*)$/.exec(call) ?? []
  const path = unhex(hexPath).toString()
  const [, text = '', more = ''] = /^, "([^"]*)"(.*)/.exec(rest) ?? []
  if (name === 'write' && fd === '1') steps.push({ kind: 'said', text: unhex(text).toString() })
  else if (name === 'pwrite64')
    steps.push({ kind: 'write', path, bytes: unhex(text), at: Number(/^, \d+, (\d+)/.exec(more)?.[1]) })
  else if (name === 'ftruncate') steps.push({ kind: 'truncate', path, size: Number(/\d+/.exec(rest)?.[0]) })
  else if (/^f(?:data)?sync$/.test(name)) steps.push({ kind: 'sync', path })
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}

/** What becomes of the writes since the last sync: each whole, none, or by chance whole, half or not at all. */
export type Fate = 'all' | 'none' | 'some'

/** One file: what is safe, and what was written since. */
class DiskFile {
  #safe: Buffer
  #since: Step[] = []

  constructor(initial: Buffer) {
    this.#safe = initial
  }

  take(step: Step): void {
    if (step.kind === 'sync') [this.#safe, this.#since] = [this.after('all', () => 0), []]
    else this.#since.push(step)
  }

  after(fate: Fate, random: () => number): Buffer {
    if (fate === 'none') return this.#safe
    let bytes = this.#safe
    for (const step of this.#since) {
      const dice = fate === 'all' ? 0 : random()
      if (dice > 0.75) continue
      bytes = apply(bytes, step, dice > 0.5)
    }
    return bytes
  }
}

/** @param isTorn only its first half, in sectors, arrived. */
function apply(bytes: Buffer, step: Step, isTorn: boolean): Buffer {
  if (step.kind === 'truncate')
    return Buffer.concat([bytes, Buffer.alloc(Math.max(0, step.size - bytes.length))]).subarray(0, step.size)
  if (step.kind !== 'write') return bytes
  const written = isTorn ? step.bytes.subarray(0, Math.ceil(step.bytes.length / 1024) * 512) : step.bytes
  const next = Buffer.alloc(Math.max(bytes.length, step.at + written.length))
  bytes.copy(next)
  written.copy(next, step.at)
  return next
}

export class Disk {
  readonly #files: ReadonlyMap<string, DiskFile>

  constructor(initial: ReadonlyMap<string, Buffer>) {
    this.#files = new Map([...initial].map(([path, bytes]) => [path, new DiskFile(bytes)]))
  }

  take(step: Step): void {
    if (step.kind !== 'said') this.#files.get(step.path)?.take(step)
  }

  /** What may be found when the power is back. */
  after(fate: Fate, random: () => number): ReadonlyMap<string, Buffer> {
    return new Map([...this.#files].map(([path, file]) => [path, file.after(fate, random)]))
  }
}
