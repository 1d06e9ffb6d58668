/** How tasks are called and how they end: times, limits, retries, states, errors, revokes, what follows. */
import { setTimeout as delay } from 'node:timers/promises'
import { failure, timeoutMs } from './failure.ts'
import { fromPython, fromTypeScript, type Cell } from './stage.ts'
import type { AsyncResult, Lovage } from '../../../src/index.ts'
import { Worker } from '../../../src/worker/index.ts'

interface Told {
  readonly [key: string]: unknown
}

async function request(app: Lovage, options: Parameters<Lovage['sendTask']>[3]): Promise<Told> {
  return (await (await app.sendTask('py.request', [], {}, options)).get({ timeoutMs })) as Told
}

async function states(result: AsyncResult): Promise<unknown> {
  const seen: unknown[] = []
  for await (const snapshot of result.watch()) {
    if (snapshot.state === 'PENDING') continue
    const { current, total, percent } = snapshot.progress ?? {}
    const progress = snapshot.progress === undefined ? undefined : { current, total, percent }
    seen.push([snapshot.state, progress ?? snapshot.meta ?? null])
  }
  return seen
}

const headers: readonly Cell[] = [
  fromPython(
    'ids, custom headers, correlation',
    `r = send('ts.request', headers={'x-shop': 'vienna'}); told = get(r)
[told['id'] == r.id, told['rootId'] == r.id, told['headers']]`,
    [true, true, { 'x-shop': 'vienna' }],
  ),
  fromTypeScript(
    'ids, custom headers, correlation',
    async app => {
      const result = await app.sendTask('py.request', [], {}, { headers: { 'x-shop': 'vienna' } })
      const told = (await result.get({ timeoutMs })) as Told
      return [
        told['id'] === result.id,
        told['root_id'] === result.id,
        told['correlation_id'] === result.id,
        told['custom'],
      ]
    },
    [true, true, true, 'vienna'],
    { sees: [true, true, true, null], because: 'a task of 5.2 sees no custom headers in request.headers' },
  ),
]

const times: readonly Cell[] = [
  fromPython(
    'countdown',
    `began = time.time(); get(send('ts.echo', 1, countdown=1)); 1 <= time.time() - began < 5`,
    true,
  ),
  fromPython(
    'eta in another time zone',
    `began = time.time()
told = get(send('ts.request', eta=datetime.now(timezone(timedelta(hours=-9, minutes=-30))) + timedelta(seconds=1)))
[1 <= time.time() - began + 0.05 < 5, told['now'] >= told['eta']]`,
    [true, true],
  ),
  fromPython(
    'a countdown of an app in another time zone',
    `tokyo = fresh(); tokyo.conf.update(timezone='Asia/Tokyo', enable_utc=False); began = time.time()
tokyo.send_task('ts.echo', [1], countdown=1).get(timeout=20); 1 <= time.time() - began < 5`,
    true,
  ),
  fromPython('eta in the past', `get(send('ts.echo', 1, eta=datetime(2020, 1, 1, tzinfo=timezone.utc)))`, 1),
  fromPython('expires before it can run', `failure(send('ts.echo', 1, countdown=1, expires=0.2))`, [
    'TaskRevokedError',
    'expired',
    '',
  ]),
  fromPython('expires later', `get(send('ts.echo', 1, expires=60))`, 1),
  fromTypeScript(
    'countdown',
    async app => {
      const began = Date.now()
      const told = await request(app, { countdownMs: 1000 })
      return Date.parse(String(told['now'])) - began >= 990
    },
    true,
  ),
  fromTypeScript(
    'eta in another time zone',
    async app => {
      // a worker in another zone reads the same instant
      const eta = new Date(Date.now() + 1000)
      const told = await request(app, { eta })
      return [Date.parse(String(told['eta'])) === eta.getTime(), Date.parse(String(told['now'])) >= eta.getTime() - 5]
    },
    [true, true],
  ),
  fromTypeScript('eta in the past', async app => (await request(app, { eta: new Date(0) }))['retries'], 0),
  fromTypeScript(
    'expires before it can run',
    async app => failure(await app.sendTask('py.echo', [1], {}, { countdownMs: 1000, expiresInMs: 200 })),
    'TaskRevokedError',
  ),
  fromTypeScript('expires later', async app => (await request(app, { expiresInMs: 60_000 }))['retries'], 0),
]

const priorities: readonly Cell[] = [
  {
    what: 'priorities, the highest first',
    direction: 'Python → TypeScript',
    run: async ({ python, createApp }) => {
      await python.run(`[send('order', p, queue='later', priority=p).id for p in (0, 9, 4)]`)
      return await runInOrder(createApp('later'), 3)
    },
    sees: [9, 4, 0],
  },
  fromTypeScript(
    'priorities, as the task sees them',
    async app => (await request(app, { priority: 7 }))['priority'],
    7,
  ),
]

