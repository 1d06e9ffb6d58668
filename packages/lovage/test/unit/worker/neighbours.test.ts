import { expect, it } from 'vitest'
import { joinBackend, type Backend } from '../../../src/backend.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { presencePrefix } from '../../../src/core/keys.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { answersAddress, controlAddress, decodeCommand, encodeAnswer } from '../../../src/protocol/pidbox.ts'
import { Neighbours, warningOf } from '../../../src/worker/neighbours.ts'
import { Presence, type WorkerCard } from '../../../src/worker/presence.ts'

const card: WorkerCard = {
  node: 'ours@h',
  pid: process.pid,
  host: 'h',
  queues: ['celery', 'slow'],
  tasks: ['ts.a', 'ts.b', 'ts.c', 'ts.d'],
  concurrency: 1,
  pool: 'inline',
  startedAt: 0,
  version: '0',
}

it.each([
  ['takes from other queues', { queues: ['python'], tasks: [] }],
  ['knows all tasks', { queues: ['celery'], tasks: [...card.tasks, 'more'] }],
  ['has not told its tasks', { queues: ['celery'], tasks: undefined }],
])('says nothing of a neighbour that %s', (_what, told) => {
  expect(warningOf(card, { node: 'n@h', isCelery: true, ...told })).toBeUndefined()
})

it('says what becomes of our tasks there, and what to do', () => {
  const neighbour = { node: 'n@h', queues: ['slow', 'x'], tasks: [] }
  const whatIs = 'n@h takes from slow too, and does not know ts.a, ts.b, ts.c and 1 more: '
  expect(warningOf(card, { ...neighbour, isCelery: true })).toBe(
    `${whatIs}Celery rejects such tasks, with FAILURE NotRegistered. Give each language its own queue: routes here, task_routes there`,
  )
  expect(warningOf(card, { ...neighbour, isCelery: false })).toContain(`${whatIs}it gives such tasks back`)
})

/** A broker that Celery's workers share. */
function openShared(): Backend {
  const connection = openMemory(new URL('memory:'))
  return joinBackend(
    Object.assign(connection, { broker: Object.assign(connection.broker, { reply: async () => {} }) }),
    connection,
  )
}

it('asks Celery’s workers, those that come later too, and warns of each once', async () => {
  const backend = openShared()
  await backend.open()
  const { broker } = backend
  const answers: Record<string, unknown> = {
    active_queues: [{ name: 'celery' }],
    registered: ['py.a [rate_limit=1/s]'],
  }
  const endListen = await broker.listen(controlAddress, ({ message }) => {
    const command = decodeCommand(message, 'celery@h', systemClock.now())
    if (command?.answerTo === undefined) return
    const { address, ticket } = command.answerTo
    void broker.send(address, encodeAnswer('celery@h', ticket, answers[command.method]))
  })
  const { promise, resolve } = Promise.withResolvers<string>()
  const warnings: string[] = []
  const warn = (message: string): void => {
    warnings.push(message)
    resolve(message)
  }
  const neighbours = new Neighbours({ backend, card, clock: systemClock, warn })
  await neighbours.start()
  expect(await promise).toContain('celery@h takes from celery too')
  const again = Promise.withResolvers<void>()
  const endAnswers = await broker.listen(`${answersAddress('')}*`, () => again.resolve())
  await broker.send('celeryev.worker.online', encodeAnswer('celery@h', '', {}))
  await again.promise
  expect(warnings).toHaveLength(1)
  await neighbours.stop()
  await Promise.all([endListen(), endAnswers()])
  await backend.close()
})

it('meets workers of ours', async () => {
  const connection = openMemory(new URL('memory:'))
  const backend = joinBackend(connection, connection)
  await backend.open()
  const warned = Promise.withResolvers<string>()
  const neighbours = new Neighbours({ backend, card, clock: systemClock, warn: warned.resolve })
  await neighbours.start()
  const presence = new Presence(backend.coordination, systemClock)
  await presence.start({ ...card, node: 'theirs@h', tasks: ['ts.a'] }, warned.reject)
  expect(await warned.promise).toContain('theirs@h takes from celery, slow too, and does not know ts.b, ts.c, ts.d')
  await presence.stop()
  await neighbours.stop()
  await backend.close()
})

it('stops while it starts: hears of nobody, and listens no more', async () => {
  const backend = openShared()
  await backend.open()
  let listeners = 0
  const { broker } = backend
  const listen = broker.listen.bind(broker)
  broker.listen = async (...given) => {
    const end = await listen(...given)
    listeners++
    return () => (listeners--, end())
  }
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const neighbours = new Neighbours({ backend, card, clock: systemClock, warn })
  const started = neighbours.start()
  await neighbours.stop()
  await started
  const seen = Promise.withResolvers<void>()
  const endWatch = await backend.coordination.watchKeys(presencePrefix, () => seen.resolve())
  const presence = new Presence(backend.coordination, systemClock)
  await presence.start({ ...card, node: 'theirs@h', tasks: [] }, seen.reject)
  await seen.promise
  expect({ warnings, listeners }).toEqual({ warnings: [], listeners: 0 })
  endWatch()
  await presence.stop()
  await backend.close()
})
