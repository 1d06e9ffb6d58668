/**
 * Configuration: flag > environment > constructor > default, and for every value where it came from. Resolved at the
 * first use, not at construction: the CLI reads `.env` files before, and tests take apps over.
 */
import { readFileSync } from 'node:fs'
import { ConfigurationError } from '../core/errors.ts'
import { nearest } from '../core/suggest.ts'
import { assertBrokerUrl, resolveResultUrl } from '../drivers/registry.ts'
import { settingNames, settingRules, showGiven, variableName } from './settings.ts'
import type { SettingName, SettingValues } from './settings.ts'

/** One resolved value and where it came from: `flag`, `LOVAGE_BROKER_URL`, `CELERY_BROKER_URL in .env.local`, `new Lovage()`, `default`. */
interface Setting<T> {
  readonly value: T
  readonly source: string
}
export type Config = { readonly [Name in SettingName]: Setting<SettingValues[Name]> } & {
  /** What is odd and stops nothing, in sentences: variables that are nobody's. */
  readonly warnings: readonly string[]
}

export interface ConfigSources {
  /** As given on the command line, by setting: `{ concurrency: '4' }`. */
  readonly flags?: Readonly<Partial<Record<SettingName, unknown>>> | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Variables that were read from a file, and from which: `{ LOVAGE_BROKER_URL: '.env.local' }`. */
  readonly envFiles?: Readonly<Record<string, string>> | undefined
  /** The constructor's. */
  readonly options?: Readonly<Partial<Record<SettingName, unknown>>> | undefined
}

/** @throws {ConfigurationError} naming setting, value, source and what is expected. */
export function resolveConfig(sources: ConfigSources): Config {
  const defaultQueue = resolve(sources, 'defaultQueue', () => 'celery')
  const brokerUrl = checkedUrl(resolve(sources, 'brokerUrl', () => embeddedUrl(sources)))
  const resultBackend = resolve(sources, 'resultBackend', () => brokerUrl.value)
  return {
    brokerUrl,
    resultBackend: checkedUrl(
      resultBackend.source === 'default' ? { ...resultBackend, source: brokerUrl.source } : resultBackend,
      url => resolveResultUrl(url, brokerUrl.value),
    ),
    defaultQueue,
    queues: resolve(sources, 'queues', () => []),
    leaseMs: resolve(sources, 'leaseMs', () => 30_000),
    // Celery's result_expires: a day
    resultExpiresMs: resolve(sources, 'resultExpiresMs', () => 86_400_000),
    // within the 30 s that Kubernetes and systemd give or exceed
    shutdownTimeoutMs: resolve(sources, 'shutdownTimeoutMs', () => 25_000),
    concurrency: resolve(sources, 'concurrency', () => undefined),
    maxBodyBytes: resolve(sources, 'maxBodyBytes', () => 1024 * 1024),
    logLevel: resolve(sources, 'logLevel', () => 'info'),
    secret: resolve(sources, 'secret', () => []),
    warnings: unknownVariables(sources.env),
  }
}

function resolve<Name extends SettingName>(
  sources: ConfigSources,
  name: Name,
  fallback: () => SettingValues[Name],
): Setting<SettingValues[Name]> {
  const given = fromFlag(sources, name) ?? fromEnvironment(sources, name) ?? fromOptions(sources, name)
  if (given === undefined) return { value: fallback(), source: 'default' }
  const value = settingRules[name].read(given.value, given.unit)
  if (value !== undefined) return { value: value as SettingValues[Name], source: given.source }
  throw new ConfigurationError(
    `${name} (${given.source}) is ${showGiven(name, given.value)}: expected ${settingRules[name].expected}`,
    { details: { setting: name, source: given.source } },
  )
}

interface Given {
  readonly value: unknown
  readonly source: string
  readonly unit: 'ms' | 's'
}

function fromFlag({ flags }: ConfigSources, name: SettingName): Given | undefined {
  const value = flags?.[name]
  return value === undefined ? undefined : { value, source: 'flag', unit: 'ms' }
}

function fromOptions({ options }: ConfigSources, name: SettingName): Given | undefined {
  const value = options?.[name]
  return value === undefined ? undefined : { value, source: 'new Lovage()', unit: 'ms' }
}

function fromEnvironment(sources: ConfigSources, name: SettingName): Given | undefined {
  const { celery, celeryUnit } = settingRules[name]
  const ours = fromVariable(sources, variableName(name))
  if (ours !== undefined) return { ...ours, unit: 'ms' }
  const theirs = celery === undefined ? undefined : fromVariable(sources, celery)
  return theirs === undefined ? undefined : { ...theirs, unit: celeryUnit ?? 'ms' }
}

/** An empty variable is an unset one, as compose files write it. */
function fromVariable({ env, envFiles }: ConfigSources, variable: string): Omit<Given, 'unit'> | undefined {
  const text = env[variable]
  const file = envFiles?.[variable]
  if (text !== undefined && text !== '')
    return { value: text, source: file === undefined ? variable : `${variable} in ${file}` }
  const secretFile = variable.startsWith('LOVAGE_') ? env[`${variable}_FILE`] : undefined
  return secretFile === undefined || secretFile === ''
    ? undefined
    : { value: readValueFile(variable, secretFile), source: `${variable}_FILE` }
}

function readValueFile(variable: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    throw new ConfigurationError(`${variable}_FILE names "${path}", which cannot be read`, { cause, details: { path } })
  }
}

function checkedUrl(setting: Setting<string>, toUrl: (value: string) => string = value => value): Setting<string> {
  try {
    const value = toUrl(setting.value)
    assertBrokerUrl(value)
    return { ...setting, value }
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    throw new ConfigurationError(`${error.message} (from ${setting.source})`, { details: { source: setting.source } })
  }
}

/** Variables of platforms whose functions share no disk with a worker. */
const diskless: Readonly<Record<string, string>> = {
  VERCEL: 'Vercel',
  AWS_LAMBDA_FUNCTION_NAME: 'AWS Lambda',
  NETLIFY: 'Netlify',
  K_SERVICE: 'Cloud Run',
  FUNCTIONS_WORKER_RUNTIME: 'Azure Functions',
}

/** The embedded store; the driver finds the project's root. */
function embeddedUrl({ env }: ConfigSources): string {
  const platform = Object.keys(diskless).find(variable => env[variable] !== undefined && env[variable] !== '')
  if (platform !== undefined) {
    throw new ConfigurationError(
      `No broker URL is set, and the embedded default (.lovage/queue.db) cannot work on ${diskless[platform]}: it needs a disk that the ` +
        `web process and the workers share. Set LOVAGE_BROKER_URL to a server that both reach`,
      { details: { platform } },
    )
  }
  return 'sqlite:.lovage/queue.db'
}

/** Read elsewhere: the fault injection of core/crash-point.ts. */
const otherVariables: readonly string[] = ['LOVAGE_CRASH_AT']

/** LOVAGE_ variables that no setting has; Celery's are Celery's business. */
function unknownVariables(env: ConfigSources['env']): string[] {
  const known = settingNames.map(variableName)
  const names = new Set([...known, ...known.map(name => `${name}_FILE`), ...otherVariables])
  return Object.keys(env)
    .filter(variable => variable.startsWith('LOVAGE_') && !names.has(variable))
    .map(variable => {
      const near = nearest(variable, known)
      return `${variable} is no variable of Lovage's${near === undefined ? '' : `: did you mean ${near}?`}`
    })
}
