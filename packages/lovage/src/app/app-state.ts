/**
 * An app's inside: configuration, registry and the backend.
 *
 *   unopened → open    the first use, or `takeOver`
 *   open → unopened    the owner of the backend gives the app back, or opening failed
 *   any → closed       `close`; for good
 */
import type { Backend } from '../backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Publication, PublishOutcome } from '../broker.ts'
import { sleep, systemClock } from '../core/clock.ts'
import { AppLoadError, coerceError, ConfigurationError, describe, IllegalStateError } from '../core/errors.ts'
import { nearest } from '../core/suggest.ts'
import { resolveConfig } from './config.ts'
import type { Config, ConfigSources } from './config.ts'
import { connectBackend } from './connections.ts'
import type { AppInternals } from './internals.ts'
import type { LovageOptions } from './lovage.ts'
import { printOnce, shownPlace } from './process-wide.ts'
import { TaskRegistry } from './registry.ts'
import { routeOf } from './routing.ts'
import { settingNames } from './settings.ts'

export class AppState implements AppInternals {
  readonly name: string
  #clock: Clock = systemClock
  readonly registry: TaskRegistry = new TaskRegistry()
  readonly #options: LovageOptions
  #state: 'unopened' | 'open' | 'closed' = 'unopened'
  #sources: Pick<ConfigSources, 'flags' | 'envFiles'> = {}
  #config: Config | undefined
  /** Set while open; pending while it is being opened. */
  #backend: Promise<Backend> | undefined
  /** Whether the backend is somebody else's to close. */
  #isTakenOver = false
  /** `#backend` with all preparations made; undefined before the first use. */
  #prepared: Promise<Backend> | undefined
  readonly #preparations: ((backend: Backend) => Promise<void>)[] = []
  readonly #routed = new Map<string, string>()
  readonly #publishing = new Set<Promise<unknown>>()

  constructor(name: string, options: LovageOptions) {
    assertAppName(name)
    assertAppOptions(options)
    this.name = name
    this.#options = options
  }

  get clock(): Clock {
    return this.#clock
  }

  get tasks(): TaskRegistry['tasks'] {
    return this.registry.tasks
  }

  get routes(): Readonly<Record<string, string>> {
    return this.#options.routes ?? {}
  }

