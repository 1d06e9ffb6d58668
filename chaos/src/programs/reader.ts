/**
 * Looks at tasks as web processes do: follows some by `AsyncResult.watch()`, some at the store itself, asks for others
 * again and again. Writes down every version it is shown. Which tasks there are it learns from the producers' histories,
 * and no longer follows those whose publish was rejected: they would never end, and at last there was room for no other.
 */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Lovage, type Snapshot } from 'lovage'
import type { internals as internalsOf } from '../../../packages/lovage/src/app/internals.ts'
import type { Backend } from '../../../packages/lovage/src/backend.ts'
import type { StoredState } from '../../../packages/lovage/src/core/record.ts'
import { absent, openHistory, type ProducerLine, type SeenLine } from './history.ts'
import { seededRandom } from './random.ts'

interface Inside {
  readonly internals: typeof internalsOf
}

/** Tasks that one reader looks at, of those that are not ready yet and of those that are. */
const most = 200
/** Of a history, at once. */
const chunkBytes = 1 << 16

const folder = process.env['CHAOS_HISTORIES'] ?? '.'
const history = openHistory(folder, `reader-${process.pid}`)
const random = seededRandom(Number(process.env['CHAOS_SEED'] ?? 1))
const app = new Lovage('chaos')
const backend = await openBackend()
/** What ends the following of each. */
const open_ = new Map<string, AbortController>()
const finals: string[] = []
const offsets = new Map<string, number>()
let isStopped = false
const stop = (): void => {
  isStopped = true
}
process.once('SIGTERM', stop)
process.once('disconnect', stop)

process.send?.('ready')
for (let turn = 0; !isStopped; turn++) {
  for (const line of await newLines()) {
    if (line.k === 'try' && open_.size < most && random.next() < 0.4) follow(line.id)
    if (line.k === 'no') open_.get(line.id)?.abort()
  }
  if (turn % 3 === 0) await look()
  await wait(100)
}
process.exit(0)

/** The store behind the app, of the very package this process runs on. */
async function openBackend(): Promise<Backend> {
  const inside = new URL('./app/internals.ts', import.meta.resolve('lovage')).href
  const { internals } = (await import(inside)) as Inside
  return await internals(app).backend()
}

function follow(id: string): void {
  const ending = new AbortController()
  open_.set(id, ending)
  const following = (random.next() < 0.5 ? watchSnapshots : watchStore)(id, ending.signal)
  // should the store be away, or the task not be there: another look at it comes from `look`
  void following.catch(() => undefined).then(() => settled(id))
}

async function watchSnapshots(id: string, signal: AbortSignal): Promise<void> {
  const observer = `snapshots-${process.pid}`
  for await (const snapshot of app.result(id).watch({ signal })) write(observer, snapshot)
}

function write(observer: string, snapshot: Snapshot): void {
  const { id, state, ready, attempt } = snapshot
  history.write({ observer, id, state, version: [attempt - 1], ready, at: Date.now() } satisfies SeenLine)
}

async function watchStore(id: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve())
  const onState = (state: StoredState): void => {
    history.write(seen('store', state))
    if (state.readyAt !== undefined) resolve()
  }
  const end = await backend.results.watch([id], { onState, onEnd: () => resolve() })
  await promise
  end()
}

function seen(how: string, { id, state, retries, delivery, seq, value = '', readyAt }: StoredState): SeenLine {
  const ready = readyAt !== undefined
  const version = [retries, delivery, rankOf(state), seq]
  const at = Date.now()
  const line = { observer: `${how}-${process.pid}`, id, state, version, ready, at }
  return ready ? { ...line, value: createHash('sha1').update(value).digest('base64url').slice(0, 12) } : line
}

function rankOf(state: string): number {
  const rank = ['PENDING', 'RECEIVED', 'STARTED', 'PROGRESS', 'RETRY'].indexOf(state)
  return rank < 0 ? 5 : rank
}

function settled(id: string): void {
  open_.delete(id)
  finals.push(id)
  if (finals.length > most) finals.shift()
}

/** Asks for some that go on, and for some that are over: those must not change any more. */
async function look(): Promise<void> {
  const ids = [...open_.keys(), ...finals].filter(() => random.next() < 0.2)
  // who asked before the task was there may be told so after others have seen it
  const askedAt = Date.now()
  try {
    for (const [index, lookup] of (await backend.results.getMany(ids)).entries()) {
      const id = ids[index] ?? ''
      if (lookup.kind === 'state') history.write(seen('poll', lookup.state))
      if (lookup.kind === 'absent') history.write(absent(`poll-${process.pid}`, id, askedAt))
    }
  } catch {
    // a full disk, a lock: the next look
  }
}

async function newLines(): Promise<ProducerLine[]> {
  const names = readdirSync(folder).filter(name => name.startsWith('producer-'))
  return (await Promise.all(names.map(readOn))).flat()
}

/** The first time a history is read from its last part on: what was sent long ago is over. */
async function readOn(name: string): Promise<ProducerLine[]> {
  const file = await open(join(folder, name))
  try {
    const known = offsets.get(name)
    const from = known ?? Math.max(0, (await file.stat()).size - chunkBytes)
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(chunkBytes), position: from })
    const text = buffer.toString('utf8', 0, bytesRead)
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    offsets.set(name, from + Buffer.byteLength(whole))
    const lines = whole.split('\n').filter(line => line !== '')
    // in the midst of one
    if (known === undefined && from > 0) lines.shift()
    return lines.map(line => JSON.parse(line) as ProducerLine)
  } finally {
    await file.close()
  }
}
