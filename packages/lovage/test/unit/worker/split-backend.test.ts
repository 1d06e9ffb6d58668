/** Record, successors and acknowledgement in three steps: whoever dies between them is taken over from the record. */
import { expect, it } from 'vitest'
import { Lovage } from '../../../src/index.ts'
import { internals } from '../../../src/app/internals.ts'
import { joinBackend, type Backend } from '../../../src/backend.ts'
import type { Delivery, Reply, Settlement, SettleOutcome } from '../../../src/broker.ts'
import { InvalidArgumentError } from '../../../src/core/errors.ts'
import { openMemory, type MemoryConnection, type MemoryRegistry } from '../../../src/drivers/memory/memory.ts'
import { Outcome } from '../../../src/worker/outcome.ts'
import { settlementFor } from '../../../src/worker/settlement.ts'
import { decodeTaskHeaders, encodeTask } from '../../../src/protocol/task-message.ts'
import { readWorkflow } from '../../../src/protocol/workflow.ts'
import { Worker } from '../../../src/worker/worker.ts'

const error = { type: 'Error', message: 'again', retryable: true }
const now = Date.now()
const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** A queue and a store that have nothing to do with each other, but that everybody here shares. */
async function setUp(): Promise<{
  readonly connect: () => Promise<{ backend: Backend; transport: MemoryConnection }>
}> {
  const [queues, states]: MemoryRegistry[] = [new Map(), new Map()]
  const connect = async (): Promise<{ backend: Backend; transport: MemoryConnection }> => {
    const transport = openMemory(new URL('memory://queues'), { leaseMs: 200 }, queues)
    const backend = joinBackend(transport, openMemory(new URL('memory://states'), {}, states))
    await backend.open()
    return { backend, transport }
  }
  return { connect }
}

async function take({ broker }: Backend): Promise<Delivery> {
  const { promise, resolve } = Promise.withResolvers<Delivery>()
  const onDeliveries = ([delivery]: readonly Delivery[]): void => delivery && resolve(delivery)
  const subscription = await broker.consume(['celery'], { prefetch: 1, consumer: 'test@here', onDeliveries })
  const delivery = await promise
  await subscription.close()
  return delivery
}

const facts = {
  now,
  seq: 1,
  startedAt: now,
  wasShown: true,
  policy: undefined,
  facts: undefined,
  sender: { origin: 'gen1@here', queueOf: () => 'celery' },
}

function settle(backend: Backend, delivery: Delivery, outcome: Outcome): Promise<SettleOutcome> {
  const request = decodeTaskHeaders(delivery.message)
  return backend.settle(
    settlementFor(outcome, { delivery, request, handOver: delivery.deliveryCount, workflow: undefined }, facts),
  )
}

/** One worker that runs `task`, until the settlements that are expected have happened. */
async function work(backend: Backend, count: number): Promise<{ readonly runs: number[]; readonly seen: string[] }> {
  const app = new Lovage('test')
  const runs: number[] = []
  const seen: string[] = []
  app.task('task', task => void runs.push(task.request.retries))
  const giveBack = internals(app).takeOver(backend)
  const { promise, resolve } = Promise.withResolvers<void>()
  const settled = (_run: unknown, outcome: Outcome, lost: boolean): void => {
    seen.push(lost ? `${outcome.kind}, lost` : outcome.kind)
    if (seen.length === count) resolve()
  }
  const worker = new Worker(app, { pool: 'inline', logger: silent, events: { settled } })
  await worker.start()
  await promise
  await worker.stop()
  giveBack()
  return { runs, seen }
}

async function sent(backend: Backend): Promise<string> {
  const app = new Lovage('sender')
  const giveBack = internals(app).takeOver(backend)
  const { id } = await app.sendTask('task')
  giveBack()
  return id
}

it.each([
  ['before the next attempt was published', false],
  ['before it was acknowledged', true],
])('publishes a retry whose worker died %s, and runs it once', async (_when, isPublished) => {
  const { connect } = await setUp()
  const [dying, living] = [await connect(), await connect()]
  const id = await sent(living.backend)
  const delivery = await take(dying.backend)
  const subject = { delivery, request: decodeTaskHeaders(delivery.message), handOver: 1, workflow: undefined }
  const { record, successors = [] } = settlementFor(Outcome.retrying(error, now), subject, facts)
  if (record !== undefined) await dying.backend.results.put(record)
  if (isPublished) await dying.backend.publish(successors)
  await dying.transport.vanish()
  const { runs, seen } = await work(living.backend, 2)
  expect(runs).toEqual([1])
  expect(seen.toSorted()).toEqual(['succeeded', 'superseded'])
  expect(await living.backend.results.get(id)).toMatchObject({ state: { state: 'SUCCESS', retries: 1 } })
  await living.backend.close()
})

