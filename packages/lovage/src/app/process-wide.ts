/**
 * What all copies of this module in one process share, through one `Symbol.for` on `globalThis`: frameworks evaluate
 * modules twice and hot reload evaluates them again, and neither may open a second connection or lose the current task.
 * The one exception to "no module-level state".
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Connection } from '../backend.ts'
import { systemClock, type Timer } from '../core/clock.ts'
import type { TaskContext } from './types.ts'

/** A connection and how many backends use it. */
interface SharedConnection {
  readonly opening: Promise<Connection>
  userCount: number
}

interface ProcessWide {
  /** By URL and options. */
  readonly connections: Map<string, SharedConnection>
  readonly currentTask: AsyncLocalStorage<TaskContext>
  /** Lines that were printed and are printed once per process. */
  readonly printed: Set<string>
  /** Brokers whose workers were asked for. */
  readonly asked: Set<string>
  /** What keeps the process alive: those who wait for a result, on one timer. */
  readonly holds: { count: number; timer: Timer | undefined }
}

// the number changes with the shape: another version of Lovage in the same process then has its own
const key: unique symbol = Symbol.for('lovage.process.2') as never

export function processWide(): ProcessWide {
  const holder = globalThis as { [key]?: ProcessWide }
  return (holder[key] ??= {
    connections: new Map(),
    currentTask: new AsyncLocalStorage(),
    printed: new Set(),
    asked: new Set(),
    holds: { count: 0, timer: undefined },
  })
}

/** What a connection calls itself, for people: a file by its path, anything else by its masked URL. */
export function shownPlace(description: string): string {
  return description.replace(/^[a-z]+:\/\/(?=\/)/, '')
}

/** Prints a line to stderr, once per process. */
export function printOnce(line: string): void {
  const { printed } = processWide()
  if (printed.has(line)) return
  printed.add(line)
  process.stderr.write(`${line}\n`)
}

/** The task this code runs in, from any depth; undefined outside one. */
export function currentTask(): TaskContext | undefined {
  return processWide().currentTask.getStore()
}

/** Keeps the process alive until the returned function is called, once. */
export function holdProcess(): () => void {
  const { holds } = processWide()
  // longer than any timer can be: only `cancel` ends it
  if (holds.count++ === 0) holds.timer = systemClock.after(2 ** 50, () => undefined)
  return () => {
    if (--holds.count === 0) holds.timer?.cancel()
  }
}
