/**
 * What decides about messages: claim order, leases, fencing, delays, crash counting, dead letters. Functions of
 * (state, input, instant) without I/O and timers, so that a simulator can run them; they change the state in place
 * and return what is to be done outside. A lease belongs to an owner (one connection), and all it holds comes back
 * when it ends. A message is in exactly one place: ready, delayed, held (it has a token) or parked.
 */
import type { Delivery, Page, ParkedMessage, Publication, QueueStats, Settlement, SettleOutcome } from '../../broker.ts'
import type { StateRecord } from '../../core/record.ts'
import { isReadyState } from '../../core/states.ts'
import type { WireMessage } from '../../core/wire.ts'
import { Heap } from './heap.ts'

/** One moment on both clocks: `now` in epoch milliseconds for people, `monotonic` for leases. */
export interface Instant {
  readonly now: number
  readonly monotonic: number
}

interface QueuedMessage {
  /** Grows with every message: its age, and the first half of its tokens. */
  readonly sequence: number
  readonly id: string
  readonly queue: string
  message: WireMessage
  readonly priority: number
  notBefore: number
  handOvers: number
  crashCount: number
  /** Whether the present holder is to blame if it dies. */
  started: boolean
  /** Of the present hand-over; undefined: nobody holds it. */
  token: string | undefined
}

interface Queue {
  readonly ready: Heap<QueuedMessage>
  readonly delayed: Heap<QueuedMessage>
  unsettled: number
}

interface Owner {
  leaseUntil: number
  readonly held: Set<QueuedMessage>
}

export interface QueueState {
  readonly queues: Map<string, Queue>
  readonly owners: Map<string, Owner>
  /** What is held, by token, with who holds it. */
  readonly held: Map<string, { readonly message: QueuedMessage; readonly owner: Owner }>
  /** Oldest first. */
  readonly parked: Map<string, ParkedMessage>
  lastSequence: number
  lastParked: number
}

export function createQueueState(): QueueState {
  return { queues: new Map(), owners: new Map(), held: new Map(), parked: new Map(), lastSequence: 0, lastParked: 0 }
}

export function declareQueue(state: QueueState, name: string): Queue {
  const known = state.queues.get(name)
  if (known !== undefined) return known
  const queue: Queue = {
    ready: new Heap((a, b) => a.priority > b.priority || (a.priority === b.priority && a.sequence < b.sequence)),
    delayed: new Heap((a, b) => a.notBefore < b.notBefore || (a.notBefore === b.notBefore && a.sequence < b.sequence)),
    unsettled: 0,
  }
  state.queues.set(name, queue)
  return queue
}

export function enqueue(state: QueueState, publication: Publication, at: Instant): void {
  const { id, queue, message, priority = 0, notBefore = 0 } = publication
  const sequence = ++state.lastSequence
  const fresh = { handOvers: 0, crashCount: 0, started: false, token: undefined }
  place(state, { sequence, id, queue, message, priority, notBefore, ...fresh }, at)
}

/** Takes up or prolongs an owner's lease. */
export function renew(state: QueueState, owner: string, lease: { readonly ms: number; readonly at: Instant }): void {
  const leaseUntil = lease.at.monotonic + lease.ms
  const known = state.owners.get(owner)
  if (known === undefined) state.owners.set(owner, { leaseUntil, held: new Set() })
  else known.leaseUntil = leaseUntil
}

export interface Claim {
  /** Has a lease. */
  readonly owner: string
  readonly queues: readonly string[]
  readonly limit: number
}

/** Hands over the best messages of the queues: the highest priority first, then the oldest. */
export function claim(state: QueueState, { owner: name, queues, limit }: Claim): Delivery[] {
  const owner = state.owners.get(name)
  const deliveries: Delivery[] = []
  while (owner !== undefined && deliveries.length < limit) {
    const message = bestReady(state, queues)?.pop()
    if (message === undefined) break
    deliveries.push(handOver(state, message, owner))
  }
  return deliveries
}

function bestReady(state: QueueState, queues: readonly string[]): Heap<QueuedMessage> | undefined {
  let best: Heap<QueuedMessage> | undefined
  for (const name of queues) {
    const ready = state.queues.get(name)?.ready
    const [candidate, leader] = [ready?.peek(), best?.peek()]
    if (candidate === undefined) continue
    const isBetter = leader === undefined || candidate.priority > leader.priority
    if (isBetter || (candidate.priority === leader.priority && candidate.sequence < leader.sequence)) best = ready
  }
  return best
}

function handOver(state: QueueState, message: QueuedMessage, owner: Owner): Delivery {
  message.handOvers += 1
  // a start is implied until somebody died of it; from then on only `markStarted` brings blame
  message.started = message.crashCount === 0
  const token = `${message.sequence}:${message.handOvers}`
  message.token = token
  owner.held.add(message)
  state.held.set(token, { message, owner })
  declareQueue(state, message.queue).unsettled += 1
  return {
    token,
    queue: message.queue,
    message: message.message,
    deliveryCount: message.handOvers,
    redelivered: message.handOvers > 1,
    crashCount: message.crashCount,
  }
}

/** The deliveries among these that are held no more. */
export function markStarted(state: QueueState, deliveries: readonly Delivery[]): readonly Delivery[] {
  const held = deliveries.map(({ token }) => state.held.get(token))
  for (const each of held) if (each !== undefined) each.message.started = true
  return deliveries.filter((_, index) => held[index] === undefined)
}