it('publishes what follows although the delivery was lost meanwhile, and drops the second copy', async () => {
  const { connect } = await setUp()
  const [late, living] = [await connect(), await connect()]
  await sent(living.backend)
  const delivery = await take(late.backend)
  // as the broker takes back what a silent worker holds
  await late.backend.broker.settle({ delivery, disposition: { kind: 'requeue' } })
  expect(await settle(late.backend, delivery, Outcome.retrying(error, now))).toBe('lost')
  const { runs, seen } = await work(living.backend, 3)
  expect(runs).toEqual([1])
  expect(seen.toSorted()).toEqual(['succeeded', 'superseded', 'superseded'])
  await Promise.all([late.backend.close(), living.backend.close()])
})

it('publishes what follows from the state that is stored, not from its own', async () => {
  const { connect } = await setUp()
  const { backend } = await connect()
  const id = await sent(backend)
  const delivery = await take(backend)
  await backend.results.put({ id, state: 'SUCCESS', retries: 0, delivery: 2, seq: 1, at: now, value: '1' })
  expect(await settle(backend, delivery, Outcome.retrying(error, now))).toBe('overtaken')
  expect(await backend.broker.stats('celery')).toMatchObject({ ready: 0, delayed: 0, unsettled: 1 })
  expect(await settle(backend, delivery, Outcome.returned())).toBe('settled')
  expect(await backend.broker.stats('celery')).toMatchObject({ ready: 1 })
  await backend.close()
})

it.each([
  ['before the next of its chain was published', false],
  ['before it was acknowledged', true],
])('goes on with a chain whose worker died %s, and runs no step twice', async (_when, isPublished) => {
  const { connect } = await setUp()
  const [dying, living] = [await connect(), await connect()]
  const next = { task: 'task', args: [], kwargs: {}, options: { task_id: 'next' }, subtask_type: null, immutable: true }
  const message = {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    headers: { task: 'task', id: 'first', retries: 0 },
    body: JSON.stringify([[], {}, { callbacks: null, errbacks: null, chain: [next], chord: null }]),
  }
  await living.backend.publish([{ id: 'first', queue: 'celery', message }])
  const delivery = await take(dying.backend)
  const workflow = readWorkflow(message)
  const subject = { delivery, request: decodeTaskHeaders(message), handOver: 1, workflow }
  const { record, successors = [] } = settlementFor(Outcome.succeeded('5'), subject, facts)
  if (record !== undefined) await dying.backend.results.put(record)
  if (isPublished) await dying.backend.publish(successors)
  await dying.transport.vanish()
  const { runs } = await work(living.backend, isPublished ? 3 : 2)
  expect(runs).toEqual([0])
  expect(await living.backend.results.get('next')).toMatchObject({ state: { facts: { parentId: 'first' } } })
  await living.backend.close()
})

it('names the store’s address in what is sent, and tells nobody there what the store has already', async () => {
  const [transport, storage] = [openMemory(new URL('memory:')), openMemory(new URL('memory:'))]
  const told: string[] = []
  Object.assign(transport.broker, { reply: async ({ address }: Reply) => void told.push(address) })
  Object.assign(storage.results, { replyTo: 'our-inbox' })
  const backend = joinBackend(transport, storage)
  await backend.open()
  const message = { properties: { contentType: 'application/json', contentEncoding: 'utf-8' }, headers: {}, body: '[]' }
  const foreign = { ...message, properties: { ...message.properties, replyTo: 'theirs' } }
  await backend.publish([
    { id: 'a', queue: 'celery', message },
    { id: 'b', queue: 'celery', message: foreign },
  ])
  const addresses = [await take(backend), await take(backend)].map(delivery => delivery.message.properties.replyTo)
  expect(addresses).toEqual(['our-inbox', 'theirs'])
  for (const address of addresses) await backend.reply({ address: address ?? '', message })
  expect(told).toEqual(['theirs'])
  await backend.close()
})

