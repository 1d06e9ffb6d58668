/** rpc:// results in several processes: every reader sees every state, in order, whoever relays and whoever dies. */
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { connect } from 'amqplib'
import type { ConfirmChannel } from 'amqplib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { frameFilter } from '../../../../test-support/amqp-frames.ts'
import type { Frame } from '../../../../test-support/amqp-frames.ts'
import { hasRabbit, sharedRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import type { RabbitServer } from '../../../../test-support/rabbitmq-server.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { openRabbit } from '../../src/drivers/rabbitmq/rabbitmq.ts'
import { RpcResults } from '../../src/drivers/rabbitmq/results/rpc-results.ts'
import { RabbitSession } from '../../src/drivers/rabbitmq/session.ts'
import { isNewer } from '../../src/core/states.ts'
import type { StateVersion } from '../../src/core/states.ts'
import { record } from '../../src/testing/conformance/fixtures.ts'
import { Child } from './support/child.ts'
import { isLong, until } from './support/until.ts'

const program = fileURLToPath(new URL('support/rpc-process.ts', import.meta.url))
const app = 'faults'
const taskCount = 10
/** Of PROGRESS, before the SUCCESS. */
const stepCount = isLong ? 500 : 60
const rounds = isLong ? 10 : 2

interface Said extends StateVersion {
  readonly id: string
  readonly value: string
}

describe.skipIf(!hasRabbit)('rpc:// results', { timeout: isLong ? 600_000 : 120_000 }, () => {
  test('every state of a Python worker reaches every process, once and in order', async () => {
    const url = await freshUrl()
    const readers = await start(3, 'watch', url)
    await pump(await open(url))
    for (const reader of readers) expect(await seenBy(reader)).toEqual(expectedStates)
  })

  test('a program that only opens, writes, asks and closes comes to its end', async () => {
    const child = new Child([program, 'ask', await freshUrl(), app], { cwd: tmpdir() })
    expect(await child.ended).toEqual({ code: 0, signal: null })
    expect(child.output).toMatch(/"kind":"state".*\n.*"closed":true/)
  })

  test('the relay is killed at its work: another one takes over, nothing is lost, shown twice or backwards', async () => {
    const url = await freshUrl()
    // the broker's choice is whoever has waited longest
    const relays = await start(rounds, 'watch', url)
    const readers = await start(2, 'watch', url)
    const killAt = relays.map((_, index) => Math.round(((index + 1) * stepCount) / (rounds + 1)))
    await pump(await open(url), step => relays[killAt.indexOf(step)]?.kill('SIGKILL'))
    for (const relay of relays) expect(await relay.ended).toEqual({ code: null, signal: 'SIGKILL' })
    for (const reader of readers) expect(await seenBy(reader)).toEqual(expectedStates)
  })

  test('the relay’s own records need no inbox, and get there all the same when its link is cut before they can be read', async () => {
    const url = await freshUrl()
    const sent = { inbox: 0, results: 0 }
    let isArmed = false
    const createFilter = frameFilter((frame, direction) => {
      if (direction === 'to-client') return true
      if (isPublish(frame, `lovage.inbox.${app}`)) sent.inbox++
      if (!isPublish(frame, `lovage.results.${app}`)) return true
      sent.results++
      if (!isArmed) return true
      isArmed = false
      proxy.cut()
      return false
    })
    await using proxy = await new TcpProxy(Number(new URL(url).port), { createFilter }).listen()
    const relay = await openStore(url.replace(/:\d+\//, `:${proxy.port}/`))
    await relay.get('nobody')
    const ids = [...expectedStates.keys()]
    const putAll = (state: string): Promise<boolean[]> => Promise.all(ids.map(id => relay.put(record(id, state))))
    const before = { ...sent }
    const began = performance.now()
    expect(await putAll('STARTED')).toEqual(ids.map(() => true))
    // what takes longer than a second goes there too
    const isSlow = performance.now() - began > 900
    expect([sent.inbox === before.inbox || isSlow, sent.results > before.results]).toEqual([true, true])
    // nor does a first state need anything that is no news by now
    const now = { ...sent }
    const late = { ...record('task-0', 'PENDING', { delivery: 0 }), facts: {} }
    expect(await relay.put(late, { isVerdictWanted: false })).toBe(false)
    expect(isSlow ? now : sent).toEqual(now)

    const reader = await openStore(url)
    isArmed = true
    expect(await putAll('SUCCESS')).toEqual(ids.map(() => true))
    expect([isArmed, sent.inbox > before.inbox]).toEqual([false, true])
    for (const id of ids) expect(await reader.get(id)).toMatchObject({ state: { state: 'SUCCESS' } })
  })

  test('what fills several messages of the stream is answered when all can be read, though the broker drops the first', async () => {
    const url = await freshUrl()
    let isArmed = false
    let dropped: number | undefined
    const createFilter = frameFilter((frame, direction) => {
      if (direction === 'to-client') return true
      if (frame.type === 1 && frame.channel === dropped) dropped = undefined
      if (isArmed && isPublish(frame, `lovage.results.${app}`)) {
        isArmed = false
        dropped = frame.channel
      }
      return frame.channel !== dropped
    })
    await using proxy = await new TcpProxy(Number(new URL(url).port), { createFilter }).listen()
    const relay = await openStore(url.replace(/:\d+\//, `:${proxy.port}/`))
    await relay.get('nobody')
    const reader = await openStore(url)
    await reader.get('nobody')
    isArmed = true
    const value = JSON.stringify('x'.repeat(200_000))
    const ids = ['first', 'second']
    await Promise.all(ids.map(id => relay.put(record(id, 'SUCCESS', { value }))))
    expect(isArmed).toBe(false)
    expect((await reader.getMany(ids)).map(({ kind }) => kind)).toEqual(['state', 'state'])
  })

  test('processes that are asked in turn never answer with an earlier state', async () => {
    const url = await freshUrl()
    const stores = await Promise.all([openStore(url), openStore(url), openStore(url)])
    const channel = await open(url)
    let isOver = false
    const steps: string[] = []
    let observations = 0
    const askedEnough = (step: number) => (): boolean => observations >= step * 20
    const pumping = pump(channel, step => until('many were asked', askedEnough(step))).finally(() => (isOver = true))
    const ask = async (id: string): Promise<void> => {
      let last = -1
      for (let turn = 0; !isOver || last < stepCount; turn++) {
        const lookup = await stores[turn % stores.length]?.get(id)
        const step = lookup?.kind === 'state' ? Number(lookup.state.value) : -1
        if (step < last) steps.push(`${id}: ${last} → ${step}`)
        last = step
        observations++
      }
    }
    await Promise.all([...expectedStates.keys()].map(ask))
    await pumping
    expect(steps).toEqual([])
    expect(observations).toBeGreaterThan(1000)
  })

  test('the broker is killed: what was taken can be read by anybody afterwards, and no reader saw a step back', async () => {
    await using server = await startRabbit()
    const kills = isLong ? 10 : 2
    const harm = await writeUnder(server.url(), kills, async () => {
      await server.kill()
      await server.start()
    })
    expect(harm).toEqual({ unreadable: [], backwards: [] })
  })

  test('the stream dies and comes back while its broker lives: what was taken can be read all the same', async () => {
    await using server = await startRabbit()
    const harm = await writeUnder(server.url(), isLong ? 20 : 4, () => killStreams(server))
    expect(harm).toEqual({ unreadable: [], backwards: [] })
  })
})

describe.skipIf(!hasRabbit)('coordination', { timeout: 120_000 }, () => {
  test('goes on when the process of its stream dies while the broker lives', async () => {
    await using server = await startRabbit()
    const connection = openRabbit(server.url())
    onTestFinished(() => connection.close())
    const { coordination } = connection
    await coordination.open()
    let [isOver, count] = [false, 0]
    const write = async (): Promise<void> => {
      for (; !isOver; count++) await coordination.put('key', 'value', 60_000)
    }
    const writing = Promise.all(Array.from({ length: 8 }, write))
    // told where it is awaited
    writing.catch(() => undefined)
    for (let round = 0; round < 6; round++) {
      const before = count
      await until('more was written', () => count > before + 40, { timeoutMs: 15_000 })
      await killStreams(server)
    }
    isOver = true
    await writing
    expect(await coordination.get('key')).toBe('value')
  })

  test('writes again what the broker neither keeps nor confirms', async () => {
    const url = await freshUrl()
    let [isArmed, dropped] = [false, 0]
    const createFilter = frameFilter((frame, direction) => {
      if (direction === 'to-client') return true
      // a message is its method, a header and a body
      if (isArmed && isPublish(frame, 'lovage.control')) [isArmed, dropped] = [false, 3]
      return dropped-- <= 0
    })
    await using proxy = await new TcpProxy(Number(new URL(url).port), { createFilter }).listen()
    const connection = openRabbit(url.replace(/:\d+\//, `:${proxy.port}/`))
    onTestFinished(() => connection.close())
    const { coordination } = connection
    await coordination.open()
    isArmed = true
    await coordination.put('key', 'value', 60_000)
    expect([isArmed, await coordination.get('key')]).toEqual([false, 'value'])
  })
})

function killStreams(server: RabbitServer): Promise<string> {
  const isWriter = `element(1, proc_lib:translate_initial_call(P)) =:= osiris_writer`
  return server.eval(`[exit(P, kill) || P <- processes(), ${isWriter}], ok`)
}

interface Harm {
  readonly unreadable: readonly string[]
  readonly backwards: readonly string[]
}

/** Writes all the while, under some blows: what was taken and is not there, and what was shown backwards. */
async function writeUnder(url: string, blows: number, strike: () => Promise<unknown>): Promise<Harm> {
  const [writer, ...readers] = [...(await start(1, 'write', url)), ...(await start(2, 'watch', url))]
  const goOn = async (): Promise<void> => {
    const before = takenBy(writer).size
    await until('more was written', () => takenBy(writer).size > before + 20, { timeoutMs: 60_000 })
  }
  for (let blow = 0; blow < blows; blow++) {
    await goOn()
    await strike()
  }
  await goOn()
  writer?.kill('SIGKILL')
  await writer?.ended
  const taken = takenBy(writer)
  const unreadable = await behind(await openStore(url), taken)
  console.log(`${taken.size} tasks written under ${blows} blows: ${unreadable.length} not readable`)
  return { unreadable, backwards: readers.flatMap(reader => backwards(saidBy(reader))) }
}

/** What is not known as far as it was taken. */
async function behind(store: RpcResults, taken: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const found = await store.getMany([...taken.keys()])
  return [...taken].flatMap(([id, state], index) => {
    const lookup = found[index]
    const isThere = lookup?.kind === 'state' && ranks.indexOf(lookup.state.state) >= ranks.indexOf(state)
    return isThere ? [] : [`${id} ${state}: ${JSON.stringify(lookup)}`]
  })
}

const ranks = ['STARTED', 'PROGRESS', 'SUCCESS']

/** `basic.publish` through the default exchange. */
function isPublish({ type, payload }: Frame, queue: string): boolean {
  if (type !== 1 || payload.readUInt16BE(0) !== 60 || payload.readUInt16BE(2) !== 40) return false
  return payload.subarray(8, 8 + payload.readUInt8(7)).toString() === queue
}

/** What a reader is to see of each task: 0, 1, …, the last one with SUCCESS. */
const expectedStates: ReadonlyMap<string, readonly number[]> = new Map(
  Array.from({ length: taskCount }, (_, index) => [
    `task-${index}`,
    Array.from({ length: stepCount + 1 }, (_each, step) => step),
  ]),
)

async function freshUrl(): Promise<string> {
  const server = await sharedRabbit()
  const vhost = await server.addVhost()
  onTestFinished(() => server.deleteVhost(vhost))
  return server.url(vhost)
}

async function start(count: number, role: string, url: string): Promise<[Child, ...Child[]]> {
  const children: Child[] = []
  // one after the other: the first is the relay
  for (let index = 0; index < count; index++) {
    const child = new Child([program, role, url, app, String(taskCount)], { cwd: tmpdir() })
    await child.line(/"ready"/)
    children.push(child)
  }
  return children as [Child, ...Child[]]
}

async function openStore(url: string): Promise<RpcResults> {
  const session = new RabbitSession(parseLocation(url))
  const results = new RpcResults(session, { app })
  await results.open()
  onTestFinished(async () => {
    await results.close()
    await session.close()
  })
  return results
}

async function open(url: string): Promise<ConfirmChannel> {
  const connection = await connect(url)
  onTestFinished(() => connection.close())
  return await connection.createConfirmChannel()
}

/** What a Python worker sends of some tasks that run side by side. */
async function pump(channel: ConfirmChannel, onStep: (step: number) => unknown = () => undefined): Promise<void> {
  for (let step = 0; step <= stepCount; step++) {
    await onStep(step)
    for (const id of expectedStates.keys()) {
      const status = step === stepCount ? 'SUCCESS' : 'PROGRESS'
      const dateDone = status === 'SUCCESS' ? '2026-11-22T06:16:02.790039+00:00' : null
      const document = { status, result: step, traceback: null, children: [], date_done: dateDone, task_id: id }
      channel.sendToQueue(`lovage.inbox.${app}`, Buffer.from(JSON.stringify(document)), {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        correlationId: id,
        deliveryMode: 1,
      })
    }
    await channel.waitForConfirms()
  }
}

function saidBy(child: Child | undefined): readonly Said[] {
  const said = child?.lines.flatMap(({ text, stream }) => (stream === 'out' ? [JSON.parse(text) as unknown] : [])) ?? []
  return said.filter((each): each is Said => typeof each === 'object' && each !== null && 'id' in each)
}

async function seenBy(reader: Child): Promise<ReadonlyMap<string, readonly number[]>> {
  const ends = (): number => saidBy(reader).filter(({ state }) => state === 'SUCCESS').length
  await until('the end of every task', () => ends() === taskCount, { last: () => reader.output.slice(-2000) })
  const seen = new Map<string, number[]>([...expectedStates.keys()].map(id => [id, []]))
  for (const { id, value } of saidBy(reader)) seen.get(id)?.push(Number(value))
  return seen
}

/** What a writer said was taken: the last state of each task. */
function takenBy(writer: Child | undefined): ReadonlyMap<string, string> {
  const taken = new Map<string, string>()
  for (const { text } of writer?.lines ?? []) {
    const said = JSON.parse(text) as { readonly taken?: string; readonly state?: string }
    if (said.taken !== undefined) taken.set(said.taken, said.state ?? '')
  }
  return taken
}

function backwards(seen: readonly Said[]): readonly string[] {
  const last = new Map<string, Said>()
  return seen.flatMap(state => {
    const before = last.get(state.id)
    last.set(state.id, state)
    return isNewer(state, before) ? [] : [`${JSON.stringify(before)} → ${JSON.stringify(state)}`]
  })
}