export interface Settled {
  readonly outcome: SettleOutcome
  /** To be kept if newer. */
  readonly records: readonly StateRecord[]
}

/** Ends a hand-over. Only the token of the present one does; with any other, nothing but a final record comes of it. */
export function settle(state: QueueState, settlement: Settlement, at: Instant): Settled {
  const { delivery, disposition, record, successors = [] } = settlement
  const message = takeHeld(state, delivery.token)
  if (message === undefined) {
    return { outcome: 'lost', records: record !== undefined && isReadyState(record.state) ? [record] : [] }
  }
  for (const successor of successors) enqueue(state, successor, at)
  if (disposition.kind === 'requeue') {
    if (disposition.crashed === true) message.crashCount += 1
    message.notBefore = disposition.delayMs === undefined ? 0 : at.now + disposition.delayMs
    message.message = withHeaders(message.message, disposition.headers)
    place(state, message, at)
  } else if (disposition.kind === 'park') {
    park(state, { id: message.id, queue: message.queue, message: message.message }, { reason: disposition.reason, at })
  }
  return {
    outcome: 'settled',
    records: [record, ...successors.map(each => each.record)].filter(each => each !== undefined),
  }
}

function withHeaders(message: WireMessage, headers: WireMessage['headers'] = {}): WireMessage {
  return { ...message, headers: { ...message.headers, ...headers } }
}

function takeHeld(state: QueueState, token: string): QueuedMessage | undefined {
  const held = state.held.get(token)
  if (held === undefined) return undefined
  state.held.delete(token)
  held.owner.held.delete(held.message)
  held.message.token = undefined
  declareQueue(state, held.message.queue).unsettled -= 1
  return held.message
}

function place(state: QueueState, message: QueuedMessage, at: Instant): void {
  const queue = declareQueue(state, message.queue)
  if (message.notBefore > at.now) queue.delayed.push(message)
  else queue.ready.push(message)
}

/** What an owner holds becomes available at once, and nobody is blamed. The tokens that ended. */
export function release(state: QueueState, owner: string, at: Instant): readonly string[] {
  return giveBack(state, owner, { at, isCrash: false })
}

/** What is due becomes ready; what belonged to owners whose lease has ended comes back. The tokens that ended. */
export function tick(state: QueueState, at: Instant): readonly string[] {
  for (const { ready, delayed } of state.queues.values()) {
    while ((delayed.peek()?.notBefore ?? Infinity) <= at.now) {
      const due = delayed.pop()
      if (due !== undefined) ready.push(due)
    }
  }
  const dead = [...state.owners].filter(([, { leaseUntil }]) => leaseUntil <= at.monotonic)
  return dead.flatMap(([owner]) => giveBack(state, owner, { at, isCrash: true }))
}

function giveBack(state: QueueState, name: string, end: { readonly at: Instant; readonly isCrash: boolean }): string[] {
  const owner = state.owners.get(name)
  state.owners.delete(name)
  const tokens = [...(owner?.held ?? [])].flatMap(({ token }) => token ?? [])
  for (const token of tokens) {
    const message = takeHeld(state, token)
    if (message === undefined) continue
    if (end.isCrash && message.started) message.crashCount += 1
    place(state, message, end.at)
  }
  return tokens
}

/** Milliseconds until `tick` has something to do; undefined: nothing waits. */
export function untilTick(state: QueueState, at: Instant): number | undefined {
  let soonest = Infinity
  for (const { delayed } of state.queues.values())
    soonest = Math.min(soonest, (delayed.peek()?.notBefore ?? Infinity) - at.now)
  for (const { leaseUntil, held } of state.owners.values())
    if (held.size > 0) soonest = Math.min(soonest, leaseUntil - at.monotonic)
  return soonest === Infinity ? undefined : Math.max(0, soonest)
}

export function queueStats(state: QueueState, name: string): QueueStats {
  const queue = state.queues.get(name)
  return {
    queue: name,
    ready: queue?.ready.size ?? 0,
    delayed: queue?.delayed.size ?? 0,
    unsettled: queue?.unsettled ?? 0,
  }
}

/** Removes what nobody holds; the ids, one for each message. */
export function purge(state: QueueState, name: string): readonly string[] {
  const queue = state.queues.get(name)
  return [...(queue?.ready.drain() ?? []), ...(queue?.delayed.drain() ?? [])].map(({ id }) => id)
}

export function park(
  state: QueueState,
  { id, queue, message }: Publication,
  { reason, at }: { readonly reason: string; readonly at: Instant },
): void {
  const parkedId = String(++state.lastParked)
  state.parked.set(parkedId, { parkedId, id, queue, reason, parkedAt: at.now, message })
}

export interface ParkedQuery {
  readonly queue?: string | undefined
  readonly cursor?: string | undefined
  readonly limit?: number | undefined
}

export function listParked(state: QueueState, { queue, cursor, limit = 50 }: ParkedQuery): Page<ParkedMessage> {
  const olderThan = cursor === undefined ? Infinity : Number(cursor)
  const matching = [...state.parked.values()]
    .reverse()
    .filter(each => Number(each.parkedId) < olderThan && (queue === undefined || each.queue === queue))
  const items = matching.slice(0, limit)
  return matching.length > limit ? { items, cursor: items.at(-1)?.parkedId } : { items }
}

export function takeParked(state: QueueState, parkedId: string): ParkedMessage | undefined {
  const parked = state.parked.get(parkedId)
  state.parked.delete(parkedId)
  return parked
}
