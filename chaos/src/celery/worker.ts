/** One Celery worker: the solo pool, late acknowledgement, one message at a time. */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { goneWithUs } from '../gone-with-us.ts'
import type { Python } from './python.ts'

/** What is not needed for running tasks is left off, so that it starts in a second. */
const flags = ['--pool', 'solo', '--without-gossip', '--without-mingle', '--without-heartbeat', '--loglevel', 'ERROR']

export class CeleryWorker {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #effects: string
  readonly #logFile: string

  constructor(python: Python, env: NodeJS.ProcessEnv) {
    const folder = env['CHAOS_HISTORIES'] ?? '.'
    this.#logFile = join(folder, '../workers.log')
    const log = openSync(this.#logFile, 'a')
    this.#child = spawn(python.path, ['-m', 'celery', '-A', 'tasks', 'worker', ...flags], {
      cwd: import.meta.dirname,
      env,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.#ended = goneWithUs(this.#child)
    this.#effects = join(folder, `effects-${this.#child.pid}.jsonl`)
  }

  /** Resolves when it has written of its first task. @throws {Error} it ended, or took half a minute. */
  async firstEnd(): Promise<void> {
    await this.#more(0, 5)
  }

  async killAfter(ms: number): Promise<void> {
    await wait(ms)
    await this[Symbol.asyncDispose]()
  }

  /** Resolves when nothing waits and nothing more was written for three seconds. @throws {Error} as `firstEnd`. */
  async untilEmpty(isEmpty: () => Promise<boolean>): Promise<void> {
    for (;;) {
      const before = this.#written()
      await wait(3000)
      if (this.#written() > before) continue
      if (await isEmpty()) return
      await this.#more(before, 100)
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async #more(than: number, everyMs: number): Promise<void> {
    const until = Date.now() + 30_000
    while (this.#written() <= than) {
      const end = this.#child.exitCode ?? this.#child.signalCode
      if (end !== null) throw this.#error(`celery ended with ${end}`)
      if (Date.now() > until) throw this.#error('celery ran no task within 30 s')
      await wait(everyMs)
    }
  }

  #error(message: string): Error {
    const said = readFileSync(this.#logFile, 'utf8').slice(-2000).trim()
    return new Error(`${message}; the last its log says: ${said || '(nothing)'}`)
  }

  #written(): number {
    return statSync(this.#effects, { throwIfNoEntry: false })?.size ?? 0
  }
}