it('does not run the second copy of an attempt that waits here while the first one runs elsewhere', async () => {
  const { connect } = await setUp()
  const [first, second] = [await connect(), await connect()]
  const app = new Lovage('test')
  let runs = 0
  app.task('task', () => void runs++)
  const giveBack = internals(app).takeOver(first.backend)
  const [received, settled] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()]
  const worker = new Worker(app, {
    pool: 'inline',
    logger: silent,
    events: { received: () => received.resolve(), settled: (_run, { kind }) => settled.resolve(kind) },
  })
  await worker.start()
  const message = {
    properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    headers: { task: 'task', id: 'same', retries: 1, eta: new Date(Date.now() + 500).toISOString() },
    body: '[[], {}, {}]',
  }
  await first.backend.publish([{ id: 'same', queue: 'celery', message }])
  await received.promise
  // the first copy, elsewhere
  await second.backend.results.put({ id: 'same', state: 'SUCCESS', retries: 1, delivery: 1, seq: 1, at: now })
  expect(await settled.promise).toBe('superseded')
  expect(runs).toBe(0)
  await worker.stop()
  giveBack()
  await Promise.all([first.backend.close(), second.backend.close()])
})

it('keeps an end that is written, and parks its message, when what is linked to it is refused for ever', async () => {
  const { connect } = await setUp()
  const { backend: plain, transport } = await connect()
  const refusing: Backend = { ...plain, settle: settlement => refuseSuccessors(plain, settlement) }
  const app = new Lovage('test')
  app.task('task', () => 1)
  const giveBack = internals(app).takeOver(refusing)
  const linked = { task: 'next', args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false }
  const body = JSON.stringify([[], {}, { callbacks: [linked], errbacks: null, chain: null, chord: null }])
  const id = 'linked'
  const message = encodeTask({ id, task: 'task', retries: 0, rootId: id, headers: {} }, body)
  await plain.publish([{ id, queue: 'celery', message }])
  const { promise, resolve } = Promise.withResolvers<string>()
  const events = { unsettled: (_run: unknown, _error: Error, fate: string) => resolve(fate) }
  const worker = new Worker(app, { pool: 'inline', logger: silent, events })
  await worker.start()
  expect(await promise).toBe('Its end is kept, and its message is among the dead letters')
  await worker.stop()
  giveBack()
  expect(await plain.results.get(id)).toMatchObject({ kind: 'state', state: { state: 'SUCCESS' } })
  const { items } = await transport.broker.parked()
  expect(items).toMatchObject([{ id, reason: 'what was to follow it could not be sent: no such queue' }])
})

it('tells whoever waits of an end that cannot be written with what follows it', async () => {
  const { connect } = await setUp()
  const { backend: plain, transport } = await connect()
  const told: string[] = []
  const settle = async (settlement: Settlement): Promise<SettleOutcome> => {
    if ((settlement.successors ?? []).length > 0) throw new InvalidArgumentError('no such queue')
    for (const { address } of settlement.replies ?? []) told.push(address)
    return await plain.settle(settlement)
  }
  const linked = { task: 'next', args: [], kwargs: {}, options: {}, subtask_type: null, immutable: true }
  const body = JSON.stringify([[], {}, { callbacks: [linked], errbacks: [linked], chain: null, chord: null }])
  const request = { id: 'linked', task: 'task', retries: 0, rootId: 'linked', replyTo: 'theirs', headers: {} }
  const message = encodeTask(request, body)
  await plain.publish([{ id: 'linked', queue: 'celery', message }])
  await workUntil({ ...plain, settle }, 'settled')
  expect(told).toEqual(['theirs'])
  expect(await plain.results.get('linked')).toMatchObject({ state: { state: 'FAILURE' } })
  const { items } = await transport.broker.parked()
  expect(items).toMatchObject([{ id: 'linked', reason: 'its end could not be recorded: no such queue' }])
})

it('gives back at its stop what could not be settled', async () => {
  const { connect } = await setUp()
  const { backend: plain } = await connect()
  await sent(plain)
  const settle = () => Promise.reject(new InvalidArgumentError('never'))
  await workUntil({ ...plain, settle }, 'unsettled')
  expect(await plain.broker.stats('celery')).toMatchObject({ ready: 1, unsettled: 0 })
})

/** A worker from its start until it has told that, and its stop; not the end of the process. */
async function workUntil(backend: Backend, event: 'settled' | 'unsettled'): Promise<void> {
  const app = new Lovage('test')
  app.task('task', () => 1)
  const giveBack = internals(app).takeOver(backend)
  const { promise, resolve } = Promise.withResolvers<void>()
  const worker = new Worker(app, { pool: 'inline', logger: silent, events: { [event]: () => resolve() } })
  await worker.start()
  await promise
  await worker.stop()
  giveBack()
}

/** A broker that takes the record and refuses, for good, what is to follow. */
async function refuseSuccessors(backend: Backend, settlement: Settlement): Promise<SettleOutcome> {
  if ((settlement.successors ?? []).length === 0) return backend.settle(settlement)
  if (settlement.record !== undefined) await backend.results.put(settlement.record)
  throw new InvalidArgumentError('no such queue')
}
