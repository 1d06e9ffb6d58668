/** What each operation does to the tables, inside the transaction of its batch. */
import { crashPoint } from '../../core/crash-point.ts'
import type { StateRecord } from '../../core/record.ts'
import { isReadyState } from '../../core/states.ts'
import type { Consumers } from './consumers.ts'
import type { Followers } from './followers.ts'
import type { Instant, KeyTable } from './key-table.ts'
import type { MessageTable } from './message-table.ts'
import type { Durability, Handlers, MessageRow, Op, OpKind, OpOf } from './ops.ts'
import type { TaskTable } from './task-table.ts'
import type { Transaction } from './transaction.ts'

export interface HandlerContext {
  readonly tx: Transaction
  readonly messages: MessageTable
  readonly tasks: TaskTable
  readonly keys: KeyTable
  readonly consumers: Consumers
  readonly followers: Followers
  /** Who this connection is in the table of owners; made by the first `consume`. */
  readonly ownership: { current(): number; begin(node: string): void; end(): void }
  readonly now: () => Instant
}

/** Rows removed in one transaction by `purge` and `prune`: about 20 ms. */
const chunk = 2000

export function createHandlers(context: HandlerContext): Handlers {
  return {
    ...messageHandlers(context),
    ...consumeHandlers(context),
    ...parkHandlers(context),
    ...taskHandlers(context),
    ...followHandlers(context),
    ...keyHandlers(context),
  }
}

type Some<K extends OpKind> = Pick<Handlers, K>

function messageHandlers({
  tx,
  messages,
  tasks,
  now,
}: HandlerContext): Some<'declare' | 'publish' | 'queues' | 'stats' | 'purge'> {
  return {
    declare: ({ queues }) => queues.forEach(name => tx.queue(name)),
    publish({ rows }) {
      for (const row of rows) {
        crashPoint('P5')
        publish(row, messages, tasks)
        crashPoint('P2')
      }
    },
    queues: () => messages.queues(),
    stats: ({ queue }) => messages.stats(queue),
    purge({ queue }) {
      const ids = messages.purge(queue, chunk)
      for (const id of ids) tasks.purged(id, now().wall)
      return { purged: ids.length, more: ids.length === chunk }
    },
  }
}

/** A message and the record that goes with it. */
function publish(row: MessageRow, messages: MessageTable, tasks: TaskTable): void {
  messages.publish(row)
  if (row.record !== undefined) tasks.put(row.record)
}

function consumeHandlers({
  tx,
  messages,
  tasks,
  consumers,
  ownership,
}: HandlerContext): Some<'consume' | 'prefetch' | 'pause' | 'unconsume' | 'started' | 'settle' | 'giveBack'> {
  return {
    consume(op) {
      for (const name of op.queues) tx.queue(name)
      ownership.begin(op.node)
      // in memory before the commit, so that the same transaction claims
      consumers.add(op)
      tx.onRollback(() => consumers.remove(op.consumer))
    },
    prefetch: ({ consumer, prefetch }) => consumers.setPrefetch(consumer, prefetch),
    pause: ({ consumer, queue, paused }) => consumers.setPaused(consumer, queue, paused),
    unconsume: ({ consumer }) => consumers.remove(consumer),
    started: ({ tokens }) => tokens.map(token => messages.markStarted(token, ownership.current())),
    settle({ token, disposition, successors, record }) {
      // what follows from this record would not follow from what is kept
      if (record !== undefined && successors.length > 0 && tasks.isFinal(record.id)) return 'overtaken'
      consumers.settled(token, tx)
      if (messages.settle(token, ownership.current(), disposition)) {
        for (const successor of successors) publish(successor, messages, tasks)
        if (record !== undefined) tasks.put(record)
        return 'settled'
      }
      if (record !== undefined && isReadyState(record.state)) tasks.put(record)
      return 'lost'
    },
    giveBack() {
      if (ownership.current() === 0) return
      messages.giveBack(ownership.current(), false)
      ownership.end()
      tx.afterCommit(() => consumers.clear())
    },
  }
}

function parkHandlers({ messages }: HandlerContext): Some<'park' | 'parked' | 'takeParked'> {
  return {
    park: ({ row, reason }) => messages.park(row, reason),
    parked: query => messages.parked(query),
    takeParked: ({ parkedId }) => messages.takeParked(parkedId),
  }
}

