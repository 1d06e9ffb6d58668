/** `lovage worker`: loads the tasks, says what it found, runs them until it is told to stop. */
import { globSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { createLogger } from '../app/logger.ts'
import { importProjectFile } from '../app/loading/import-app.ts'
import type { SettingName } from '../app/settings.ts'
import type { Logger } from '../app/types.ts'
import { ConfigurationError } from '../core/errors.ts'
import { nearest } from '../core/suggest.ts'
import { Worker, type WorkerOptions } from '../worker/index.ts'
import { version } from '../worker/version.ts'
import { bannerJson, bannerLines, settingFacts, taskFacts, type BannerFacts } from './banner.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { describeApp } from './dev/describe-app.ts'
import { exitCodes } from './exit-codes.ts'
import { count, durationMs, names } from './option-values.ts'
import type { Session } from './session.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly loglevel?: string
  readonly concurrency?: number
  readonly queues?: readonly string[]
  readonly hostname?: string
  readonly pool?: string
  readonly include?: readonly string[]
  readonly timeLimit?: number
  readonly softTimeLimit?: number
  readonly shutdownTimeout?: number
  readonly json?: boolean
}

export function addWorkerCommand(program: Command): void {
  const command = program
    .command('worker')
    .description('Run tasks: take them from queues until told to stop')
    .argument('[file]', 'the file that exports the app; the same as -A')
    .option('-l, --loglevel <level>', 'debug, info, warn or error')
    .option('-c, --concurrency <n>', 'tasks that run at once (default: the number of cores)', count)
    .option('-Q, --queues <names>', 'queues to take from, with commas between', names)
    .option('-n, --hostname <name>', 'the node name; %h is the host, %n the name (default: lovage@%h)')
    .option('-P, --pool <pool>', 'threads, or inline (tasks share the thread of the engine)')
    .option('-I, --include <globs>', 'more files with tasks, with commas between', names)
    .option('--time-limit <duration>', 'end a task by force after this long', durationMs)
    .option('--soft-time-limit <duration>', "abort a task's signal after this long", durationMs)
    .option('--shutdown-timeout <duration>', 'how long a stop waits for running tasks (default: 25s)', durationMs)
    .option('--json', 'banner and log lines as JSON')
  examples(command, [
    ['lovage worker', 'the app of tasks.ts, src/tasks.ts or package.json'],
    ['lovage worker tasks.ts -l info -c 4 -Q celery,slow', 'four at once, from two queues'],
    [`lovage -A src/app.ts:queue worker -I 'src/tasks/*.ts'`, 'a named export, and more files with tasks'],
  ])
  act<Options>(command, runWorker)
}

async function runWorker({ options, args, terminal }: Invocation<Options>): Promise<number> {
  const file = options.app ?? args[0]
  const needs = { appFile: true, flags: settingFlags(options) }
  return await withSession({ ...options, ...(file === undefined ? {} : { app: file }) }, needs, session =>
    serve(session, options, terminal),
  )
}

function settingFlags(options: Options): Partial<Record<SettingName, unknown>> {
  const flags = {
    logLevel: options.loglevel,
    concurrency: options.concurrency,
    queues: options.queues,
    shutdownTimeoutMs: options.shutdownTimeout,
  }
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
}

async function serve(session: Session, options: Options, terminal: Terminal): Promise<number> {
  const include = findIncludes(options.include ?? [])
  for (const file of include) await importProjectFile(file)
  await session.internals.loadIncludes()
  assertSomeTasks(session)
  const logger = createLogger({
    level: session.internals.config.logLevel.value,
    format: options.json === true ? 'json' : undefined,
  })
  const worker = new Worker(session.app, workerOptions({ session, options, include, logger }))
  const { description } = await session.internals.backend()
  let wasAsked = false
  const onSignal = (): void => {
    wasAsked = true
    // while it starts it does not listen by itself yet
    void worker.stop()
  }
  for (const signal of stopSignals) process.once(signal, onSignal)
  // a parent that is gone can no longer tell it to stop
  process.once('disconnect', onSignal)
  // for a parent that wants to know what it has started: `lovage dev`
  process.send?.(describeApp(session.internals))
  await showBanner({ session, options, worker, description }, terminal)
  await worker.start()
  logger.info(`${worker.node} ready.`)
  // for a parent that waits: `wait_ready` of a process manager, `npm start`
  process.send?.('ready')
  await worker.stopped()
  return wasAsked ? exitCodes.ok : exitCodes.unavailable
}