/** What a worker that begins now is given, one after the other. */
async function runInOrder(app: Lovage, count: number): Promise<unknown[]> {
  const seen: unknown[] = []
  const done = Promise.withResolvers<void>()
  app.task('order', (_task, p: number) => {
    if (seen.push(p) === count) done.resolve()
  })
  await using worker = new Worker(app, { queues: ['later'], concurrency: 1, pool: 'inline', logger: silent })
  await worker.start()
  await done.promise
  await worker.stop()
  await app.close()
  return seen
}

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

const endings: readonly Cell[] = [
  fromPython('a retry that succeeds', `get(send('ts.retryOnce'))`, 1),
  fromPython('a retry by policy, used up', `failure(send('ts.policy'))`, ['RangeError', 'try 2', 'RangeError: try 2']),
  fromPython('an error, of a class Python has', `failure(send('ts.fails'))`, [
    'TypeError',
    'grüße',
    'TypeError: grüße',
  ]),
  fromPython('an error of a class of its own', `failure(send('ts.fails', 'custom'))`, [
    'ShopClosedError',
    'closed until 9',
    'ShopClosedError: closed until 9',
  ]),
  fromPython('arguments that do not fit', `failure(send('ts.named', 1))[0]`, 'InvalidArgumentError'),
  fromPython('PROGRESS and a state of its own', `states(fresh().send_task('ts.progress'))`, [
    ['PROGRESS', { current: 1, total: 4 }],
    ['UPLOADING', { bytes: 5 }],
    ['SUCCESS', null],
  ]),
  fromPython(
    'ignore_result of the caller',
    `r = send('ts.echo', 1, ignore_result=True); get(send('ts.echo', 2)); r._get_task_meta()['status']`,
    'PENDING',
  ),
  fromPython(
    'ignore_result of the task',
    `r = app.signature('ts.quiet').apply_async(ignore_result=None); get(send('ts.echo', 2)); time.sleep(0.3); r._get_task_meta()['status']`,
    'PENDING',
  ),
  fromTypeScript('a retry that succeeds', async app => (await app.sendTask('py.retry_once')).get({ timeoutMs }), 1),
  fromTypeScript('a retry by policy, used up', async app => failure(await app.sendTask('py.never')), [
    'ValueError',
    'never',
    ['never'],
  ]),
  fromTypeScript('an error, of a class Python has', async app => failure(await app.sendTask('py.fails')), [
    'KeyError',
    "'grüße'",
    ['fails'],
  ]),
  fromTypeScript('an error of a class of its own', async app => failure(await app.sendTask('py.fails', ['custom'])), [
    'ShopClosed',
    'closed until 9',
    ['fails'],
  ]),
  fromTypeScript('an error with several arguments', async app => failure(await app.sendTask('py.fails', ['args'])), [
    'ValueError',
    "('boom', 42)",
    ['fails'],
  ]),
  fromTypeScript(
    'arguments that do not fit',
    async app => ((await failure(await app.sendTask('py.add', [1]))) as unknown[])[0],
    'TypeError',
  ),
  fromTypeScript('PROGRESS and a state of its own', async app => states(await app.sendTask('py.progress')), [
    ['PROGRESS', { current: 1, total: 4, percent: 25 }],
    ['UPLOADING', { bytes: 5 }],
    ['SUCCESS', null],
  ]),
  fromTypeScript(
    'ignore_result of the caller',
    async app => {
      const result = await app.sendTask('py.echo', [1], {}, { ignoreResult: true })
      await (await app.sendTask('py.echo', [2])).get({ timeoutMs })
      return await result.state()
    },
    undefined,
  ),
]

const limits: readonly Cell[] = [
  fromPython('a soft time limit', `failure(send('ts.sleep', 60_000, soft_time_limit=0.5))[0]`, 'SoftTimeLimitExceeded'),
  fromPython('a hard time limit', `failure(send('ts.spin', 60_000, time_limit=0.5))[0]`, 'TimeLimitExceeded'),
  fromTypeScript(
    'a soft time limit',
    async app => (await app.sendTask('py.sleep', [60], {}, { softTimeLimitMs: 1000 })).get({ timeoutMs }),
    'soft limit',
  ),
  fromTypeScript(
    'a hard time limit',
    async app => ((await failure(await app.sendTask('py.sleep', [60], {}, { timeLimitMs: 1000 }))) as unknown[])[0],
    'TimeLimitExceeded',
  ),
  fromTypeScript(
    'both limits, as the task sees them',
    async app => (await request(app, { timeLimitMs: 5000, softTimeLimitMs: 2500 }))['timelimit'],
    [5, 2.5],
  ),
]

