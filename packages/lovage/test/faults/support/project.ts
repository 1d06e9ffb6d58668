/** A project in a folder of its own, the command line in it, and an app that looks at the same file from the test. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { internals } from '../../../src/app/internals.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import type { Backend } from '../../../src/backend.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { isReadyState } from '../../../src/core/states.ts'
import { Child, command, type Ended } from './child.ts'
import { until, type UntilOptions } from './until.ts'

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url))

/** What one call of the command line came to. */
export interface Said {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** One line that a task has written to the project's `effects` file. */
export interface Effect {
  readonly word: string
  readonly id: string
  readonly pid: number
  /** Epoch milliseconds. */
  readonly at: number
}

export class Project {
  readonly root: string
  /** In the test's process, on the project's file. */
  readonly app: Lovage
  readonly env: NodeJS.ProcessEnv

  /** @param tasks the text of tasks.ts; undefined: the tasks of support/tasks.ts. */
  constructor(options: { readonly tasks?: string; readonly env?: NodeJS.ProcessEnv } = {}) {
    this.root = realpathSync(mkdtempSync(join(tmpdir(), 'lovage-faults-')))
    this.env = options.env ?? {}
    this.write('package.json', '{ "type": "module", "private": true }')
    link(this.root, 'lovage', packageRoot)
    link(this.root, 'zod', join(packageRoot, '../../node_modules/zod'))
    if (options.tasks === undefined) copyFileSync(new URL('./tasks.ts', import.meta.url), join(this.root, 'tasks.ts'))
    else this.write('tasks.ts', options.tasks)
    this.app = new Lovage('outside', { brokerUrl: `sqlite:${this.database}` })
    onTestFinished(async () => {
      await this.app.close()
      rmSync(this.root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    })
  }

  get database(): string {
    return join(this.root, '.lovage/queue.db')
  }

  write(path: string, text: string | Uint8Array): string {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    return file
  }

  /** Starts `lovage …` and leaves it running; under another program, if there is one. */
  start(args: readonly string[], env: NodeJS.ProcessEnv = {}, under: readonly string[] = []): Child {
    return new Child([command, ...args], { cwd: this.root, env: { ...this.env, ...env }, under })
  }

  /** Starts a file of the project. */
  node(file: string): Child {
    return new Child([file], { cwd: this.root, env: this.env })
  }

  /** Runs `lovage …` to its end. */
  async lovage(...args: readonly string[]): Promise<Said> {
    const child = this.start(args)
    const { code } = await closed(child)
    const text = (stream: 'out' | 'err'): string =>
      child.lines
        .filter(line => line.stream === stream)
        .map(line => line.text)
        .join('\n')
    return { code, out: text('out'), err: text('err') }
  }

  /** A worker that takes tasks. */
  async worker(options: { readonly args?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {}): Promise<Child> {
    const child = this.start(
      ['-A', 'tasks.ts', 'worker', '-l', 'info', '-c', '4', ...(options.args ?? [])],
      options.env,
    )
    await child.line(/ ready\./)
    return child
  }

  backend(): Promise<Backend> {
    return internals(this.app).backend()
  }

  async stored(id: string): Promise<StoredState | undefined> {
    const lookup = await (await this.backend()).results.get(id)
    return lookup.kind === 'state' ? lookup.state : undefined
  }

  /** Waits for a task to be in a state, by name or by what it looks like. */
  async reaches(
    id: string,
    wanted: string | ((state: StoredState) => boolean),
    options: UntilOptions = {},
  ): Promise<StoredState> {
    let seen: StoredState | undefined
    const fits = typeof wanted === 'string' ? (state: StoredState): boolean => state.state === wanted : wanted
    const look = async (): Promise<StoredState | false> => {
      seen = await this.stored(id)
      if (seen !== undefined && typeof wanted === 'string' && isReadyState(seen.state) && !fits(seen))
        throw new Error(`${id} is ${JSON.stringify(seen)}, never to be ${wanted}`)
      return seen !== undefined && fits(seen) ? seen : false
    }
    return await until(`${id} is ${String(wanted)}`, look, { ...options, last: () => JSON.stringify(seen) })
  }

  /** What tasks have written with `mark`, oldest first. */
  effects(word?: string): readonly Effect[] {
    const all = readText(join(this.root, 'effects'))
      .split('\n')
      .filter(line => line !== '')
      .map(parseEffect)
    return word === undefined ? all : all.filter(effect => effect.word === word)
  }

  effect(word: string, fits: (effect: Effect) => boolean = () => true, options: UntilOptions = {}): Promise<Effect> {
    return until(`the effect ${word}`, () => this.effects(word).find(fits), options)
  }

  /** SQLite's own word on the file: `ok`. */
  integrity(): unknown {
    const db = new DatabaseSync(this.database)
    try {
      return db.prepare('PRAGMA integrity_check').get()?.['integrity_check']
    } finally {
      db.close()
    }
  }
}

function closed(child: Child): Promise<Ended> {
  return new Promise(resolve => child.process.once('close', (code, signal) => resolve({ code, signal })))
}

function parseEffect(line: string): Effect {
  const [word = '', id = '', pid, at] = line.split(' ')
  return { word, id, pid: Number(pid), at: Number(at) }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function link(root: string, name: string, target: string): void {
  mkdirSync(join(root, 'node_modules'), { recursive: true })
  symlinkSync(target, join(root, 'node_modules', name), 'dir')
}
