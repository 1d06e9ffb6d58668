/** What limits the hand-written loop: one process, one transaction after the other, without a client or wake-ups. */
import { dirname } from 'node:path'
import { copyOf, remove } from '../data.ts'
import { HandWrittenStore, type Message, type Synchronous } from '../peers/hand-written-store.ts'
import { run } from '../peers/hand-written-worker.ts'
import { fill } from './filled.ts'
import type { Figures, FilledQueue, Row, Side } from './row.ts'

interface Variant {
  readonly name: string
  readonly batch: number
  readonly claim: Synchronous
  readonly settle: Synchronous
  /** Settle and the next claim in one transaction. */
  readonly isMerged?: boolean
}

const batches = [50, 200, 400, 1000]

const variants: readonly Variant[] = [
  ...batches.map(batch => variant(batch, 'NORMAL', 'FULL')),
  ...batches.map(batch => variant(batch, 'FULL', 'FULL')),
  ...batches.map(batch => variant(batch, 'NORMAL', 'NORMAL')),
  ...batches.map(batch => ({ ...variant(batch, 'FULL', 'FULL'), name: `${String(batch)}, merged`, isMerged: true })),
]

export const bounds: Row = {
  name: 'bounds',
  title: 'the hand-written loop: batch, durability of claim and settle',
  isExtra: true,
  peers: ['hand-written'],
  metrics: () => [
    ...variants.map(({ name }) => ({ name, unit: '/s' }) as const),
    ...variants.map(({ name }) => ({ name: cpuOf(name), unit: 'µs' }) as const),
  ],
  prepare: async side => ({ queue: await fill(side, Math.min(400_000, 60 * side.settings.sideMs)) }),
  measure: side => {
    const queue = side.prepared?.['queue']
    if (!queue) throw new Error('the queue was not filled')
    // the first to run would pay for the compiler
    empty(side, queue, variant(50, 'NORMAL', 'FULL'))
    return Promise.resolve(Object.assign({}, ...variants.map(each => empty(side, queue, each))))
  },
}

function variant(batch: number, claim: Synchronous, settle: Synchronous): Variant {
  return { name: `${String(batch)}, claim ${claim}, settle ${settle}`, batch, claim, settle }
}

function cpuOf(name: string): string {
  return `CPU per task: ${name}`
}

function empty({ settings }: Side, queue: FilledQueue, each: Variant): Figures {
  const file = copyOf(queue.file, dirname(dirname(queue.file)))
  const store = new HandWrittenStore(file)
  const startedAt = performance.now()
  const startedCpu = process.cpuUsage()
  let tasks = 0
  let claimed = store.claim(each.batch, each.claim)
  while (claimed.length > 0 && performance.now() - startedAt < settings.sideMs) {
    tasks += claimed.length
    claimed = next(store, claimed, each)
  }
  const elapsedMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(startedCpu)
  store.close()
  remove(file)
  return { [each.name]: (tasks * 1000) / elapsedMs, [cpuOf(each.name)]: (user + system) / tasks }
}

function next(store: HandWrittenStore, claimed: readonly Message[], each: Variant): Message[] {
  const finished = claimed.map(run)
  if (each.isMerged) return store.settleAndClaim(finished, each.batch)
  store.settle(finished, each.settle)
  return store.claim(each.batch, each.claim)
}
