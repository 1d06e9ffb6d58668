/** A real process, its lines, and its end. Killed when the test ends, frozen or not. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { until } from './until.ts'

export const command: string = fileURLToPath(new URL('../../../bin/lovage.js', import.meta.url))

export interface Line {
  readonly text: string
  readonly stream: 'out' | 'err'
  /** `performance.now()` of its arrival. */
  readonly at: number
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Child {
  readonly process: ChildProcess
  readonly lines: Line[] = []
  readonly startedAt: number = performance.now()
  readonly ended: Promise<Ended>
  endedAt: number | undefined

  /**
   * @param options program: what runs; else this Node. under: a program and its arguments that become this process, or
   * start it in their place.
   */
  constructor(
    args: readonly string[],
    options: {
      readonly cwd: string
      readonly env?: NodeJS.ProcessEnv
      readonly program?: string
      readonly under?: readonly string[]
    },
  ) {
    const { cwd, env = {}, program = process.execPath, under = [] } = options
    const [first = program, ...rest] = [...under, program, ...args]
    this.process = spawn(first, rest, { cwd, env: cleanEnvironment(env), stdio: ['ignore', 'pipe', 'pipe'] })
    this.#read('out')
    this.#read('err')
    const { promise, resolve } = Promise.withResolvers<Ended>()
    this.ended = promise
    // 'exit' and not 'close': a grandchild may hold the pipes
    this.process.once('exit', (code, signal) => {
      this.endedAt = performance.now()
      resolve({ code, signal })
    })
    onTestFinished(() => this.kill('SIGKILL'))
  }

  get pid(): number {
    return this.process.pid ?? 0
  }

  get output(): string {
    return this.lines.map(({ text }) => text).join('\n')
  }

  get isAlive(): boolean {
    return this.endedAt === undefined
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal)
  }

  /** The first line that fits, of those written so far and those that follow `from`. */
  line(pattern: RegExp, options: { readonly from?: number; readonly timeoutMs?: number } = {}): Promise<Line> {
    const { from = 0, timeoutMs = 20_000 } = options
    const look = (): Line | undefined => {
      const found = this.lines.slice(from).find(({ text }) => pattern.test(text))
      if (found === undefined && !this.isAlive)
        throw new Error(`The process ended without a line like ${pattern}:\n${this.output}`)
      return found
    }
    return until(`a line like ${pattern}`, look, { timeoutMs, last: () => this.output })
  }

  #read(stream: 'out' | 'err'): void {
    let rest = ''
    const source = stream === 'out' ? this.process.stdout : this.process.stderr
    source?.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      for (const text of parts) this.lines.push({ text, stream, at: performance.now() })
    })
    source?.once('close', () => {
      if (rest !== '') this.lines.push({ text: rest, stream, at: performance.now() })
    })
  }
}

/** The tests' own settings stay out of the processes they start. */
function cleanEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:LOVAGE|CELERY|VITEST|NODE_OPTIONS|NODE_ENV|CI$)/.test(name),
  )
  return { ...Object.fromEntries(own), NO_COLOR: '1', ...env }
}
