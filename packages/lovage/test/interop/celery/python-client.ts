/** Stock Celery as client and as worker: two processes that live as long as the matrix. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('python_side.py', import.meta.url))

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

export class PythonClient {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #lastId = 0
  readonly version: Promise<unknown>

  constructor(python: string, brokerUrl: string) {
    this.#child = spawn(python, [script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: environment(brokerUrl),
    })
    this.version = this.#expect(0)
    const { stdout } = this.#child
    if (stdout !== null) createInterface(stdout).on('line', line => this.#answered(JSON.parse(line) as Answer))
    this.#child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('The Python client has ended'))
    })
  }

  /** The value of the last expression of some Python, run one after the other. @throws {Error} what Python raised. */
  run(code: string): Promise<unknown> {
    const id = ++this.#lastId
    this.#child.stdin?.write(`${JSON.stringify({ id, code })}\n`)
    return this.#expect(id)
  }

  async end(): Promise<void> {
    await endOf(this.#child, 'SIGKILL')
  }

  #expect(id: number): Promise<unknown> {
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiting)
    return waiting.promise
  }

  #answered({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(new Error(error))
  }
}

/** A prefork worker of one queue, called after it; ready when this resolves. */
export async function startPythonWorker(
  python: string,
  brokerUrl: string,
  queue: string,
): Promise<() => Promise<void>> {
  const name = ['-Q', queue, '-n', `${queue}@%h`]
  const args = ['-m', 'celery', '-A', 'python_side', 'worker', ...name, '-c', '4', '-l', 'INFO']
  const child = spawn(python, args, {
    cwd: dirname(script),
    stdio: ['ignore', 'ignore', 'pipe'],
    env: environment(brokerUrl),
  })
  const { stderr } = child
  const ready = Promise.withResolvers<void>()
  const said: string[] = []
  if (stderr !== null)
    createInterface(stderr).on('line', line => {
      said.push(line)
      if (line.includes(' ready.')) ready.resolve()
    })
  child.once('close', () => ready.reject(new Error(`The Celery worker has ended:\n${said.slice(-30).join('\n')}`)))
  await ready.promise
  // a warm stop would wait for what the tests have left running
  return () => endOf(child, 'SIGQUIT')
}

async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  const late = setTimeout(() => child.kill('SIGKILL'), 5000)
  await ended
  clearTimeout(late)
}

function environment(brokerUrl: string): NodeJS.ProcessEnv {
  const { PATH, HOME, LANG } = process.env
  return {
    PATH,
    HOME,
    LANG: LANG ?? 'C.UTF-8',
    PYTHONUTF8: '1',
    PYTHONDONTWRITEBYTECODE: '1',
    INTEROP_BROKER_URL: brokerUrl,
    C_FORCE_ROOT: '1',
  }
}
