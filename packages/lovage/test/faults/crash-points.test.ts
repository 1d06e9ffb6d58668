/**
 * RELIABILITY b.3, rows W2–W8, on SQLite: a worker that dies, freezes or throws at a named point, a healthy one beside
 * it, and what is promised seen from outside: states, effects, and what is left in the queue.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { internals } from '../../src/app/internals.ts'
import { Lovage } from '../../src/app/lovage.ts'
import type { Backend } from '../../src/backend.ts'
import type { StoredState } from '../../src/core/record.ts'
import { isNewer, isReadyState } from '../../src/core/states.ts'
import { Running } from '../fixtures/command-line.ts'
import { copyProject, type ProjectCopy } from '../fixtures/copy-project.ts'

const bin = fileURLToPath(new URL('../../bin/lovage.js', import.meta.url))
const tasks = 20
const patience = { timeout: 20_000, interval: 20 }
const actions = ['kill', 'stop', 'throw'] as const
type Action = (typeof actions)[number]

interface Point {
  readonly at: string
  readonly where: string
  /** Results in a file of their own: then record and acknowledgement are two steps, and W7 exists. */
  readonly splits?: true
  /** Tasks that are ready when the worker, which has one slot, comes to its point. */
  readonly ready: number
}

const points: readonly Point[] = [
  { at: 'W2:1', where: 'delivered', ready: 0 },
  { at: 'W3:1', where: 'waiting for a slot', ready: 0 },
  { at: 'W4:2', where: 'STARTED is written', ready: 1 },
  { at: 'W5:2', where: 'in the middle of a task', ready: 1 },
  { at: 'W6:2', where: 'it has run, its result is not stored', ready: 1 },
  { at: 'W7:2', where: 'its result is stored, the ack is not sent', splits: true, ready: 2 },
  { at: 'W8:2', where: 'the ack is on its way', ready: 1 },
]

const source = `
import { appendFileSync } from 'node:fs'
import { Lovage } from 'lovage'
export const app = new Lovage('crashes')
app.task('crash.effect', async (task, n: number) => {
  await task.sleep(60)
  task.progress(1, 2)
  await task.sleep(20)
  appendFileSync('effects', n + ' ')
  return n
})
`

class Scene implements AsyncDisposable {
  readonly project: ProjectCopy = copyProject()
  readonly histories = new Map<string, StoredState[]>()
  readonly #urls: Readonly<Record<'LOVAGE_BROKER_URL' | 'LOVAGE_RESULT_BACKEND', string>>
  readonly #app: Lovage
  readonly #signal: AbortSignal
  #ids: readonly string[] = []
  #backend: Backend | undefined
  #readyCount = 0

  constructor({ splits }: Point, signal: AbortSignal) {
    this.#signal = signal
    this.project.write('tasks.ts', source)
    this.project.write('package.json', '{ "type": "module" }')
    this.project.write('effects', '')
    const url = (file: string): string => `sqlite://${join(this.project.root, file)}`
    const brokerUrl = url('queue.db')
    const resultBackend = splits === true ? url('results.db') : brokerUrl
    this.#urls = { LOVAGE_BROKER_URL: brokerUrl, LOVAGE_RESULT_BACKEND: resultBackend }
    this.#app = new Lovage('crashes', { brokerUrl, resultBackend, leaseMs: 1000 })
  }

