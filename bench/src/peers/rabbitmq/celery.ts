/**
 * Celery from pip with its prefork pool and rpc:// results, once with nothing set, once as its guide to optimizing has
 * it for many short tasks. Its client is a Python process of its own, which does one thing after the other: it sends,
 * and waits for the oldest batch that somebody wants.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Client, Peer, PeerName, PythonCelery, Sent, Setup } from '../peer.ts'
import { rabbitOf } from './hand-written.ts'

const program = fileURLToPath(import.meta.resolve('./celery_bench.py'))

interface Variant {
  readonly name: PeerName
  readonly prefetch: string
  /** Celery's settings. */
  readonly conf: Readonly<Record<string, unknown>>
  readonly flags: readonly string[]
}

export const celery = peerOf({ name: 'celery', prefetch: '4 a process', conf: {}, flags: [] })

export const celeryBest = peerOf({
  name: 'celery-best',
  prefetch: '128 a process',
  conf: { worker_prefetch_multiplier: 128 },
  flags: ['--without-gossip', '--without-mingle', '--without-heartbeat'],
})

function peerOf(variant: Variant): Peer {
  const { name, conf, flags, prefetch } = variant
  return {
    name,
    configuration: ({ celery: found }) => ({
      driver: `Celery ${found?.version ?? '(missing)'}`,
      durability: 'persistent tasks, not confirmed, acknowledged before they run; transient results (its default)',
      prefetch: `${prefetch}; celery worker --pool prefork, ${String(availableParallelism())} processes (its default)`,
      results: 'rpc://, one queue for each client, read once',
      set: [...Object.entries(conf).map(entry => entry.join('=')), ...flags].join(' ') || 'nothing',
    }),
    // a second of its work: enough for it to be busy all the time
    load: { batch: 20, batchesInFlight: 25 },
    openClient: setup => Promise.resolve(new CeleryClient(pythonOf(setup), environment(setup, variant))),
    worker: setup => ({
      program: pythonOf(setup).python,
      args: ['-m', 'celery', '-A', 'celery_bench', 'worker', '--pool', 'prefork', ...flags],
      env: environment(setup, variant),
    }),
  }
}

function pythonOf(setup: Setup): PythonCelery {
  const { celery: found } = rabbitOf(setup)
  if (found === undefined) throw new Error('there is no Python with Celery')
  return found
}

function environment(setup: Setup, { conf }: Variant): Record<string, string> {
  return {
    PYTHONPATH: fileURLToPath(new URL('.', import.meta.url)),
    PYTHONDONTWRITEBYTECODE: '1',
    // it warns root otherwise
    C_FORCE_ROOT: '1',
    CELERY_BROKER_URL: rabbitOf(setup).url,
    CELERY_RESULT_BACKEND: '',
    BENCH_CELERY_CONF: JSON.stringify(conf),
  }
}

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

interface Asked {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

class CeleryClient implements Client {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #asked = new Map<number, Asked>()
  #count = 0

  constructor({ python }: PythonCelery, env: Readonly<Record<string, string>>) {
    const child = spawn(python, [program], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } })
    this.#child = child
    this.pid = Number(child.pid)
    if (child.stdout) createInterface(child.stdout).on('line', line => this.#take(JSON.parse(line) as Answer))
    child.once('exit', code => this.#fail(new Error(`the Celery client ended with ${String(code)}`)))
    child.once('error', error => this.#fail(error))
  }

  async send(count: number): Promise<Sent> {
    const batch = ++this.#count
    const ids = (await this.#ask(batch, { do: 'send', count })) as readonly string[]
    return { ids, results: async () => void (await this.#ask(++this.#count, { do: 'wait', batch })) }
  }

  async timeOne(): Promise<number> {
    return (await this.#ask(++this.#count, { do: 'timeOne' })) as number
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await ended
  }

  #ask(id: number, request: Readonly<Record<string, unknown>>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#child.stdin?.write(`${JSON.stringify({ id, ...request })}\n`)
    })
  }

  #take({ id, value, error }: Answer): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (error === undefined) asked?.resolve(value)
    else asked?.reject(new Error(error))
  }

  #fail(error: Error): void {
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
  }
}
