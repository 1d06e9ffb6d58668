/** Celery's names, arguments and routing, so that either side may declare first. Pure. */
import type { Options } from 'amqplib'
import type { Location } from './location.ts'

/** A task queue's arguments, as Celery declares it: none, but for what both sides were told. */
export function queueArguments({ queueType, maxPriority }: Location): Readonly<Record<string, unknown>> {
  return {
    ...(queueType === 'quorum' ? { 'x-queue-type': 'quorum' } : {}),
    // a quorum queue has its own two priorities, and refuses the argument
    ...(maxPriority > 0 && queueType !== 'quorum' ? { 'x-max-priority': maxPriority } : {}),
  }
}

/** The dead letters of every queue of the virtual host. Classic: a quorum queue would drop what was looked at 20 times. */
export const parkedQueue = 'lovage.parked'

// ── Delayed delivery, of Celery 5.5 and later ───────────────────────────────────────────────────────

const levelCount = 28
/** What is due later than this (8.5 years) is due then. */
const longestDelayS = 2 ** levelCount - 1
/** Where messages come out when their time is over; their routing key still has the digits in front. */
export const deliveryExchange = 'celery_delayed_delivery'
/** Where delayed messages go in. */
export const delayedExchange: string = levelName(levelCount - 1)

function levelName(level: number): string {
  return `celery_delayed_${level}`
}

export interface DelayLevel {
  /** Exchange (topic) and queue. */
  readonly name: string
  readonly queueArguments: Readonly<Record<string, unknown>>
  /** Where a message goes that does not wait here, and where one goes that has waited. */
  readonly next: string
  /** Routing keys that wait here, and those that do not. */
  readonly waits: string
  readonly passes: string
}

/** Highest first. A message waits at each level whose binary digit of its delay in seconds is 1. */
export const delayLevels: readonly DelayLevel[] = Array.from({ length: levelCount }, (_, index) => {
  const level = levelCount - 1 - index
  const next = level === 0 ? deliveryExchange : levelName(level - 1)
  return {
    name: levelName(level),
    queueArguments: {
      'x-queue-type': 'quorum',
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
      'x-message-ttl': 2 ** level * 1000,
      'x-dead-letter-exchange': next,
    },
    next,
    waits: `${'*.'.repeat(index)}1.#`,
    passes: `${'*.'.repeat(index)}0.#`,
  }
})

/** @param seconds whole, at least 1 */
export function delayedRoutingKey(seconds: number, queue: string): string {
  const digits = Math.min(seconds, longestDelayS).toString(2).padStart(levelCount, '0')
  return `${digits.split('').join('.')}.${queue}`
}

/**
 * What a queue is bound with to the delivery exchange itself, so that it need not have a topic exchange. Exactly as many
 * words as there are digits: Celery's `#.name` would also match a queue whose name ends in `.name`.
 */
export function delayedBindingKey(queue: string): string {
  return `${'*.'.repeat(levelCount)}${queue}`
}

// ── Events and control ──────────────────────────────────────────────────────────────────────────────

export interface NoticeExchange {
  readonly exchange: string
  readonly type: 'topic' | 'fanout' | 'direct'
  readonly durable: boolean
}

/** Where an address leads. */
export interface NoticeRoute extends NoticeExchange {
  readonly routingKey: string
}

/** How a listener is declared: a queue of its own, gone with its connection. */
export interface NoticeListener extends NoticeExchange {
  readonly bindingKey: string
  readonly queue: string
  readonly options: Options.AssertQueue
  /** The address of what came with such a routing key. */
  readonly toAddress: (routingKey: string) => string
}

const events: NoticeExchange = { exchange: 'celeryev', type: 'topic', durable: true }
const pidbox: NoticeExchange = { exchange: 'celery.pidbox', type: 'fanout', durable: false }
const replies: NoticeExchange = { exchange: 'reply.celery.pidbox', type: 'direct', durable: false }
const others: NoticeExchange = { exchange: 'lovage.notices', type: 'topic', durable: true }

const eventsPrefix = 'celeryev.'
const repliesPrefix = 'reply.celery.pidbox.'

/** `celeryev.task.sent`, `celery.pidbox`, `reply.celery.pidbox.<oid>` are Celery's; every other address is ours. */
export function noticeRoute(address: string): NoticeRoute {
  if (address === pidbox.exchange) return { ...pidbox, routingKey: '' }
  if (address.startsWith(eventsPrefix)) return { ...events, routingKey: address.slice(eventsPrefix.length) }
  if (address.startsWith(repliesPrefix)) return { ...replies, routingKey: address.slice(repliesPrefix.length) }
  return { ...others, routingKey: address }
}

/** @param unique names the listener's queue. */
export function noticeListener(pattern: string, unique: string): NoticeListener {
  const options = { durable: false, exclusive: true, autoDelete: true }
  const route = noticeRoute(pattern)
  if (route.exchange === pidbox.exchange)
    return {
      ...route,
      bindingKey: '',
      queue: `${unique}.celery.pidbox`,
      options: { ...options, expires: 10_000, messageTtl: 300_000 },
      toAddress: () => pidbox.exchange,
    }
  if (route.exchange === replies.exchange)
    return {
      ...route,
      bindingKey: route.routingKey,
      queue: `${unique}.${route.routingKey}.reply.celery.pidbox`,
      options: { ...options, expires: 10_000, messageTtl: 300_000 },
      toAddress: routingKey => repliesPrefix + routingKey,
    }
  const isEvents = route.exchange === events.exchange
  return {
    ...route,
    bindingKey: topicPattern(route.routingKey),
    queue: isEvents ? `celeryev.${unique}` : `lovage.notices.${unique}`,
    options: { ...options, expires: 60_000, messageTtl: isEvents ? 5000 : 60_000 },
    toAddress: routingKey => (isEvents ? eventsPrefix + routingKey : routingKey),
  }
}

/** A prefix as far as whole words go; the listener looks at the rest itself. */
function topicPattern(pattern: string): string {
  if (!pattern.endsWith('*')) return pattern
  const words = pattern.slice(0, -1).split('.').slice(0, -1)
  return [...words, '#'].join('.')
}

export function matchesPattern(address: string, pattern: string): boolean {
  return pattern.endsWith('*') ? address.startsWith(pattern.slice(0, -1)) : address === pattern
}

// ── What the broker adds to headers ─────────────────────────────────────────────────────────────────

const brokerHeader = /^x-(?:death|first-death-.*|last-death-.*|delivery-count|acquired-count|stream-offset)$/

/** A header that belongs to the transport, not to the message. */
export function isBrokerHeader(name: string): boolean {
  return name.startsWith('x-') && brokerHeader.test(name)
}