  get config(): Config {
    return (this.#config ??= resolveConfig({ ...this.#sources, env: process.env, options: settingsOf(this.#options) }))
  }

  /** Whether messages go to a backend of its owner's own, where no worker of another process can be. */
  get isTakenOver(): boolean {
    return this.#isTakenOver
  }

  configure(sources: Pick<ConfigSources, 'flags' | 'envFiles'>): void {
    this.#assertUnopened('configure')
    this.#sources = {
      flags: { ...this.#sources.flags, ...sources.flags },
      envFiles: { ...this.#sources.envFiles, ...sources.envFiles },
    }
    this.#config = undefined
    this.#routed.clear()
  }

  queueOf(taskName: string): string {
    const known = this.#routed.get(taskName)
    if (known !== undefined) return known
    const queue = routeOf(taskName, this.routes) ?? this.config.defaultQueue.value
    // names come from calls: a bound, so that made-up ones do not fill the memory
    if (this.#routed.size < 10_000) this.#routed.set(taskName, queue)
    return queue
  }

  backend(): Promise<Backend> {
    if (this.#prepared !== undefined) return this.#prepared
    const prepared = this.#prepare()
    this.#prepared = prepared
    prepared.catch(() => {
      if (this.#prepared === prepared) this.#prepared = undefined
    })
    return prepared
  }

  onOpen(prepare: (backend: Backend) => Promise<void>): void {
    this.#preparations.push(prepare)
    if (this.#prepared === undefined) return
    const before = this.#prepared
    this.#prepared = undefined
    before.then(() => this.backend()).catch(() => undefined)
  }

  async #prepare(): Promise<Backend> {
    const backend = await this.#opened()
    for (const prepare of this.#preparations) await prepare(backend)
    return backend
  }

  #opened(): Promise<Backend> {
    if (this.#backend !== undefined) return this.#backend
    if (this.#state === 'closed')
      return Promise.reject(new IllegalStateError(`The app "${this.name}" is closed: make the call before close()`))
    this.#state = 'open'
    const opening = this.#open()
    this.#backend = opening
    opening.catch(() => {
      if (this.#backend !== opening) return
      this.#backend = undefined
      if (this.#state === 'open') this.#state = 'unopened'
    })
    return opening
  }

  async #open(): Promise<Backend> {
    const { config } = this
    for (const warning of config.warnings) printOnce(`lovage: ${warning}`)
    const backend = await connectBackend(config.brokerUrl.value, config.resultBackend.value, {
      app: this.name,
      leaseMs: config.leaseMs.value,
      resultExpiresMs: config.resultExpiresMs.value,
    })
    if (config.brokerUrl.source === 'default')
      printOnce(`lovage: no broker URL is set; the queue is ${shownPlace(backend.description.transport)}`)
    return backend
  }

  async loadIncludes(): Promise<void> {
    for (const [index, load] of (this.#options.include ?? []).entries()) {
      try {
        await load()
      } catch (cause) {
        throw new AppLoadError(
          `include[${index}] of the app "${this.name}" (${describeLoad(load)}) does not load: ${coerceError(cause).message}`,
          { cause },
        )
      }
    }
  }

  readonly duplicates: AppInternals['duplicates'] = () => this.registry.duplicates()

  takeOver(backend: Backend, clock: Clock = systemClock): () => void {
    this.#assertUnopened('take over')
    const held = Promise.resolve(backend)
    this.#backend = held
    this.#state = 'open'
    this.#isTakenOver = true
    this.#clock = clock
    return () => {
      if (this.#backend !== held) return
      this.#backend = undefined
      this.#prepared = undefined
      this.#isTakenOver = false
      this.#clock = systemClock
      if (this.#state === 'open') this.#state = 'unopened'
    }
  }

  /** Publishes, and lets `close` wait for it. */
  publish(backend: Backend, batch: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    const publishing = backend.publish(batch)
    this.#publishing.add(publishing)
    publishing.finally(() => this.#publishing.delete(publishing)).catch(() => undefined)
    return publishing
  }

  /** Waits for what is being sent, `graceMs` at most, and lets go of the connections. Idempotent. */
  async close(graceMs: number): Promise<void> {
    const backend = this.#backend
    this.#state = 'closed'
    this.#backend = undefined
    this.#prepared = undefined
    if (this.#publishing.size > 0) await this.#drain(graceMs)
    if (backend !== undefined && !this.#isTakenOver) await (await backend.catch(() => undefined))?.close()
  }

  async #drain(graceMs: number): Promise<void> {
    const ended = new AbortController()
    const timeUp = sleep(this.clock, graceMs, ended.signal).catch(() => undefined)
    await Promise.race([Promise.allSettled(this.#publishing), timeUp])
    ended.abort()
  }

  #assertUnopened(verb: string): void {
    if (this.#state === 'unopened') return
    throw new IllegalStateError(
      `Cannot ${verb} the app "${this.name}": it is ${this.#state}. Do it before the first use`,
    )
  }
}

function settingsOf(options: LovageOptions): ConfigSources['options'] {
  const { routes: _routes, include: _include, ...settings } = options
  return settings
}

function assertAppName(name: unknown): void {
  if (typeof name === 'string' && name !== '') return
  throw new ConfigurationError(`new Lovage(${describe(name)}): expected the app's name, such as "mysite"`)
}

const optionNames: readonly string[] = [...settingNames, 'routes', 'include']

function assertAppOptions(options: LovageOptions): void {
  if (!isObject(options)) throw wrongOption('options', options, 'an object')
  const { routes = {}, include = [] } = options
  if (!isObject(routes)) throw wrongOption('routes', routes, `an object such as { 'ts.*': 'ts' }`)
  if (!Array.isArray(include)) throw wrongOption('include', include, 'an array of functions')
  for (const name of Object.keys(options)) {
    if (optionNames.includes(name)) continue
    const near = nearest(name, optionNames)
    throw new ConfigurationError(
      `new Lovage(): there is no option "${name}": ${near === undefined ? `known: ${optionNames.join(', ')}` : `did you mean ${near}?`}`,
    )
  }
  for (const [pattern, queue] of Object.entries(routes)) {
    if (typeof queue !== 'string' || queue === '')
      throw wrongOption(`routes["${pattern}"]`, queue, 'the name of a queue')
  }
  for (const [index, load] of include.entries()) {
    if (typeof load !== 'function')
      throw wrongOption(`include[${index}]`, load, `a function such as () => import('./tasks/images.ts')`)
  }
}

function wrongOption(name: string, value: unknown, expected: string): ConfigurationError {
  return new ConfigurationError(`new Lovage(): ${name} is ${describe(value)}: expected ${expected}`)
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The source of `() => import('./tasks/images.ts')` names the file better than anything else does. */
function describeLoad(load: () => Promise<unknown>): string {
  return /import\(\s*(["'`].*?["'`])/.exec(String(load))?.[1] ?? describe(load)
}
