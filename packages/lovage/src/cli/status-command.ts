/** `lovage status`: which workers live, and what waits in the queues. */
import type { Command } from 'commander'
import type { Backend } from '../backend.ts'
import type { QueueStats } from '../broker.ts'
import { formatDuration } from '../core/duration.ts'
import { printableLine } from '../core/printable.ts'
import { livingWorkers, type WorkerCard } from '../worker/presence.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { showJson } from './format-snapshot.ts'
import { table, type Terminal } from './terminal.ts'

export function addStatusCommand(program: Command): void {
  const command = program
    .command('status')
    .description('Show the workers that live and the lengths of the queues; exit 69 when there is no worker')
    .option('--json', 'as JSON')
  examples(command, [
    ['lovage status', 'workers and queues'],
    ['lovage status --json | jq .queues', 'for programs'],
    ['lovage status -b sqlite:/srv/mysite/.lovage/queue.db', 'of another broker'],
  ])
  act<{ readonly json?: boolean }>(command, runStatus)
}

async function runStatus({ options, terminal }: Invocation<{ readonly json?: boolean }>): Promise<number> {
  return await withSession(options, { appFile: false }, async ({ internals }) => {
    const backend = await internals.backend()
    const [workers, queues] = [await livingWorkers(backend.coordination), await queueStats(backend)]
    const { transport } = backend.description
    if (options.json === true) terminal.out(showJson({ transport, workers, queues }))
    else showStatus({ transport, workers, queues }, terminal)
    return workers.length === 0 ? exitCodes.unavailable : exitCodes.ok
  })
}

export async function queueStats({ broker }: Pick<Backend, 'broker'>): Promise<readonly QueueStats[]> {
  const queues = await broker.queues()
  return await Promise.all([...queues].sort().map(queue => broker.stats(queue)))
}

interface Status {
  readonly transport: string
  readonly workers: readonly WorkerCard[]
  readonly queues: readonly QueueStats[]
}

function showStatus({ transport, workers, queues }: Status, terminal: Terminal): void {
  const { paint } = terminal
  terminal.out(`${paint('dim', 'transport')} ${printableLine(transport)}`)
  terminal.out('')
  if (workers.length === 0) terminal.out('No worker is running. Start one: npx lovage worker')
  else for (const line of workerTable(workers, paint)) terminal.out(line)
  terminal.out('')
  if (queues.length === 0) terminal.out('No queue yet: nothing was sent, and no worker has asked for one.')
  else for (const line of queueTable(queues, paint)) terminal.out(line)
}

function workerTable(workers: readonly WorkerCard[], paint: Terminal['paint']): string[] {
  const rows = workers.map(({ node, pid, concurrency, pool, startedAt, queues, tasks }) => [
    printableLine(node),
    String(pid),
    `${concurrency} ${pool}`,
    formatDuration(Math.max(0, Date.now() - startedAt)),
    String(tasks.length),
    printableLine(queues.join(',')),
  ])
  return table([['WORKER', 'PID', 'SLOTS', 'UP', 'TASKS', 'QUEUES'], ...rows], headed(paint))
}

export function queueTable(queues: readonly QueueStats[], paint: Terminal['paint']): string[] {
  const rows = queues.map(({ queue, ready, delayed, unsettled }) => [
    printableLine(queue),
    String(ready),
    countText(delayed),
    countText(unsettled),
  ])
  return table([['QUEUE', 'READY', 'DELAYED', 'RUNNING'], ...rows], headed(paint))
}

/** What the broker does not tell is not 0. */
function countText(count: number | undefined): string {
  return count === undefined ? '?' : String(count)
}

/** The first row is the head. */
export function headed(paint: Terminal['paint']): (cell: string, column: number, row: number) => string {
  return (cell, _column, row) => (row === 0 ? paint('dim', cell) : cell)
}
