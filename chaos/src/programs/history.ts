/**
 * What is written down while it happens: one JSON object per line, each process into a file of its own, opened for
 * appending. A line is in the kernel's hands when `write` returns, so a SIGKILL leaves at most one torn line, the last.
 * All instants are `Date.now()` of the one machine.
 */
import { mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** What a task is for; one for each name in tasks.ts. */
export type Kind = 'quick' | 'nap' | 'steps' | 'flaky' | 'delayed' | 'early' | 'doomed' | 'expiring' | 'long' | 'broken'

/**
 * A producer's line. `no`: the publish was rejected, and what it said of the message. `revoking` is written before the
 * revoke is asked for, `revoked` when it is confirmed. Of an expiry: the earliest and, once it is sent, the latest.
 */
export type ProducerLine =
  | Attempt
  | { readonly k: 'ok'; readonly id: string; readonly at: number; readonly expiresAt?: number }
  | { readonly k: 'no'; readonly id: string; readonly at: number; readonly accepted: 'no' | 'unknown' }
  | { readonly k: 'revoking' | 'revoked'; readonly id: string; readonly at: number }

interface Attempt {
  readonly k: 'try'
  readonly id: string
  readonly kind: Kind
  readonly at: number
  readonly notBefore?: number
  readonly expiresFrom?: number
}

/** A task's line: one run of it begins, has done its work, or was cut short. `pid`: the process it runs in. */
export interface EffectLine {
  readonly k: 'start' | 'end' | 'threw'
  readonly id: string
  readonly kind: Kind
  readonly retries: number
  readonly pid: number
  /** Of that process. When a suspect runs alone, it is the worker; the checkers then get it as `pid`, too. */
  readonly parent: number
  readonly at: number
}

/** What one observer saw of one task. */
export interface SeenLine {
  readonly observer: string
  readonly id: string
  readonly state: string
  /** As much of `(retries, delivery, rank, seq)` as this observer is shown. */
  readonly version: readonly number[]
  readonly ready: boolean
  /** Of a ready state: what is kept with it, shortened to a hash. */
  readonly value?: string
  /** When it was shown; of ABSENT: when it was asked for. */
  readonly at: number
}

/** That there is no such task: below every version of it. */
export function absent(observer: string, id: string, askedAt: number): SeenLine {
  return { observer, id, state: 'ABSENT', version: [-1], ready: false, at: askedAt }
}

/** What was done to a process, and what became of it; `full` and `free`: the disk; `server`: a fault of the driver's own. */
export interface FaultLine {
  readonly k: FaultKind
  readonly role?: 'worker' | 'producer' | 'reader'
  readonly pid?: number
  readonly at: number
  /** For people; of `exit` and `died`: the exit code, or the signal. */
  readonly note?: string
}

export type FaultKind =
  'start' | 'ready' | 'kill' | 'freeze' | 'thaw' | 'stop' | 'exit' | 'died' | 'full' | 'free' | 'server' | 'drain'

export interface History {
  write(...lines: readonly object[]): void
}

/** @param name of the file, without its end; one per process. */
export function openHistory(folder: string, name: string): History {
  mkdirSync(folder, { recursive: true })
  const file = openSync(join(folder, `${name}.jsonl`), 'a')
  return {
    write(...lines) {
      if (lines.length > 0) writeSync(file, `${lines.map(line => JSON.stringify(line)).join('\n')}\n`)
    },
  }
}
