/** What a worker says when it starts: it answers most of "why does it not run". */
import type { Config } from '../app/config.ts'
import type { AppInternals } from '../app/internals.ts'
import type { TaskDefinition } from '../app/registry.ts'
import { maskUrl } from '../core/redact.ts'
import { describe } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import type { Terminal } from './terminal.ts'

export interface BannerFacts {
  readonly app: string
  /** The file it came from, absolute. */
  readonly file: string
  readonly node: string
  readonly version: string
  /** Passwords masked, paths absolute. */
  readonly transport: string
  readonly results: string
  readonly pool: string
  readonly concurrency: number
  readonly queues: readonly string[]
  readonly tasks: readonly TaskFacts[]
  readonly settings: readonly SettingFacts[]
  readonly envFiles: readonly string[]
  /** Only for programs: opening the app has printed them for people. */
  readonly warnings: readonly string[]
}

export interface TaskFacts {
  readonly name: string
  readonly retries: number
  /** Declared, and implemented by no file loaded here. */
  readonly isMissing: boolean
}

/** A setting that is not the default. */
export interface SettingFacts {
  readonly name: string
  readonly value: string
  readonly source: string
}

export function taskFacts(tasks: AppInternals['tasks']): TaskFacts[] {
  const facts = [...tasks.values()].map(({ name, options, handler }: TaskDefinition) => ({
    name,
    retries: options.retry?.max ?? 0,
    isMissing: handler === undefined,
  }))
  return facts.sort((a, b) => (a.name < b.name ? -1 : 1))
}

export function settingFacts(config: Config): SettingFacts[] {
  const { warnings: _, ...settings } = config
  return Object.entries(settings)
    .filter(([, { source }]) => source !== 'default')
    .map(([name, { value, source }]) => ({ name, value: showSetting(name, value), source }))
}

function showSetting(name: string, value: unknown): string {
  if (name === 'secret') return '***'
  return typeof value === 'string' ? maskUrl(value) : Array.isArray(value) ? value.join(', ') : describe(value)
}

/** Settings that have a line of their own. */
const shownAbove = new Set(['brokerUrl', 'resultBackend', 'concurrency', 'queues'])

/** Celery's form: `[config]`, `[queues]`, `[tasks]`. */
export function bannerLines(facts: BannerFacts, { paint }: Pick<Terminal, 'paint'>): string[] {
  const field = (name: string, value: string): string =>
    ` ${paint('dim', '.>')} ${`${name}:`.padEnd(13)}${printableLine(value)}`
  const sources = new Map(facts.settings.map(({ name, source }) => [name, source]))
  const origin = (name: string): string => (sources.has(name) ? `  (${sources.get(name)})` : '')
  const isSameOrigin = sources.get('resultBackend') === sources.get('brokerUrl')
  const others = facts.settings.filter(({ name }) => !shownAbove.has(name))
  return [
    `${paint('bold', printableLine(facts.node))} lovage v${facts.version}`,
    '',
    paint('bold', '[config]'),
    field('app', `${facts.app} (${facts.file})`),
    field('transport', facts.transport + origin('brokerUrl')),
    field('results', facts.results + (isSameOrigin ? '' : origin('resultBackend'))),
    field('concurrency', `${facts.concurrency} (${facts.pool})${origin('concurrency')}`),
    ...others.map(({ name, value, source }) => field(name, `${value}  (${source})`)),
    ...(facts.envFiles.length === 0 ? [] : [field('env files', facts.envFiles.join(', '))]),
    '',
    paint('bold', '[queues]') + origin('queues'),
    ...facts.queues.map(queue => ` ${paint('dim', '.>')} ${printableLine(queue)}`),
    '',
    paint('bold', '[tasks]'),
    ...taskLines(facts.tasks, paint),
    '',
  ]
}

function taskLines(tasks: readonly TaskFacts[], paint: Terminal['paint']): string[] {
  const width = Math.max(...tasks.map(({ name }) => name.length))
  return tasks.map(({ name, retries, isMissing }) => {
    const note = isMissing
      ? paint('yellow', 'declared, not implemented by a file loaded here')
      : paint('dim', `retries ${retries}`)
    return `  . ${printableLine(name).padEnd(width)}  ${note}`
  })
}

/** The same for programs, as one line. */
export function bannerJson(facts: BannerFacts, now: number): string {
  return JSON.stringify({
    time: new Date(now).toISOString(),
    level: 'info',
    message: `${facts.node} starting`,
    ...facts,
  })
}