function taskHandlers({
  tx,
  tasks,
  followers,
}: HandlerContext): Some<'put' | 'get' | 'follow' | 'unfollow' | 'list' | 'forget' | 'prune'> {
  return {
    put: ({ record }) => tasks.put(record),
    get: ({ ids }) => ids.map(id => tasks.get(id)),
    follow({ ids }) {
      tx.onRollback(() => followers.unfollow(ids))
      return followers.follow(ids)
    },
    // counted down once, however often its batch is tried
    unfollow: ({ ids }) => tx.afterCommit(() => followers.unfollow(ids)),
    list: ({ query, before, limit }) => tasks.list(query, before, limit),
    forget: ({ ids }) => tasks.forget(ids),
    prune({ now }) {
      const pruned = tasks.prune(now, chunk)
      return { pruned, more: pruned === chunk }
    },
  }
}

function followHandlers({
  tx,
  followers,
  now,
}: HandlerContext): Some<'send' | 'listen' | 'unlisten' | 'watchKeys' | 'unwatchKeys'> {
  return {
    send({ notice }) {
      followers.send(notice)
      tx.wakesFollowers = true
    },
    listen: ({ listener, pattern }) => followers.listen(listener, pattern),
    unlisten: ({ listener }) => followers.unlisten(listener),
    watchKeys: ({ watcher, prefix }) => followers.watchKeys(watcher, prefix, now().wall),
    unwatchKeys: ({ watcher }) => followers.unwatchKeys(watcher),
  }
}

function keyHandlers({
  keys,
  now,
}: HandlerContext): Some<
  'keyPutIfAbsent' | 'keyPut' | 'keyGet' | 'keyDelete' | 'keyList' | 'lease' | 'release' | 'take'
> {
  return {
    keyPutIfAbsent: ({ key, value, ttlMs }) => keys.putIfAbsent(key, value, { ttlMs, now: now().wall }),
    keyPut: ({ key, value, ttlMs }) => keys.put(key, value, { ttlMs, now: now().wall }),
    keyGet: ({ key }) => keys.get(key, now().wall),
    keyDelete: ({ key }) => keys.delete(key),
    keyList: ({ prefix }) => keys.list(prefix, now().wall).map(({ key, value }) => ({ key, value })),
    lease({ name, holder, ttlMs }) {
      const token = keys.lease(name, holder, { ttlMs, at: now() })
      return token === undefined ? undefined : { token }
    },
    release: ({ name, holder }) => keys.release(name, holder),
    take: ({ key, n, perMs }) => keys.take(key, { n, perMs }, now()),
  }
}

/** What an operation's answer promises. A lost claim, lease or progress is only a repeat; a lost task would be one for ever. */
export function durabilityOf(op: Op): Durability {
  if (op.kind === 'put') return op.isPromise === true || isFinal(op.record) ? 'full' : 'normal'
  if (op.kind !== 'settle') return durabilities[op.kind]
  return op.record === undefined && op.successors.length === 0 && op.disposition.kind !== 'park' ? 'normal' : 'full'
}

const durabilities: Readonly<Record<Exclude<OpKind, 'put' | 'settle'>, Durability>> = {
  queues: 'read',
  stats: 'read',
  get: 'read',
  follow: 'read',
  unfollow: 'read',
  list: 'read',
  parked: 'read',
  listen: 'read',
  unlisten: 'read',
  watchKeys: 'read',
  unwatchKeys: 'read',
  keyGet: 'read',
  keyList: 'read',
  unconsume: 'read',
  publish: 'full',
  park: 'full',
  takeParked: 'full',
  keyPutIfAbsent: 'full',
  keyPut: 'full',
  keyDelete: 'full',
  lease: 'full',
  declare: 'normal',
  consume: 'normal',
  prefetch: 'normal',
  pause: 'normal',
  started: 'normal',
  send: 'normal',
  purge: 'normal',
  giveBack: 'normal',
  forget: 'normal',
  prune: 'normal',
  release: 'normal',
  take: 'normal',
}

function isFinal(record: StateRecord): boolean {
  return isReadyState(record.state)
}

/** How much of a transaction an operation takes, in rows. */
export function weightOf(op: Op): number {
  if (op.kind === 'publish') return op.rows.length
  if (op.kind === 'settle') return 1 + op.successors.length
  if (op.kind === 'get' || op.kind === 'follow') return op.ids.length
  return op.kind === 'purge' || op.kind === 'prune' || op.kind === 'list' ? chunk : 1
}

/** Calls the handler of an operation's own kind. */
export function applyOp(handlers: Handlers, op: Op): unknown {
  const handler = handlers[op.kind] as (op: OpOf<OpKind>) => unknown
  return handler(op)
}
