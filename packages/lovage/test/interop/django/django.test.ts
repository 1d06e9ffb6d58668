/** The example for Django: stock Celery sends, a Lovage worker runs, and three ways to ask for the state. */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../../../../test-support/free-ports.ts'
import { hasRabbit, sharedRabbit } from '../../../../../test-support/rabbitmq.ts'
import { findPythonDjango } from '../protocol/python-celery.ts'
import { startProcess, type Process } from './process.ts'

const examples = fileURLToPath(new URL('../../../../../examples/', import.meta.url))
const lovage = fileURLToPath(new URL('../../../bin/lovage.js', import.meta.url))

const found = hasRabbit ? findPythonDjango() : undefined
if (found === undefined) console.warn('\n*** No Python with Celery and Django: examples/django is NOT tested. ***\n')
const python = found?.python ?? ''

interface Status {
  readonly task_id: string
  readonly state: string
  readonly progression: number | 'None'
  readonly info: string
}

let url: string
let drop: () => Promise<unknown>
const processes: Process[] = []

async function start(...args: Parameters<typeof startProcess>): Promise<Process> {
  const started = await startProcess(...args)
  processes.push(started)
  return started
}

/** Where Django listens. */
async function startDjango(...options: readonly string[]): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`
  const args = [`${examples}django/manage.py`, 'runserver', address, '--noreload', ...options]
  await start(python, args, { env: { CELERY_BROKER_URL: url }, ready: /Quit the server/ })
  return `http://${address}`
}

async function run(django: string, seconds: string): Promise<Response> {
  const page = await fetch(`${django}/`)
  const token = /name="csrfmiddlewaretoken" value="(\w+)"/.exec(await page.text())?.[1] ?? ''
  const cookie = page.headers.get('set-cookie')?.split(';', 1)[0] ?? ''
  const body = new URLSearchParams({ l: seconds, csrfmiddlewaretoken: token })
  return await fetch(`${django}/run-long-task/`, { method: 'POST', headers: { cookie }, body })
}

async function idOf(response: Response): Promise<string> {
  expect(response.status).toBe(202)
  return ((await response.json()) as { task_id: string }).task_id
}

/** Asks often, until it is over or has been asked long enough; each state once, in the order seen. */
async function poll(base: string, id: string, forMs: number): Promise<Status[]> {
  const seen: Status[] = []
  const end = performance.now() + forMs
  while (performance.now() < end) {
    const response = await fetch(`${base}/task-status/${id}/`)
    if (response.status === 404) continue
    const status = (await response.json()) as Status
    if (seen.at(-1)?.state !== status.state || seen.at(-1)?.progression !== status.progression) seen.push(status)
    if (status.state === 'SUCCESS' || status.state === 'FAILURE') return seen
  }
  return seen
}

const statesOf = (seen: readonly Status[]): string[] => seen.map(({ state, progression }) => `${state} ${progression}`)

const workers = {
  Lovage: () =>
    start(process.execPath, [lovage, 'worker', `${examples}tasks/tasks.ts`, '-n', 'ts'], {
      env: { LOVAGE_BROKER_URL: url, LOVAGE_RESULT_BACKEND: 'rpc://', LOVAGE_DEFAULT_QUEUE: 'ts' },
      ready: /ready\./,
    }),
  'stock Celery': () =>
    start(python, ['-m', 'celery', '-A', 'worker', 'worker', '-Q', 'ts', '-c', '2', '-l', 'INFO'], {
      env: { CELERY_BROKER_URL: url },
      cwd: `${examples}tutorial`,
      ready: / ready\./,
    }),
}

describe.runIf(found !== undefined)('Django with stock Celery', () => {
  beforeAll(async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost('django')
    url = rabbit.url(vhost)
    drop = () => rabbit.deleteVhost(vhost)
  }, 120_000)

  afterAll(async () => {
    await Promise.all(processes.map(each => each.end()))
    await drop()
  }, 30_000)

  describe.each(['Lovage', 'stock Celery'] as const)('and %s behind it', name => {
    let worker: Process | undefined

    beforeAll(async () => {
      worker = await workers[name]()
    }, 60_000)
    afterAll(() => worker?.end(), 30_000)

    it('shows how far it is and its end in the view of one thread', { timeout: 60_000 }, async () => {
      const django = await startDjango('--nothreading')
      const seen = await poll(django, await idOf(await run(django, '3')), 30_000)
      // PENDING comes between them here too, when it asks while a state is on its way back into the queue
      const steps = new Set(
        seen.filter(({ state }) => state !== 'PENDING').map(({ progression }) => Number(progression)),
      )
      expect([...steps]).toEqual([0, 33, 66, 100].filter(step => steps.has(step)))
      expect(statesOf(seen).at(-1)).toBe('SUCCESS 100')
      expect(steps.size).toBeGreaterThan(1)
    })

    it('steps back in several threads, or shows nothing at all', { timeout: 60_000 }, async () => {
      const django = await startDjango()
      const seen = await poll(django, await idOf(await run(django, '2')), 4000)
      const isStuck = seen.every(({ state }) => state === 'PENDING')
      const stepsBack = seen.some(({ state }, index) => index > 0 && state === 'PENDING')
      expect({ seen: statesOf(seen), isWrong: isStuck || stepsBack }).toMatchObject({ isWrong: true })
    })
  })

  describe('and the status view of Lovage', () => {
    let django: string
    let views: string[]

    beforeAll(async () => {
      await workers.Lovage()
      django = await startDjango()
      const view = (): Promise<Process> =>
        start(process.execPath, [`${examples}django/status.ts`], {
          env: { LOVAGE_BROKER_URL: url, LOVAGE_RESULT_BACKEND: 'rpc://', PORT: '0' },
          ready: /^http:/,
        })
      views = (await Promise.all([view(), view()])).map(({ line }) => line)
    }, 60_000)

    it(
      'shows how far it is in every process, whichever is asked, and never steps back',
      { timeout: 60_000 },
      async () => {
        const ids = await Promise.all(['3', '3'].map(async seconds => idOf(await run(django, seconds))))
        const all = await Promise.all(ids.flatMap(id => views.map(view => poll(view, id, 30_000))))
        for (const seen of all) {
          expect(statesOf(seen).at(-1)).toBe('SUCCESS 100')
          expect(statesOf(seen)).toContainEqual(expect.stringMatching(/^PROGRESS/))
          // never back: what is not known yet, then what is, each step further
          const steps = seen.map(({ progression }) => (progression === 'None' ? -1 : progression))
          expect(steps).toEqual(steps.toSorted((one, other) => one - other))
        }
      },
    )

    it('tells what went wrong, and does not know what nobody sent', { timeout: 60_000 }, async () => {
      const [seen] = (await poll(views[0] ?? '', await idOf(await run(django, 'abc')), 30_000)).slice(-1)
      expect(seen).toMatchObject({ state: 'FAILURE', progression: 'None' })
      expect((await fetch(`${views[1]}/task-status/never-sent/`)).status).toBe(404)
      expect((await run(django, ' ')).status).toBe(400)
    })
  })
})