/** `-I` takes globs and files, relative to where the command runs. @throws {ConfigurationError} one matches nothing. */
function findIncludes(patterns: readonly string[]): string[] {
  const files = patterns.flatMap(pattern => {
    const found = globSync(pattern).filter(file => /\.[cm]?[jt]sx?$/.test(file) && !file.endsWith('.d.ts'))
    if (found.length === 0)
      throw new ConfigurationError(`-I ${pattern} matches no file in ${process.cwd()}`, { details: { pattern } })
    return found.sort()
  })
  return [...new Set(files.map(file => resolve(file)))]
}

function assertSomeTasks({ internals, source }: Session): void {
  if ([...internals.tasks.values()].some(({ handler }) => handler !== undefined)) return
  const file = source === undefined ? 'The file' : basename(source.file)
  const declared = [...internals.tasks.keys()]
  const what = declared.length === 0 ? 'defines none' : `only declares ${declared.join(', ')}`
  throw new ConfigurationError(`0 tasks. ${file} was loaded and ${what}; -I or include?`, {
    details: { file: source?.file },
  })
}

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const

interface WorkerParts {
  readonly session: Session
  readonly options: Options
  readonly include: readonly string[]
  readonly logger: Logger
}

function workerOptions({ session: { source }, options, include, logger }: WorkerParts): WorkerOptions {
  return {
    pool: poolOf(options.pool),
    name: nodeName(options.hostname),
    signals: true,
    source: source && { file: source.file, exportName: source.exportName, include, projectRoot: source.projectRoot },
    softTimeLimitMs: options.softTimeLimit,
    timeLimitMs: options.timeLimit,
    logger,
  }
}

const pools: Readonly<Record<string, 'threads' | 'inline'>> = { threads: 'threads', inline: 'inline', solo: 'inline' }

function poolOf(given: string | undefined): 'threads' | 'inline' {
  const pool = pools[given ?? 'threads']
  if (pool !== undefined) return pool
  const near = nearest(given ?? '', Object.keys(pools))
  const hint =
    given === 'prefork' || given === 'processes'
      ? 'a pool of processes comes later; threads runs tasks in a thread of their own'
      : `did you mean ${near ?? 'threads'}?`
  throw new ConfigurationError(`-P ${given}: there is no such pool: ${hint}`, { details: { pool: given } })
}

/** Celery's `%h` and `%n`; the host is added by the worker, which knows it. */
function nodeName(given: string | undefined): string {
  return (given ?? 'lovage').replace(/@.*$/, '').replaceAll('%n', 'lovage').replaceAll('%h', '') || 'lovage'
}

interface Shown {
  readonly session: Session
  readonly options: Options
  readonly worker: Worker
  readonly description: { readonly transport: string; readonly results: string }
}

async function showBanner({ session, options, worker, description }: Shown, terminal: Terminal): Promise<void> {
  const { internals, source, envFiles } = session
  const facts: BannerFacts = {
    app: internals.name,
    file: source?.file ?? '',
    node: worker.node,
    version,
    transport: description.transport,
    results: description.results,
    pool: worker.pool,
    concurrency: worker.concurrency,
    queues: worker.queues,
    tasks: taskFacts(internals.tasks),
    settings: settingFacts(internals.config),
    envFiles: envFiles.files,
    warnings: internals.config.warnings,
  }
  if (options.json === true) terminal.err(bannerJson(facts, Date.now()))
  else for (const line of bannerLines(facts, terminal)) terminal.out(line)
}
