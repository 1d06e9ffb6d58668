/** `lovage list`: recent runs, known tasks, queues. */
import { Argument, type Command } from 'commander'
import type { Backend } from '../backend.ts'
import { toSnapshot } from '../app/snapshot.ts'
import type { StoredState } from '../core/record.ts'
import { printableLine } from '../core/printable.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { describeSnapshot, showJson, stateStyle } from './format-snapshot.ts'
import { count, names } from './option-values.ts'
import type { Session } from './session.ts'
import { headed, queueStats, queueTable } from './status-command.ts'
import { table, type Terminal } from './terminal.ts'
import { livingWorkers } from '../worker/presence.ts'

/** Of a result, in a table; `--json` has all of it. */
const longestDetail = 500

interface Options {
  readonly state?: readonly string[]
  readonly name?: string
  readonly queue?: string
  readonly limit: number
  readonly json?: boolean
}

export function addListCommand(program: Command): void {
  const command = program
    .command('list')
    .description('List recent runs, known tasks or queues')
    .addArgument(new Argument('[what]', 'what to list').choices(['runs', 'tasks', 'queues']).default('runs'))
    .option('-s, --state <states>', 'runs in these states, with commas between', names)
    .option('--name <task>', 'runs of this task')
    .option('-q, --queue <queue>', 'runs sent to this queue')
    .option('--limit <n>', 'so many runs at most', count, 50)
    .option('--json', 'one JSON object per line')
  examples(command, [
    ['lovage list', 'the newest runs'],
    ['lovage list runs --state FAILURE,RETRY --limit 10', 'what went wrong lately'],
    ['lovage list tasks', 'what this app and the living workers can run'],
  ])
  act<Options>(command, runList)
}

async function runList({ options, args, terminal }: Invocation<Options>): Promise<number> {
  return await withSession(options, { appFile: false }, async session => {
    const backend = await session.internals.backend()
    if (args[0] === 'tasks') return await listTasks(session, backend, { options, terminal })
    if (args[0] === 'queues') return await listQueues(backend, options, terminal)
    return await listRuns(backend, options, terminal)
  })
}

async function listRuns({ results }: Backend, options: Options, terminal: Terminal): Promise<number> {
  const states = options.state?.map(state => state.toUpperCase())
  const { items } = await results.list({ states, name: options.name, queue: options.queue, limit: options.limit })
  if (options.json === true) for (const item of items) terminal.out(showJson(toSnapshot(item)))
  else if (items.length === 0) terminal.err('No runs.')
  else for (const line of runTable(items, terminal)) terminal.out(line)
  return exitCodes.ok
}

function runTable(items: readonly StoredState[], { paint, columns, isLive }: Terminal): string[] {
  const rows = items.map(item => {
    const detail = describeSnapshot(toSnapshot(item)).slice(item.state.length).trim()
    return [
      item.id,
      item.state,
      printableLine(item.facts.name ?? '', 40),
      printableLine(item.facts.queue ?? '', 20),
      shortTime(item.at),
      printableLine(detail, longestDetail),
    ]
  })
  const lines = table([['ID', 'STATE', 'TASK', 'QUEUE', 'CHANGED', 'RESULT'], ...rows])
  // cut before it is painted: a color cut in half would run on
  return lines.map((line, row) =>
    paintState(isLive ? printableLine(line, columns) : line, row === 0 ? undefined : items[row - 1]?.state, paint),
  )
}

function paintState(line: string, state: string | undefined, paint: Terminal['paint']): string {
  return state === undefined
    ? paint('dim', line)
    : line.replace(`  ${state} `, () => `  ${paint(stateStyle(state), state)} `)
}

/** Local: the time for today, else the day too. */
function shortTime(at: number): string {
  const date = new Date(at)
  const two = (part: number): string => String(part).padStart(2, '0')
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? time : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`
}

interface Shown {
  readonly options: Options
  readonly terminal: Terminal
}

async function listTasks({ internals }: Session, backend: Backend, { options, terminal }: Shown): Promise<number> {
  await internals.loadIncludes()
  const runners = new Map<string, string[]>([...internals.tasks.keys()].map(name => [name, []]))
  for (const { node, tasks } of await livingWorkers(backend.coordination)) {
    for (const name of tasks) runners.set(name, [...(runners.get(name) ?? []), node])
  }
  const sorted = [...runners].sort(([a], [b]) => (a < b ? -1 : 1))
  if (options.json === true) for (const [name, workers] of sorted) terminal.out(showJson({ name, workers }))
  else if (sorted.length === 0) terminal.err('No tasks: no app was loaded and no worker is running.')
  else {
    const rows = sorted.map(([name, workers]) => [
      printableLine(name),
      workers.length === 0 ? '-' : printableLine(workers.join(', ')),
    ])
    for (const line of table([['TASK', 'WORKERS'], ...rows], headed(terminal.paint))) terminal.out(line)
  }
  return exitCodes.ok
}

async function listQueues(backend: Backend, options: Options, terminal: Terminal): Promise<number> {
  const queues = await queueStats(backend)
  if (options.json === true) for (const queue of queues) terminal.out(showJson(queue))
  else if (queues.length === 0) terminal.err('No queues.')
  else for (const line of queueTable(queues, terminal.paint)) terminal.out(line)
  return exitCodes.ok
}
