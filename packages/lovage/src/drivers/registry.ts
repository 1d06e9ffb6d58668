/** URL scheme → driver, loaded when a URL asks for it. The only place that knows them all. */
import type { Connection, DriverOptions } from '../backend.ts'
import { ConfigurationError, UnsupportedError } from '../core/errors.ts'
import { maskUrl } from '../core/redact.ts'
import { splitUrls } from '../core/split-urls.ts'
import { nearest } from '../core/suggest.ts'

type OpenDriver = (url: string, options: DriverOptions) => Promise<Connection>

const openRabbit: OpenDriver = async (url, options) => (await import('./rabbitmq/rabbitmq.ts')).openRabbit(url, options)

const drivers: Readonly<Record<string, OpenDriver>> = {
  memory: async (url, options) => (await import('./memory/memory.ts')).openMemory(new URL(url), options),
  sqlite: async (url, options) => (await import('./sqlite/sqlite.ts')).openSqlite(new URL(url), options),
  amqp: openRabbit,
  amqps: openRabbit,
  pyamqp: openRabbit,
}

/** Whose store is a file, or the process itself: whoever can read it is on this machine. */
const embedded: readonly string[] = ['memory', 'sqlite']

export function isEmbedded(url: string): boolean {
  return embedded.includes(assertBrokerUrl(url))
}

/** Known, and not there yet: scheme → what it is called. */
const comingDrivers: Readonly<Record<string, string>> = {
  redis: 'Redis',
  rediss: 'Redis',
  postgres: 'Postgres',
  postgresql: 'Postgres',
}

/** Brokers whose results can travel with the messages. */
const rpcBrokers: readonly string[] = ['amqp', 'amqps', 'pyamqp']

/** Celery's result backends that only Celery reads: what the URL begins with. */
const celeryOnly: ReadonlySet<string> = new Set(
  (
    'django-db django-cache cache memcached db database file filesystem mongodb elasticsearch s3 gs gcs cassandra couchbase ' +
    'couchdb cosmosdbsql consul dynamodb azureblockblob arangodb'
  ).split(' '),
)

/**
 * Connects to what a URL names; the connection's halves are not yet open.
 * @throws {ConfigurationError} no such scheme, or no URL at all. @throws {UnsupportedError} a driver that comes next.
 */
export async function openConnection(url: string, options: DriverOptions = {}): Promise<Connection> {
  const scheme = assertBrokerUrl(url)
  const open = drivers[scheme]
  if (open === undefined) throw new UnsupportedError(comingMessage(scheme), { details: { scheme } })
  return await open(url, options)
}

/**
 * The URL of a result store: `rpc://`, or Celery's short `rpc`, stands for the broker's own, whatever comes after it.
 * @throws {ConfigurationError} that broker keeps none.
 */
export function resolveResultUrl(url: string, brokerUrl: string): string {
  if (!/^rpc(:|$)/i.test(url)) return url
  if (rpcBrokers.includes(assertBrokerUrl(brokerUrl))) return brokerUrl
  throw new ConfigurationError(
    `"${maskUrl(url)}" sends results over the broker, and "${maskUrl(brokerUrl)}" is no RabbitMQ: set LOVAGE_BROKER_URL to amqp:, or ` +
      `leave the result backend unset, and results are kept where the messages are`,
  )
}

/**
 * The scheme of a URL that some driver takes, or will.
 * @throws {ConfigurationError} naming what is wrong, with the password masked.
 */
export function assertBrokerUrl(url: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  const base = (scheme ?? url).split(/[+:]/)[0] ?? ''
  if (base === 'rpc') throw new ConfigurationError(rpcTransportsNothing(url))
  if (base === 'disabled') throw new ConfigurationError(disabledMessage)
  if (celeryOnly.has(base)) throw new ConfigurationError(celeryOnlyMessage(url))
  if (scheme === undefined) throw new ConfigurationError(noSchemeMessage(url))
  if (!isKnownScheme(scheme)) throw new ConfigurationError(unknownSchemeMessage(scheme, url))
  if (!splitUrls(url).every(part => URL.canParse(part))) {
    throw new ConfigurationError(
      `"${maskUrl(url)}" cannot be read as a URL: check host and port, and write special characters in a password as %XX`,
    )
  }
  return scheme
}

function isKnownScheme(scheme: string): boolean {
  return Object.hasOwn(drivers, scheme) || Object.hasOwn(comingDrivers, scheme)
}

function knownSchemes(): string[] {
  return [...Object.keys(drivers).filter(scheme => scheme !== 'pyamqp'), ...Object.keys(comingDrivers)]
}

function noSchemeMessage(url: string): string {
  const hint = /[/\\.]/.test(url)
    ? `For a database file write sqlite:${maskUrl(url)}`
    : 'For none at all leave it unset'
  return `"${maskUrl(url)}" is no URL: it begins with no scheme. ${hint}; known: ${knownSchemes().join(', ')}`
}

function unknownSchemeMessage(scheme: string, url: string): string {
  const near = nearest(scheme, knownSchemes())
  const hint = near === undefined ? '' : `Did you mean ${near}? `
  return `"${scheme}" of "${maskUrl(url)}" is no scheme of a driver. ${hint}Known: ${knownSchemes().join(', ')}`
}

function rpcTransportsNothing(url: string): string {
  return `"${maskUrl(url)}" names where results go, not a broker: set LOVAGE_BROKER_URL to amqp:, and rpc:// is what results do there by themselves`
}

const disabledMessage =
  'Lovage keeps a state of every task, so the result backend cannot be "disabled": leave it unset, and they are kept where the messages ' +
  'are. A task that needs none is defined with ignoreResult: true'

function comingMessage(scheme: string): string {
  return `The driver for ${comingDrivers[scheme] ?? scheme} (${scheme}:) comes next and is not in this version. Use sqlite: (one machine) or amqp: (RabbitMQ; results are kept there too) now; changing the URL later is all it takes`
}

function celeryOnlyMessage(url: string): string {
  return (
    `Lovage cannot read results from "${maskUrl(url)}", which only Celery can. Set LOVAGE_RESULT_BACKEND to one that Lovage reads: rpc:// ` +
    `on RabbitMQ, where Python workers send it the results of tasks that TypeScript sent, or sqlite: for tasks that only TypeScript runs`
  )
}
