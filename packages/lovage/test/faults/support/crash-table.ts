/** A table: the places where a process dies, freezes or throws, and which of them a driver has. */
import type { CrashAction, CrashPointName } from '../../../src/core/crash-point.ts'
import { crashDrivers, type CrashDriver, type Facts } from './crash-drivers.ts'
import { isLong } from './until.ts'

export const crashActions = ['kill', 'stop', 'throw'] as const

interface Point {
  readonly name: CrashPointName
  readonly where: string
  /** Why a driver has no such place, if it has none. */
  readonly missing?: (facts: Facts) => string | undefined
}

/** Tasks that end, that fail and are retried once, or that another one follows. */
export type Work = 'effect' | 'flaky' | 'chain'

export interface WorkerPoint extends Point {
  /** Which passage, of a worker with one slot. */
  readonly passage: number
  /** Tasks that are ready when it comes there. */
  readonly ready: number
  /** Whether it holds tasks that have begun and whose end is not known to anybody else. */
  readonly hasBegun: boolean
  /** What is sent. @default 'effect' */
  readonly work?: Work
  /** It is told to stop once so many tasks are ready, and comes there on its way. */
  readonly stopsAt?: number
}

export const workerPoints: readonly WorkerPoint[] = [
  { name: 'W1', where: 'connected, not consuming', passage: 1, ready: 0, hasBegun: false },
  { name: 'W2', where: 'delivered', passage: 1, ready: 0, hasBegun: false },
  { name: 'W3', where: 'waiting for a slot', passage: 1, ready: 0, hasBegun: false },
  { name: 'W4', where: 'STARTED is written', passage: 2, ready: 1, hasBegun: true },
  { name: 'W5', where: 'in the middle of a task', passage: 2, ready: 1, hasBegun: true },
  { name: 'W6', where: 'it has run, its result is not stored', passage: 2, ready: 1, hasBegun: true },
  {
    name: 'W7',
    where: 'its result is stored, the ack is not sent',
    passage: 2,
    ready: 2,
    hasBegun: true,
    missing: ({ atomic }) => (atomic ? 'record and ack are one step' : undefined),
  },
  { name: 'W8', where: 'the ack is on its way', passage: 2, ready: 1, hasBegun: true },
  { name: 'W9', where: 'the ack is answered', passage: 2, ready: 2, hasBegun: true },
  {
    name: 'W10',
    where: 'the retry is published, the ack is not sent',
    passage: 2,
    ready: 0,
    hasBegun: true,
    work: 'flaky',
    missing: ({ atomic }) => (atomic ? 'the next attempt and the ack are one step' : undefined),
  },
  {
    name: 'W11',
    where: "the chain's next is published, the ack is not sent",
    passage: 2,
    ready: 2,
    hasBegun: true,
    work: 'chain',
    missing: ({ atomic }) => (atomic ? "the chain's next and the ack are one step" : undefined),
  },
  {
    name: 'W12',
    where: 'the arrival at a chord is counted, the ack is not sent',
    passage: 2,
    ready: 1,
    hasBegun: true,
    missing: ({ chords }) => (chords ? undefined : 'the result store has no chords'),
  },
  { name: 'W13', where: 'giving back at a stop', passage: 1, ready: 1, hasBegun: true, stopsAt: 1 },
  {
    name: 'W14',
    where: 'renewing its lease',
    passage: 2,
    ready: 0,
    hasBegun: true,
    missing: ({ broker }) => (broker.redelivery === 'lease' ? undefined : 'a connection is no lease'),
  },
]

export interface ProducerPoint extends Point {
  /** One task under an id of its own, one with an idempotency key, or ten thousand in one call. */
  readonly sends: 'id' | 'key' | 'bulk'
  readonly passage: number
  /** Whether it goes on throwing: what is tried again would pass. */
  readonly goesOn?: true
  /** How many of its messages are in the queue when it has died there. */
  readonly queued: (facts: Facts) => { readonly least: number; readonly most: number }
}

const none = { least: 0, most: 0 }
const one = { least: 1, most: 1 }
export const bulkCount = 10_000

export const producerPoints: readonly ProducerPoint[] = [
  { name: 'P1', where: 'before anything is sent', sends: 'id', passage: 1, queued: () => none },
  {
    name: 'P2',
    where: 'half is sent',
    sends: 'id',
    passage: 1,
    queued: ({ broker }) => (broker.atomicSettle ? none : { least: 0, most: 1 }),
  },
  { name: 'P3', where: 'sent, and the answer not seen', sends: 'id', passage: 1, queued: () => one },
  { name: 'P4', where: 'accepted, and the handle not given', sends: 'key', passage: 1, queued: () => one },
  {
    name: 'P5',
    where: 'in the middle of ten thousand',
    sends: 'bulk',
    passage: 5001,
    goesOn: true,
    queued: () => ({ least: 1, most: bulkCount - 1 }),
  },
]

export const webPoints: readonly Point[] = [{ name: 'S1', where: 'a stream is being written' }]

export interface Cell<P extends Point> {
  readonly driver: CrashDriver
  readonly point: P
  readonly action: CrashAction
}

/** Why a cell is not played, if it is not. */
export function whyNot({ driver, point, action }: Cell<Point>): string | undefined {
  const missing = driver.absence ?? point.missing?.(driver.facts)
  if (missing !== undefined || isLong || driver.inShort === 'all') return missing
  if (driver.inShort === 'kill') return action === 'kill' ? undefined : 'LONG_TESTS=1 plays it'
  const before = crashDrivers.slice(0, crashDrivers.indexOf(driver))
  const isKnown = before.some(({ facts }) => point.missing?.(facts) === undefined)
  return isKnown ? 'LONG_TESTS=1 plays it; another driver has the point' : undefined
}
