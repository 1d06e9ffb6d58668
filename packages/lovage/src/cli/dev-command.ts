/** `lovage dev`: a worker that runs what was saved last, and a page to call its tasks and watch them. */
import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import { relative } from 'node:path'
import type { Command } from 'commander'
import { systemClock } from '../core/clock.ts'
import { ConfigurationError } from '../core/errors.ts'
import { act, examples, type Invocation } from './command.ts'
import { DevWorker } from './dev/dev-worker.ts'
import { createDevPage, isLoopbackName } from './dev/server.ts'
import { watchFolder } from './dev/watch-folder.ts'
import { exitCodes } from './exit-codes.ts'
import { findApp, noAppFound, type AppLocation } from './find-app.ts'
import { count, names, portNumber } from './option-values.ts'
import type { GlobalOptions } from './session.ts'

interface Options {
  readonly port: number
  readonly host: string
  readonly concurrency?: number
  readonly queues?: readonly string[]
  readonly include?: readonly string[]
}

export function addDevCommand(program: Command): void {
  const command = program
    .command('dev')
    .description('Develop: a worker that reloads on save, and a page that calls its tasks and shows their runs')
    .argument('[file]', 'the file that exports the app; the same as -A')
    .option('-p, --port <n>', 'the port of the page; 0 for any that is free', portNumber, 8000)
    .option('--host <name>', 'the address of the page: 127.0.0.1, ::1 or localhost', '127.0.0.1')
    .option('-c, --concurrency <n>', 'tasks that run at once (default: the number of cores)', count)
    .option('-Q, --queues <names>', 'queues to take from, with commas between', names)
    .option('-I, --include <globs>', 'more files with tasks, with commas between', names)
  examples(command, [
    ['lovage dev tasks.ts', 'a worker, and a page on http://127.0.0.1:8000/'],
    ['lovage dev tasks.ts --port 8001', 'the page on another port'],
    [`lovage dev -A src/app.ts:queue -I 'src/tasks/*.ts'`, 'a named export, and more files with tasks'],
  ])
  act<Options>(command, runDev)
}

async function runDev({ options, args, terminal }: Invocation<Options>): Promise<number> {
  assertLoopbackHost(options.host)
  const given = options.app ?? args[0]
  const location = findApp(given, process.cwd())
  if (location === undefined) throw noAppFound(process.cwd())
  const say = (line: string): void => terminal.err(terminal.paint('yellow', line))
  const worker = new DevWorker({ args: toWorkerArgs(options, location), clock: systemClock, say })
  const page = createDevPage({ file: location.file, look: () => worker })
  await listen(page.server, options)
  const { port } = page.server.address() as AddressInfo
  terminal.out(`${terminal.paint('bold', `http://${hostInUrl(options.host)}:${port}/`)}\n`)
  worker.start()
  const watched = watchFolder(location.projectRoot, systemClock, file => {
    say(`${relative(process.cwd(), file)} was saved: a new worker starts.`)
    worker.reload()
  })
  await untilToldToStop(worker)
  watched.close()
  await page.close()
  return exitCodes.ok
}

/** @throws {ConfigurationError} the port is taken, or not ours to take. */
async function listen(server: Server, { port, host }: Options): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', error => {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used: ${error.message}`
    const message = `Port ${port} ${why}. Choose another one: --port ${port === 65_535 ? 8000 : port + 1}`
    reject(new ConfigurationError(message, { cause: error, details: { port, host } }))
  })
  server.listen(port, host, resolve)
  await promise
}

/** Whoever reaches the page can run every task. @throws {ConfigurationError} */
function assertLoopbackHost(host: string): void {
  if (isLoopbackName(host)) return
  throw new ConfigurationError(
    `--host ${host}: the page of lovage dev has no login, and whoever reaches it can run every task: ` +
      `127.0.0.1, ::1 or localhost only. From another machine: ssh -L 8000:127.0.0.1:8000 this-machine`,
    { details: { host } },
  )
}

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function toWorkerArgs(options: Options & GlobalOptions, { file, exportName }: AppLocation): readonly string[] {
  const list = (flag: string, values: readonly string[] | undefined): readonly string[] =>
    values === undefined ? [] : [flag, values.join(',')]
  const one = (flag: string, value: string | number | undefined): readonly string[] =>
    value === undefined ? [] : [flag, String(value)]
  return [
    '--app',
    exportName === undefined ? file : `${file}:${exportName}`,
    ...one('--broker', options.broker),
    ...one('--result-backend', options.resultBackend),
    ...list('--env-file', options.envFile),
    ...one('--concurrency', options.concurrency),
    ...list('--queues', options.queues),
    ...list('--include', options.include),
    ...(options.debug === true ? ['--debug'] : []),
  ]
}

/** A second signal has the workers end at once. */
async function untilToldToStop(worker: DevWorker): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const onSignal = (): void => void worker.stop().then(resolve)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  await promise
}
