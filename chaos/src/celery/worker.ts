/** One Celery worker: the solo pool, late acknowledgement, one message at a time. */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, statSync } from 'node:fs'
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

  constructor(python: Python, env: NodeJS.ProcessEnv) {
    const folder = env['CHAOS_HISTORIES'] ?? '.'
    const log = openSync(join(folder, '../workers.log'), 'a')
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
    const until = Date.now() + 30_000
    while (this.#written() === 0) {
      if (this.#child.exitCode !== null) throw new Error(`celery ended with ${this.#child.exitCode}: see workers.log`)
      if (Date.now() > until) throw new Error('celery ran no task within 30 s')
      await wait(5)
    }
  }

  async killAfter(ms: number): Promise<void> {
    await wait(ms)
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** Resolves when nothing waits and nothing more was written for three seconds. */
  async untilEmpty(isEmpty: () => Promise<boolean>): Promise<void> {
    for (;;) {
      const before = this.#written()
      await wait(3000)
      if (this.#written() === before && (await isEmpty())) return
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
  }

  #written(): number {
    return statSync(this.#effects, { throwIfNoEntry: false })?.size ?? 0
  }
}