const revokes: readonly Cell[] = [
  fromPython(
    'revoked while it waits for its time',
    `r = send('ts.echo', 1, countdown=2); app.control.revoke(r.id); failure(r)`,
    ['TaskRevokedError', 'revoked', ''],
  ),
  fromPython(
    'terminated while it runs',
    `r = send('ts.spin', 60_000); time.sleep(0.5); app.control.revoke(r.id, terminate=True); failure(r)`,
    ['TaskRevokedError', 'terminated', ''],
  ),
  fromTypeScript(
    'revoked while it waits for its time',
    async app => {
      const result = await app.sendTask('py.echo', [1], {}, { countdownMs: 2000 })
      await result.revoke()
      return failure(result)
    },
    'TaskRevokedError',
  ),
  fromTypeScript(
    'terminated while it runs',
    async app => {
      const result = await app.sendTask('py.sleep', [60])
      await delay(700)
      await result.revoke({ terminate: true })
      return failure(result)
    },
    'TaskRevokedError',
  ),
]

/** Only Python composes workflows yet: both workers take part in them. */
const workflows: readonly Cell[] = [
  fromPython(
    'link',
    `n = signature('py.note', queue='py').set(task_id=str(uuid.uuid4())); n.set(reply_to=app.thread_oid); get(send('ts.add', 2, 3, link=n)); get(app.AsyncResult(n.options['task_id']))`,
    ['noted', 5],
  ),
  fromPython(
    'link_error',
    `n = signature('py.note', queue='py').set(task_id=str(uuid.uuid4())); n.set(reply_to=app.thread_oid); r = send('ts.fails', link_error=n); failure(r); get(app.AsyncResult(n.options['task_id'])) == ['noted', r.id]`,
    true,
  ),
  fromPython(
    'link of an immutable signature',
    `n = signature('ts.note', ['own'], immutable=True).set(task_id=str(uuid.uuid4())); n.set(reply_to=app.thread_oid); get(send('ts.add', 2, 3, link=n)); get(app.AsyncResult(n.options['task_id']))`,
    ['noted', 'own'],
  ),
  fromPython(
    'a chain of four, the languages in turn',
    `get(chain(signature('ts.add', [1, 1]), signature('py.add', [10]), signature('ts.add', [100]), signature('py.add', [1000]))())`,
    1112,
  ),
  fromPython(
    'a chain, ids and parents',
    `r = chain(signature('ts.request'), signature('py.echo'))(); told = get(r); [told['id'] == r.parent.id, told['rootId'] == r.parent.id]`,
    [true, true],
  ),
  fromPython(
    'a chain that breaks in TypeScript',
    `failure(chain(signature('py.add', [1, 1]), signature('ts.fails', ['custom'], immutable=True), signature('py.add', [1]))())[:2]`,
    ['ShopClosedError', 'closed until 9'],
  ),
  fromPython(
    'a chain that breaks in Python',
    `failure(chain(signature('ts.add', [1, 1]), signature('py.fails', ['custom'], immutable=True), signature('ts.add', [1]))())[:2]`,
    ['ShopClosed', 'closed until 9'],
  ),
  fromPython('a chain through a retry', `get(chain(signature('ts.retryOnce'), signature('py.add', [1]))())`, 2),
  fromPython('a chain whose task is ignored', `get(chain(signature('ts.quiet'), signature('py.note'))())`, [
    'noted',
    'nobody asks',
  ]),
  fromPython(
    'a chain that ends in a group',
    `sorted(get(chain(signature('ts.add', [1, 1]), group(signature('py.add', [1]), signature('ts.add', [2])))()))`,
    [3, 4],
  ),
  fromPython(
    'what a chain passes on to Python',
    `get(chain(signature('ts.add', [1, 1]), signature('py.describe', [2.0, Decimal('1.50')]))())`,
    "(2, 2.0, Decimal('1.50'))",
    { sees: "(2, 2.0, '1.50')", because: 'no typed JSON before 5.3' },
  ),
  fromPython(
    'part of a chord is refused',
    `body = signature('py.note').set(task_id='x'); failure(app.signature('ts.add', [1, 1]).apply_async(chord=body))[0]`,
    'UnsupportedError',
  ),
]

export const callCells: readonly Cell[] = [
  ...headers,
  ...times,
  ...priorities,
  ...endings,
  ...limits,
  ...revokes,
  ...workflows,
]
