/** What goes wrong with a broker, said so that somebody can mend it. */
import { BrokerConnectionError, BrokerError, ConfigurationError, coerceError, LovageError } from '../../core/errors.ts'
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
  const mark = markOf(cause)
  const found = connectReasons.find(({ pattern }) => pattern.test(mark))
  const message = found === undefined ? cause.message : found.say({ location, host, cause })
  return new BrokerConnectionError(`RabbitMQ at ${where} cannot be used: ${message}`, {
    cause,
    details: { host: host.hostname, port: host.port, vhost: location.vhost, reason: found?.reason ?? 'unknown' },
  })
}

/**
 * What tells errors apart: the system's or TLS's code; for those that have none, or only EPROTO, their text. Texts of
 * errors with a code are not searched: hosts, ports and names of certificates stand in them.
 */
function markOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return code === '' || code === 'EPROTO' ? error.message : code
}

interface ConnectReason {
  readonly reason: string
  /** Of the mark. */
  readonly pattern: RegExp
  readonly say: (facts: { readonly location: Location; readonly host: Host; readonly cause: Error }) => string
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
    pattern: /Handshake terminated by server: 530|Expected ConnectionOpenOk; got <ConnectionClose/,
    say: ({ location, host }) =>
      `there is no virtual host "${location.vhost}", or "${host.username}" may not use it, or it takes no more connections. rabbitmqctl add_vhost and set_permissions make one, list_vhost_limits shows its limits; the name in the URL is written with %2F for /`,
  },
  {
    reason: 'refused',
    pattern: /ECONNREFUSED/,
    say: () => 'nothing listens there. Is it started, and is the port right (5672, with TLS 5671)?',
  },
  {
    reason: 'host',
    pattern: /ENOTFOUND|EAI_AGAIN/,
    say: ({ host }) =>
      `the host name "${host.hostname}" is not known here. Is it written right, and does this machine (or container) reach its name server?`,
  },
  {
    reason: 'route',
    pattern: /EHOSTUNREACH|ENETUNREACH/,
    say: () => 'no way leads there from here. Check the address, and the network of this machine (or container)',
  },
  {
    reason: 'timeout',
    pattern: /ETIMEDOUT/,
    say: ({ location }) =>
      `no answer within ${location.connectTimeoutMs} ms. Is the address right, and does a firewall let this through? A broker that is only slow gets more time by ?connectTimeoutMs=`,
  },
  {
    reason: 'certificate-time',
    pattern: /^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/,
    say: ({ cause }) =>
      `its certificate is out of its time (${cause.message}). Renew it there, or that of its authority; or is the clock of this machine wrong?`,
  },
  {
    reason: 'certificate-name',
    pattern: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    say: ({ cause, host }) =>
      `its certificate is not for "${host.hostname}" (${cause.message}). Write a name in the URL that it is for, or have one made with this name in its subjectAltName`,
  },
  {
    reason: 'certificate',
    pattern: /^DEPTH_ZERO_SELF_SIGNED_CERT$/,
    say: () =>
      'its certificate is not trusted: it is signed by itself. Name a file with this certificate in the URL: ?caFile=/path/cert.pem',
  },
  {
    reason: 'certificate',
    pattern:
      /^(?:SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(?:VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(?:_LOCALLY)?)|CERT_UNTRUSTED|INVALID_CA)$/,
    say: ({ location, cause }) =>
      `its certificate is not trusted: it was signed by ${location.caFile === undefined ? 'nobody known here' : `nobody in caFile=${location.caFile}`} (${cause.message}). Name the authority's file in the URL: ?caFile=/path/ca.pem. Authorities between the two belong into the broker's ssl_options.certfile`,
  },
  {
    reason: 'client-certificate',
    pattern:
      /alert[_ ](?:certificate[_ ](?:required|expired|revoked|unknown)|(?:bad|unsupported)[_ ]certificate|unknown[_ ]ca)/i,
    say: ({ location, cause }) =>
      location.certFile === undefined
        ? `it demands a client certificate. ${giveCertificate}`
        : `it refuses the client certificate in certFile=${location.certFile} (${alertOf(cause)}). Is it still valid, and is who signed it in the broker's ssl_options.cacertfile?`,
  },
  {
    reason: 'handshake',
    pattern: /alert[_ ]handshake[_ ]failure/i,
    say: ({ location }) =>
      location.certFile === undefined
        ? `it ended the TLS handshake: most likely it demands a client certificate. ${giveCertificate}`
        : `it ended the TLS handshake. Its log says why: it may refuse the client certificate in certFile=${location.certFile}, or know none of this side's ciphers (ssl_options.ciphers)`,
  },
  {
    reason: 'tls-version',
    pattern: /alert[_ ]protocol[_ ]version|unsupported[_ ]protocol/i,
    say: () => 'it speaks no version of TLS that is allowed here. Have it speak TLS 1.2 or 1.3 (ssl_options.versions)',
  },
  {
    reason: 'tls',
    pattern: /EPROTO|wrong[_ ]version[_ ]number|packet[_ ]length[_ ]too[_ ]long|SSL routines/i,
    say: ({ location }) =>
      location.tls
        ? 'that port does not speak TLS: write amqp://, or take the TLS port (5671)'
        : 'that port speaks TLS: write amqps://',
  },
  {
    reason: 'protocol',
    pattern: /closed abruptly|ECONNRESET|EPIPE|Expected ConnectionStart|Invalid frame|Frame/i,
    say: ({ location }) => `what listens there hung up on the AMQP greeting. ${whyHungUp(location)}`,
  },
]

const giveCertificate = 'Name yours, and its key, in the URL: ?certFile=/path/cert.pem&keyFile=/path/key.pem'

function whyHungUp({ tls, certFile }: Location): string {
  if (!tls) return 'Perhaps it wants TLS (amqps://), or another service has the port'
  return certFile === undefined
    ? `Perhaps it demands a client certificate (?certFile=, ?keyFile=), or another service has the port`
    : 'Perhaps it refuses the client certificate (see its log), or another service has the port'
}

/** "…:SSL routines:ssl3_read_bytes:ssl/tls alert bad certificate:…" */
function alertOf({ message }: Error): string {
  return /alert ([a-z ]+)/.exec(message)?.[1] ?? message.trim()
}

/** Of several hosts. @param faults in the order of the URL, so that one outage is told in one way */
export function noHostAnswers(faults: readonly Error[]): Error {
  // whatever the host: what is wrong is here
  const own = faults.find(fault => fault instanceof ConfigurationError)
  const [first, ...others] = faults
  if (own !== undefined || others.length === 0) return own ?? first ?? new BrokerConnectionError('No host is named')
  const details = { hosts: faults.map(fault => (fault instanceof LovageError ? fault.details : {})) }
  return new BrokerConnectionError(faults.map(fault => fault.message).join('; '), { cause: first, details })
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
      return new BrokerError(
        `${what}: another connection holds it for itself, until that ends (${reasonOf(cause.message)}). ` +
          `Whose it is: rabbitmqctl list_queues name owner_pid, and list_connections pid name`,
        { cause, details },
      )
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
    `Declare it alike on both sides (in the URL: ?maxPriority=, ?queueType=; in Celery: task_queues), take it as it is (?queueType=existing), or delete it when it is empty`
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