  /** Sends the tasks; resolves to what resolves when all of them are ready. */
  async send(): Promise<{ readonly allReady: Promise<void> }> {
    const sent = await Promise.all(
      Array.from({ length: tasks }, (_, index) => this.#app.sendTask('crash.effect', [index])),
    )
    this.#backend = await internals(this.#app).backend()
    const { promise: allReady, resolve } = Promise.withResolvers<void>()
    this.#ids = sent.map(({ id }) => id)
    const onState = (state: StoredState): void => {
      this.histories.set(state.id, [...(this.histories.get(state.id) ?? []), state])
      if (isReadyState(state.state) && ++this.#readyCount === tasks) resolve()
    }
    await this.#backend.results.watch(this.#ids, { onState })
    return { allReady }
  }

  worker(crashAt?: string): Running & { readonly pid: number } {
    const args = ['worker', 'tasks.ts', '-c', crashAt === undefined ? '4' : '1', '-l', 'debug']
    const inherited = Object.entries(process.env).filter(([name]) => !/^(LOVAGE|CELERY|VITEST|NODE_ENV)/.test(name))
    const env = { ...Object.fromEntries(inherited), ...this.#urls, LOVAGE_LEASE_MS: '1s' }
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: this.project.root,
      env: crashAt === undefined ? env : { ...env, LOVAGE_CRASH_AT: crashAt },
      stdio: ['ignore', 'pipe', 'pipe'],
      // a test that takes too long leaves none behind
      signal: this.#signal,
      killSignal: 'SIGKILL',
    })
    child.on('error', () => undefined)
    return Object.assign(new Running(child), { pid: child.pid ?? 0 })
  }

  /** How often each task had its effect. */
  effects(): number[] {
    const counts = Array.from({ length: tasks }, () => 0)
    const done = readFileSync(join(this.project.root, 'effects'), 'utf8').trim().split(' ')
    for (const index of done) counts[Number(index)] = (counts[Number(index)] ?? 0) + 1
    return counts
  }

  /** Which tasks are ready, by their place in what was sent. */
  async ready(): Promise<number[]> {
    const found = (await this.#backend?.results.getMany(this.#ids)) ?? []
    return found.flatMap((each, index) => (each.kind === 'state' && isReadyState(each.state.state) ? [index] : []))
  }

  async left(): Promise<number> {
    const stats = await this.#backend?.broker.stats('celery')
    return stats === undefined ? NaN : stats.ready + stats.delayed + stats.unsettled
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app.close()
    this.project[Symbol.dispose]()
  }
}

function expectNoStepBack(histories: Iterable<readonly StoredState[]>): void {
  for (const states of histories) {
    expect(states.at(-1)?.state).toBe('SUCCESS')
    for (const [index, state] of states.entries()) expect(isNewer(state, states[index - 1])).toBe(true)
  }
}

/** Resolves when the armed worker has come to its point and what was to happen there has happened. */
async function expectCrash(armed: Running & { readonly pid: number }, name: string, action: Action): Promise<void> {
  if (action === 'kill') expect((await armed.finished()).code).toBe(null)
  else if (action === 'throw') await armed.shows(`crash point ${name}`)
  else
    await vi.waitFor(() => expect(readFileSync(`/proc/${armed.pid}/status`, 'utf8')).toMatch(/^State:\tT/m), patience)
}

async function play(point: Point, action: Action, signal: AbortSignal): Promise<void> {
  await using scene = new Scene(point, signal)
  const { allReady } = await scene.send()
  await using armed = scene.worker(`${point.at}:${action}`)
  await expectCrash(armed, point.at.slice(0, 2), action)
  const readyThen = await scene.ready()
  await using healthy = scene.worker()
  await allReady
  // a frozen one goes on with what is no longer its own; one that threw is told to stop, if it lives
  armed.signal('SIGCONT')
  if (action !== 'kill') armed.signal('SIGTERM')
  await armed.finished()
  healthy.signal('SIGTERM')
  expect(await healthy.finished()).toMatchObject({ code: 0 })

  expect(await scene.left()).toBe(0)
  expectNoStepBack(scene.histories.values())
  const effects = scene.effects()
  expect(Math.min(...effects)).toBe(1)
  expect(Math.max(...effects)).toBeLessThanOrEqual(2)
  expect(readyThen.length).toBeGreaterThanOrEqual(point.ready)
  expect(readyThen.map(index => effects[index])).toEqual(readyThen.map(() => 1))
  // the one at the point, and the next, if the thread had it already
  const mayRunTwice = action === 'kill' ? (point.ready === 0 ? 0 : 2) : tasks
  expect(effects.filter(count => count > 1).length).toBeLessThanOrEqual(mayRunTwice)
}

const isLinux = process.platform === 'linux'

describe.skipIf(!isLinux).concurrent('a worker at its crash point', { timeout: 60_000 }, () => {
  describe.each(actions)('%s', action => {
    // eslint-disable-next-line vitest/expect-expect -- `play` expects
    test.for(points)('$at, $where', (point, { signal }) => play(point, action, signal))
  })
})
