/** What goes wrong with a broker, said so that somebody can mend it. */
import { BrokerConnectionError, BrokerError, ConfigurationError, coerceError } from '../../core/errors.ts'
import type { LovageError } from '../../core/errors.ts'
import type { Host, Location } from './location.ts'

/** AMQP's reply codes. */
const replyCodes = {
  accessRefused: 403,
  notFound: 404,
  resourceLocked: 405,
  preconditionFailed: 406,
  notAllowed: 530,
} as const

export function replyCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'number' ? error.code : undefined
}

export function isNotFound(error: unknown): boolean {
  return replyCode(error) === replyCodes.notFound
}

/** A connection that could not be made. Wrong credentials and the like do not mend themselves, but are `retryable: true` for who waits for an operator. */
export function connectFault(error: unknown, location: Location, host: Host): LovageError {
  const cause = coerceError(error)
  const where = `${location.tls ? 'amqps' : 'amqp'}://${host.hostname}:${host.port}`
  const text = `${systemCode(cause)} ${cause.message}`
  const reason = connectReasons.find(({ pattern }) => pattern.test(text))
  const message = reason === undefined ? cause.message : reason.say({ location, host, text })
  return new BrokerConnectionError(`RabbitMQ at ${where} cannot be used: ${message}`, {
    cause,
    details: { host: host.hostname, port: host.port, vhost: location.vhost, reason: reason?.reason ?? 'unknown' },
  })
}

interface ConnectReason {
  readonly reason: string
  readonly pattern: RegExp
  readonly say: (facts: { readonly location: Location; readonly host: Host; readonly text: string }) => string
}

const connectReasons: readonly ConnectReason[] = [
  {
    reason: 'credentials',
    pattern: /ACCESS[_-]REFUSED.*(?:login|credential)|Handshake terminated by server: 403/i,
    say: ({ host }) =>
      `it refuses the user "${host.username}" with the password given. Check both, and that the user may log in from here (guest may only from the broker's own machine)`,
  },
  {
    reason: 'vhost',
    pattern: /530|NOT[_-]ALLOWED|Expected ConnectionOpenOk; got <ConnectionClose/,
    say: ({ location, host }) =>
      `there is no virtual host "${location.vhost}", or "${host.username}" may not use it. rabbitmqctl add_vhost and set_permissions make one; the name in the URL is written with %2F for /`,
  },
  {
    reason: 'refused',
    pattern: /ECONNREFUSED/,
    say: () => 'nothing listens there. Is it started, and is the port right (5672, with TLS 5671)?',
  },
  {
    reason: 'host',
    pattern: /ENOTFOUND|EAI_AGAIN/,
    say: ({ host }) => `the host name "${host.hostname}" is not known here`,
  },
  {
    reason: 'certificate',
    pattern: /CERT|SELF_SIGNED|self.signed|certificate|ALTNAME/i,
    say: ({ text }) =>
      `its certificate is not trusted (${text.trim()}). Name the authority's file in the URL: ?caFile=/path/ca.pem`,
  },
  {
    reason: 'tls',
    pattern: /EPROTO|wrong version number|SSL routines|packet length too long/i,
    say: ({ location }) =>
      location.tls
        ? 'that port does not speak TLS: write amqp://, or take the TLS port (5671)'
        : 'that port speaks TLS: write amqps://',
  },
  {
    reason: 'timeout',
    pattern: /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/,
    say: ({ location }) => `no answer within ${location.connectTimeoutMs} ms`,
  },
  {
    reason: 'protocol',
    pattern: /closed abruptly|ECONNRESET|Expected ConnectionStart|Invalid frame|Frame/i,
    say: ({ location }) =>
      `what listens there hung up on the AMQP greeting. ${location.tls ? '' : 'Perhaps it wants TLS (amqps://), or '}another service has the port`,
  },
]

function systemCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** A channel the broker closed because of what was asked. @param what was asked, for the message */
export function channelFault(error: unknown, what: string): LovageError {
  const cause = coerceError(error)
  const code = replyCode(error) ?? 0
  const details = { what, replyCode: code }
  switch (code) {
    case replyCodes.preconditionFailed:
      return new ConfigurationError(`${what}: ${explainArguments(cause.message)}`, { cause, details })
    case replyCodes.accessRefused:
      return new ConfigurationError(
        `${what}: the user may not do this (${reasonOf(cause.message)}). rabbitmqctl set_permissions`,
        { cause, details },
      )
    case replyCodes.resourceLocked:
      return new BrokerError(`${what}: another connection holds it for itself (${reasonOf(cause.message)})`, {
        cause,
        details,
      })
    default:
      return new BrokerError(`${what}: ${reasonOf(cause.message)}`, { cause, details })
  }
}

/** "inequivalent arg 'x-max-priority' for queue 'celery' in vhost '/': received none but current is the value '9' …" */
const inequivalent =
  /inequivalent arg '(.+?)' for (\w+) '(.*?)' in vhost '.*?': received (.+?) but current is (.+?)["']?$/

/** What the broker says when it takes back what was held too long. */
const tookBack = /delivery acknowledgement on channel \d+ timed out\. Timeout value used: (\d+) ms/

function explainArguments(message: string): string {
  const timeoutMs = tookBack.exec(message)?.[1]
  if (timeoutMs !== undefined)
    return `the broker takes back what is not acknowledged within ${timeoutMs} ms, and was not said to: ?consumerTimeoutMs=${timeoutMs} in the URL`
  const found = inequivalent.exec(message)
  if (found === null) return reasonOf(message)
  const [, argument = '', kind = '', name = '', received = '', current = ''] = found
  return (
    `the ${kind} "${name}" is there already, declared otherwise: ${argument} is ${plain(current)} there, and ${plain(received)} here. ` +
    `Declare it alike on both sides (in the URL: ?maxPriority=, ?queueType=; in Celery: task_queues), or delete it when it is empty`
  )
}

function plain(value: string): string {
  return value
    .replace(/^the value /, '')
    .replace(/ of type '.*'$/, '')
    .replace(/^none$/, 'not given')
}

/** Without amqplib's own words around it. */
function reasonOf(message: string): string {
  return /"(.*)"/s.exec(message)?.[1] ?? message
}
