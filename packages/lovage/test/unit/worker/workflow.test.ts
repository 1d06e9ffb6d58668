import { expect, it } from 'vitest'
import { Lovage } from '../../../src/index.ts'
import { internals } from '../../../src/app/internals.ts'
import type { Reply } from '../../../src/broker.ts'
import type { WireMessage } from '../../../src/core/wire.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { startTestWorker, type TestWorker } from '../../../src/testing/index.ts'

function signature(task: string, options: object = {}): object {
  return { task, args: [], kwargs: {}, options, subtask_type: null, immutable: false }
}

/** As Celery sends it. */
function fromPython(task: string, args: readonly unknown[], embed: object): WireMessage {
  return {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: 'first' },
    headers: { lang: 'py', task, id: 'first', root_id: 'first', retries: 0 },
    body: JSON.stringify([args, {}, { callbacks: null, errbacks: null, chain: null, chord: null, ...embed }]),
  }
}

interface Stage {
  readonly worker: TestWorker
  readonly send: (task: string, args: readonly unknown[], embed: object) => Promise<void>
  readonly stateOf: (id: string) => Promise<StoredState | undefined>
}

async function open(): Promise<
  Stage & { readonly app: Lovage; readonly calls: string[]; readonly [Symbol.asyncDispose]: () => Promise<void> }
> {
  const app = new Lovage('test')
  const calls: string[] = []
  app.task('add', (task, x: number, y: number = 1) => {
    calls.push(`${task.request.name} ${task.id}`)
    return x + y
  })
  app.task('quiet', { ignoreResult: true }, (_task, x: number) => x * 10)
  app.task('fails', { retry: { max: 0 } }, () => {
    throw new TypeError('no')
  })
  app.task('again', (task, x: number) => {
    if (task.request.retries === 0) return task.retry({ countdownMs: 0 })
    return x
  })
  app.task('oops', (_task, id: string) => id)
  const worker = await startTestWorker(app)
  const backend = await internals(app).backend()
  return {
    app,
    calls,
    worker,
    send: async (task, args, embed) => {
      await backend.publish([{ id: 'first', queue: 'celery', message: fromPython(task, args, embed) }])
    },
    stateOf: async id => {
      const found = await backend.results.get(id)
      return found.kind === 'state' ? found.state : undefined
    },
    [Symbol.asyncDispose]: () => worker.stop(),
  }
}

it('runs a chain to its end, each task under the id its sender knows', async () => {
  await using stage = await open()
  await stage.send('add', [1], {
    chain: [signature('add', { task_id: 'third' }), signature('add', { task_id: 'second' })],
  })
  for (let ended = 0; ended < 3; ended++) await stage.worker.next('SUCCESS')
  expect(await stage.stateOf('third')).toMatchObject({
    value: '4',
    facts: { rootId: 'first', parentId: 'second', name: 'add' },
  })
})

it('passes on a result that nobody else asks for', async () => {
  await using stage = await open()
  await stage.send('quiet', [1], { chain: [signature('add', { task_id: 'second' })] })
  await stage.worker.next('SUCCESS')
  await stage.worker.next('SUCCESS')
  expect(await stage.stateOf('second')).toMatchObject({ value: '11' })
})

it('calls what is linked after a retry once', async () => {
  await using stage = await open()
  await stage.send('again', [1], { callbacks: [signature('add', { task_id: 'linked' })] })
  await stage.worker.next('RETRY')
  await stage.worker.next('SUCCESS')
  await stage.worker.next('SUCCESS')
  expect(await stage.stateOf('linked')).toMatchObject({ value: '2', facts: { parentId: 'first' } })
})

it('tells whoever waits for the end of a chain that broke, and calls its errbacks', async () => {
  await using stage = await open()
  await stage.send('fails', [], {
    errbacks: [signature('oops', { task_id: 'told' })],
    chain: [signature('add', { task_id: 'third' }), signature('add', { task_id: 'second' })],
  })
  await stage.worker.next('FAILURE')
  await stage.worker.next('SUCCESS')
  const { value } = (await stage.stateOf('first')) ?? {}
  expect(await stage.stateOf('third')).toMatchObject({ state: 'FAILURE', value, facts: { name: 'add' } })
  expect(await stage.stateOf('second')).toMatchObject({ state: 'FAILURE' })
  expect(await stage.stateOf('told')).toMatchObject({ state: 'SUCCESS', value: '"first"' })
  expect(stage.calls).toEqual([])
})

it('parks part of a chord before it runs, and says what to do', async () => {
  await using stage = await open()
  await stage.send('add', [1], { chord: signature('add') })
  await stage.worker.next('FAILURE')
  expect((await stage.stateOf('first'))?.value).toMatch(
    /chords are not supported yet.*Send the tasks of the chord to Celery/,
  )
  expect(stage.calls).toEqual([])
})

it('tells whoever waits at an address of their own why nothing comes of it', async () => {
  await using stage = await open()
  const backend = await internals(stage.app).backend()
  const told: Reply[] = []
  Object.assign(backend.broker, { reply: async (reply: Reply) => void told.push(reply) })
  const message = fromPython('add', [1], { chord: signature('add') })
  const properties = { ...message.properties, replyTo: 'inbox' }
  await backend.publish([{ id: 'first', queue: 'celery', message: { ...message, properties } }])
  const unreadable = { properties, headers: { id: 'first', task: 'add', eta: 'tomorrow' }, body: '[]' }
  await backend.publish([{ id: 'first', queue: 'celery', message: unreadable }])
  await stage.worker.next('FAILURE')
  await stage.worker.next('FAILURE')
  expect(
    told.map(
      ({
        address,
        message: {
          properties: { correlationId },
        },
      }) => [address, correlationId],
    ),
  ).toEqual([
    ['inbox', 'first'],
    ['inbox', 'first'],
  ])
})

it('sends what follows to the queue its name is routed to', async () => {
  const app = new Lovage('test', { routes: { 'py.*': 'python' } })
  app.task('add', (_task, x: number) => x)
  await using worker = await startTestWorker(app)
  const backend = await internals(app).backend()
  const message = fromPython('add', [1], { chain: [signature('py.next', { reply_to: 'inbox' })] })
  await backend.publish([{ id: 'first', queue: 'celery', message }])
  await worker.next('SUCCESS')
  expect(await backend.broker.stats('python')).toMatchObject({ ready: 1 })
})
