/** Files, messages and child processes of the SQLite fault tests. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Publication } from '../../../src/broker.ts'
import { systemClock } from '../../../src/core/clock.ts'

export function taskMessage(id: string, more: Partial<Publication> = {}): Publication {
  return {
    id,
    queue: 'queue',
    message: {
      properties: { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: id },
      headers: { id, task: 'test' },
      body: '[[],{},{}]',
    },
    record: { id, state: 'PENDING', retries: 0, delivery: 0, seq: 0, at: systemClock.now(), facts: { queue: 'queue' } },
    ...more,
  }
}

export interface TestFile {
  readonly folder: string
  readonly path: string
  readonly url: string
  remove(): void
}

/** A path in a folder of its own; there is no file yet. */
export function testFile(folder: string = mkdtempSync(join(tmpdir(), 'lovage-sqlite-'))): TestFile {
  const path = join(folder, 'queue.db')
  return { folder, path, url: urlOf(path), remove: () => rmSync(folder, { recursive: true, force: true }) }
}

function urlOf(path: string): string {
  return `sqlite://${pathToFileURL(path).pathname}`
}

/** What SQLite says of the file: `ok`. And whether the counters say what the tables hold. */
export function inspect(path: string): { readonly integrity: string; readonly miscounted: number } {
  const db = new DatabaseSync(path)
  try {
    const integrity = String(Object.values(db.prepare('PRAGMA integrity_check').get() ?? {})[0])
    const { miscounted } = db
      .prepare(
        `SELECT count(*) AS miscounted FROM queues q WHERE
           ready <> (SELECT count(*) FROM messages WHERE key >> 48 = q.id AND owner IS NULL) OR
           held <> (SELECT count(*) FROM messages WHERE key >> 48 = q.id AND owner IS NOT NULL) OR
           delayed <> (SELECT count(*) FROM delayed WHERE queue = q.id)`,
      )
      .get() as { miscounted: number }
    return { integrity, miscounted }
  } finally {
    db.close()
  }
}

/** What a child said so far, by word, and a way to wait for more. */
export class Child {
  readonly process: ChildProcess
  readonly #said = new Map<string, string[]>()
  #onLine: () => void = () => undefined

  constructor(role: string, url: string, options: object = {}) {
    const file = fileURLToPath(new URL('sqlite-process.ts', import.meta.url))
    this.process = spawn(process.execPath, [file, role, url, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const { stdout } = this.process
    if (stdout === null) throw new Error('the child has no stdout')
    createInterface({ input: stdout }).on('line', line => this.#hear(line))
  }

  said(word: string): readonly string[] {
    return this.#said.get(word) ?? []
  }

  /** Until it has said the word of `count` things. */
  async until(word: string, count = 1): Promise<void> {
    while (this.said(word).length < count) await new Promise<void>(resolve => (this.#onLine = resolve))
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { exitCode, signalCode } = this.process
    if (exitCode !== null || signalCode !== null) return
    const closed = once(this.process, 'close')
    this.process.kill(signal)
    await closed
  }

  #hear(line: string): void {
    for (const [word, ids] of Object.entries(JSON.parse(line) as Record<string, string[]>)) {
      this.#said.set(word, [...this.said(word), ...(ids.length === 0 ? [''] : ids)])
    }
    this.#onLine()
  }
}
