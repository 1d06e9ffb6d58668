/** One cell of the crash-point matrix: a project with its tasks, real processes, and what is seen from outside. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { internals } from '../../../src/app/internals.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import type { Backend } from '../../../src/backend.ts'
import type { Publication } from '../../../src/broker.ts'
import type { CrashAction } from '../../../src/core/crash-point.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { isNewer, isReadyState } from '../../../src/core/states.ts'
import { Running } from '../../fixtures/command-line.ts'
import { copyProject, type ProjectCopy } from '../../fixtures/copy-project.ts'
import type { CrashDriver, Place } from './crash-drivers.ts'
import type { Work } from './crash-table.ts'
import { until } from './until.ts'

const bin = fileURLToPath(new URL('../../../bin/lovage.js', import.meta.url))
const queue = 'celery'
const leaseMs = 1000
const patience = { timeoutMs: 110_000, everyMs: 50 }

const tasks = `
import { appendFileSync } from 'node:fs'
import { Lovage } from 'lovage'
export const app = new Lovage('crashes')
const mark = (task, n: number) => appendFileSync('effects', n + ':' + task.retries + ' ')
export const effect = app.task('crash.effect', async (task, n: number) => {
  await task.sleep(60)
  task.progress(1, 2)
  await task.sleep(20)
  mark(task, n)
  return n
})
export const tiny = app.task('crash.tiny', (task, n: number) => mark(task, n))
export const flaky = app.task('crash.flaky', { retry: { max: 1, delayMs: 50, jitter: false } }, async (task, n: number) => {
  await task.sleep(40)
  mark(task, n)
  if (task.retries === 0) throw new Error('the first attempt')
  return n
})
export const slow = app.task('crash.slow', async (task, steps: number) => {
  for (let step = 0; step < steps; step++) {
    task.progress(step, steps)
    await task.sleep(50)
  }
  return steps
})
`

export type Process = Running & { readonly pid: number }

export class CrashScene implements AsyncDisposable {
  readonly app: Lovage
  readonly histories: Map<string, StoredState[]> = new Map()
  readonly #project: ProjectCopy
  readonly #place: Place
  readonly #signal: AbortSignal

  static async open(driver: CrashDriver, signal: AbortSignal): Promise<CrashScene> {
    const project = copyProject()
    project.write('tasks.ts', tasks)
    project.write('package.json', '{ "type": "module" }')
    return new CrashScene(project, await driver.open(project.root), signal)
  }

  private constructor(project: ProjectCopy, place: Place, signal: AbortSignal) {
    this.#project = project
    this.#place = place
    this.#signal = signal
    const { LOVAGE_BROKER_URL: brokerUrl, LOVAGE_RESULT_BACKEND: resultBackend } = place.urls
    this.app = new Lovage('crashes', { brokerUrl, resultBackend, leaseMs })
  }

  backend(): Promise<Backend> {
    return internals(this.app).backend()
  }

  write(path: string, text: string): void {
    this.#project.write(path, text)
  }

  /** Sends so many tasks; their ids, and of a chain its second ones' behind them. */
  async send(work: Work, count: number): Promise<readonly string[]> {
    const numbers = Array.from({ length: count }, (_, index) => index)
    if (work !== 'chain') {
      const sent = await Promise.all(numbers.map(n => this.app.sendTask(`crash.${work}`, [n])))
      return sent.map(({ id }) => id)
    }
    const chains = numbers.map(n => chainOfTwo(n, count + n))
    await (await this.backend()).publish(chains.map(({ first }) => first))
    return [...chains.map(({ first }) => first.id), ...chains.map(({ nextId }) => nextId)]
  }

  /** Starts a program in the project. @param crashAt LOVAGE_CRASH_AT @param ownLeaseMs a connection's heartbeat follows it */
  start(args: readonly string[], crashAt?: string, ownLeaseMs: number = leaseMs): Process {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(LOVAGE|CELERY|VITEST|NODE_ENV)/.test(name))
    const env = { ...Object.fromEntries(inherited), ...this.#place.urls, LOVAGE_LEASE_MS: `${ownLeaseMs}ms` }
    const child = spawn(process.execPath, args, {
      cwd: this.#project.root,
      env: crashAt === undefined ? env : { ...env, LOVAGE_CRASH_AT: crashAt },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    // a test that takes too long leaves none behind
    this.#signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
    return Object.assign(new Running(child), { pid: child.pid ?? 0 })
  }

  worker(concurrency: number, crashAt?: string): Process {
    return this.start([bin, 'worker', 'tasks.ts', '-c', String(concurrency), '-l', 'debug'], crashAt)
  }

  /** Follows tasks; resolves, when that has begun, to what waits for a number of them to be ready. */
  async watch(ids: readonly string[]): Promise<(readyCount: number) => Promise<void>> {
    const { results } = await this.backend()
    const waiting: { readonly count: number; readonly resolve: () => void }[] = []
    let ready = 0
    const onState = (state: StoredState): void => {
      this.histories.set(state.id, [...(this.histories.get(state.id) ?? []), state])
      if (!isReadyState(state.state)) return
      ready++
      for (const { count, resolve } of waiting) if (ready >= count) resolve()
    }
    await results.watch(ids, { onState })
    return count =>
      new Promise(resolve => {
        if (ready >= count) resolve()
        else waiting.push({ count, resolve })
      })
  }

  /** How often each attempt had its effect, by `number:retries`. */
  effects(): ReadonlyMap<string, number> {
    const file = join(this.#project.root, 'effects')
    const counts = new Map<string, number>()
    const words = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ') : []
    for (const word of words) if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1)
    return counts
  }

  /** Which of the tasks are ready, by their place in the list. */
  async ready(ids: readonly string[]): Promise<number[]> {
    const found = await (await this.backend()).results.getMany(ids)
    return found.flatMap((each, index) => (each.kind === 'state' && isReadyState(each.state.state) ? [index] : []))
  }

  /** Messages in the queue, whoever holds them. */
  async left(): Promise<number> {
    const { ready, delayed = 0, unsettled = 0 } = await (await this.backend()).broker.stats(queue)
    const told = ready + delayed + unsettled
    return told === 0 && this.#place.left !== undefined ? await this.#place.left(queue) : told
  }

  async drained(): Promise<void> {
    await until('the queue is empty', async () => (await this.left()) === 0, patience)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close()
    await this.#place.end()
    this.#project[Symbol.dispose]()
  }
}

/** As Celery sends it: a task, and the one that is called when it has ended. */
function chainOfTwo(number: number, next: number): { readonly first: Publication; readonly nextId: string } {
  const [id, nextId] = [randomUUID(), randomUUID()]
  const signature = { task: 'crash.effect', args: [next], kwargs: {}, options: { task_id: nextId }, immutable: true }
  const embed = { callbacks: null, errbacks: null, chain: [signature], chord: null }
  const properties = { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: id }
  const headers = { lang: 'py', task: 'crash.effect', id, root_id: id, retries: 0 }
  const message = { properties, headers, body: JSON.stringify([[number], {}, embed]) }
  return { first: { id, queue, message }, nextId }
}

/** Resolves when the armed process has come to its point and what was to happen there has happened. */
export async function crashed(armed: Process, name: string, action: CrashAction): Promise<void> {
  await armed.shows(`crash point ${name}: ${action}`)
  const status = (): string => readFileSync(`/proc/${armed.pid}/status`, 'utf8')
  if (action === 'kill') await armed.finished()
  if (action === 'stop') await until('it stands still', () => /^State:\tT/m.test(status()), patience)
}

/**
 * Lets a frozen process go on: when the others are done without it, or, where it holds a lock that they need, long
 * after its lease.
 */
export async function thaw(armed: Process, othersAreDone: Promise<unknown>): Promise<void> {
  await Promise.race([othersAreDone, new Promise(resolve => setTimeout(resolve, 2.5 * leaseMs))])
  armed.signal('SIGCONT')
}

/** What every reader saw of a task went forward, and ended well. */
export function expectNoStepBack(histories: Iterable<readonly StoredState[]>): void {
  for (const states of histories) {
    expect(states.at(-1)?.state).toBe('SUCCESS')
    for (const [index, state] of states.entries()) expect(isNewer(state, states[index - 1])).toBe(true)
  }
}
