/** What a URL says: `amqp://user:password@host:port/vhost?option=value`, several with `;` between for fail-over. */
import { ConfigurationError } from '../../core/errors.ts'
import { maskUrl } from '../../core/redact.ts'
import { splitUrls } from '../../core/split-urls.ts'

/** `existing`: task queues are taken as they are, and none is declared. */
type QueueType = 'classic' | 'quorum' | 'existing'

export interface Host {
  readonly hostname: string
  readonly port: number
  readonly username: string
  readonly password: string
}

export interface Location {
  /** Tried in turn. */
  readonly hosts: readonly Host[]
  readonly vhost: string
  readonly tls: boolean
  /** Seconds. */
  readonly heartbeat: number
  /** How a connection is given up that is not made in this time. */
  readonly connectTimeoutMs: number
  /** After how long the broker takes back what is not acknowledged: its `consumer_timeout`. */
  readonly consumerTimeoutMs: number
  /** How queues are declared that are not there yet; both sides must declare them alike. */
  readonly queueType: QueueType
  /** `x-max-priority`, as far as RabbitMQ takes it; 0: none. Ours are 0–9, but queues of others may have more. */
  readonly maxPriority: number
  /** Files of PEM; of the last two neither or both. */
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

const known = [
  'heartbeat',
  'connectTimeoutMs',
  'consumerTimeoutMs',
  'queueType',
  'maxPriority',
  'caFile',
  'certFile',
  'keyFile',
] as const
type Option = (typeof known)[number]

/**
 * @param leaseMs how long tasks belong to a worker that shows no life: three heartbeats, unless the URL says otherwise.
 * @throws {ConfigurationError} naming the part that cannot be used, with the password masked.
 */
export function parseLocation(text: string, leaseMs = 30_000): Location {
  const urls = splitUrls(text).map(part => new URL(part.trim()))
  const [first] = urls
  if (first === undefined) throw new ConfigurationError('No broker URL was given')
  for (const url of urls) assertKnown(url, text)
  assertAlike(urls, text)
  const option = (name: Option): string | undefined => first.searchParams.get(name) ?? undefined
  const tls = urls.some(url => url.protocol === 'amqps:')
  return {
    hosts: urls.map(url => hostOf(url, tls)),
    vhost: vhostOf(first),
    tls,
    heartbeat: wholeNumber(option('heartbeat'), {
      name: 'heartbeat',
      min: 1,
      max: 600,
      fallback: heartbeatOf(leaseMs),
    }),
    connectTimeoutMs: wholeNumber(option('connectTimeoutMs'), {
      name: 'connectTimeoutMs',
      min: 100,
      max: 600_000,
      fallback: 5000,
    }),
    consumerTimeoutMs: wholeNumber(option('consumerTimeoutMs'), {
      name: 'consumerTimeoutMs',
      min: 1000,
      max: 86_400_000_000,
      fallback: 1_800_000,
    }),
    queueType: queueTypeOf(option('queueType')),
    maxPriority: wholeNumber(option('maxPriority'), { name: 'maxPriority', min: 0, max: 255, fallback: 0 }),
    ...tlsFiles({ caFile: option('caFile'), certFile: option('certFile'), keyFile: option('keyFile') }, tls),
  }
}

/** What is not of one host is read from the first URL: the others may leave it out, or say the same. */
function assertAlike([first, ...others]: readonly URL[], text: string): void {
  if (first === undefined) return
  const refuse = (what: string): never => {
    throw new ConfigurationError(
      `The URLs "${maskUrl(text)}" differ in ${what}. They are hosts of one broker: write it in the first, and in the others the same or nothing`,
    )
  }
  for (const other of others) {
    const isNamed = other.pathname !== '' && other.pathname !== '/'
    if (isNamed && vhostOf(other) !== vhostOf(first)) refuse('the virtual host')
    for (const [name, value] of other.searchParams)
      if (first.searchParams.get(name) !== value) refuse(`the option "${name}"`)
  }
}

type TlsFiles = Pick<Location, 'caFile' | 'certFile' | 'keyFile'>

function tlsFiles(files: TlsFiles, tls: boolean): TlsFiles {
  const [given] = Object.entries(files).find(([, path]) => path !== undefined) ?? []
  if (given !== undefined && !tls)
    throw new ConfigurationError(
      `The URL has the option ${given}, which is for TLS, and is no amqps:// URL. Write amqps://, with the TLS port if one is named (5671)`,
    )
  assertPair(files)
  return files
}

function assertPair({ certFile, keyFile }: TlsFiles): void {
  if ((certFile === undefined) === (keyFile === undefined)) return
  const [given, missing] = certFile === undefined ? ['keyFile', 'certFile'] : ['certFile', 'keyFile']
  throw new ConfigurationError(
    `The URL has the option ${given} without ${missing}. A client certificate needs both; a file that has both in it is named twice`,
  )
}

/** Seconds. */
function heartbeatOf(leaseMs: number): number {
  return Math.min(600, Math.max(1, Math.floor(leaseMs / 3000)))
}

/** Celery's rule: no path, or `/`, or `//`, is the vhost `/`. */
function vhostOf({ pathname }: URL): string {
  const name = decoded(pathname.slice(1), 'vhost')
  return name === '' ? '/' : name
}

function hostOf(url: URL, tls: boolean): Host {
  return {
    hostname: url.hostname.replace(/^\[|\]$/g, '') || 'localhost',
    port: url.port === '' ? (tls ? 5671 : 5672) : Number(url.port),
    username: url.username === '' ? 'guest' : decoded(url.username, 'user'),
    password: url.username === '' && url.password === '' ? 'guest' : decoded(url.password, 'password'),
  }
}

function decoded(text: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new ConfigurationError(`The ${part} of the broker URL cannot be read: write a % itself as %25`, { cause })
  }
}

function assertKnown(url: URL, text: string): void {
  for (const name of url.searchParams.keys()) {
    if ((known as readonly string[]).includes(name)) continue
    throw new ConfigurationError(`"${maskUrl(text)}" has an option "${name}" that is not known: ${known.join(', ')}`)
  }
}

interface Range {
  readonly name: Option
  readonly min: number
  readonly max: number
  readonly fallback: number
}

function wholeNumber(text: string | undefined, { name, min, max, fallback }: Range): number {
  if (text === undefined) return fallback
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new ConfigurationError(`The URL's option ${name}=${text} is no whole number from ${min} to ${max}`)
}

function queueTypeOf(text: string | undefined): QueueType {
  if (text === undefined || text === 'classic' || text === 'quorum' || text === 'existing') return text ?? 'classic'
  throw new ConfigurationError(`The URL's option queueType=${text} is none of classic, quorum and existing`)
}
