/** `lovage purge`: empties queues; what runs is left alone. */
import type { Command } from 'commander'
import { InvalidArgumentError } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import { nearest } from '../core/suggest.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { showJson } from './format-snapshot.ts'
import { names } from './option-values.ts'
import { queueStats } from './status-command.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly force?: boolean
  readonly queues?: readonly string[]
  readonly dryRun?: boolean
  readonly json?: boolean
}

export function addPurgeCommand(program: Command): void {
  const command = program
    .command('purge')
    .description('Remove every task that waits in a queue; what runs goes on. There is no undo')
    .option('-f, --force', 'do not ask')
    .option('-Q, --queues <names>', 'only these queues, with commas between', names)
    .option('--dry-run', 'only say what would be removed')
    .option('--json', 'as JSON; does not ask')
  examples(command, [
    ['lovage purge --dry-run', 'what is waiting where'],
    ['lovage purge -Q slow', 'one queue, after a question'],
    ['lovage purge -f', 'all of them, at once'],
  ])
  act<Options>(command, runPurge)
}

async function runPurge({ options, terminal }: Invocation<Options>): Promise<number> {
  return await withSession(options, { appFile: false }, async ({ internals }) => {
    const backend = await internals.backend()
    const all = await queueStats(backend)
    assertKnown(
      options.queues,
      all.map(({ queue }) => queue),
    )
    const chosen = all.filter(({ queue }) => options.queues?.includes(queue) ?? true)
    const waiting = chosen.map(({ queue, ready, delayed = 0 }) => ({ queue, count: ready + delayed }))
    const total = waiting.reduce((sum, { count }) => sum + count, 0)
    const report = options.json === true ? jsonReport(waiting, terminal) : textReport(waiting, terminal)
    if (options.dryRun === true || total === 0) return report.nothingDone(total)
    if (!(await isConfirmed(options, total, terminal))) return report.nothingDone(0)
    let removed = 0
    for (const { queue } of waiting) removed += await backend.broker.purge(queue)
    return report.removed(removed, backend.description.transport)
  })
}

type Waiting = readonly { readonly queue: string; readonly count: number }[]

/** What is said at the end; both give the exit code. */
interface Report {
  nothingDone(total: number): number
  removed(count: number, transport: string): number
}

function textReport(waiting: Waiting, terminal: Terminal): Report {
  for (const { queue, count } of waiting) terminal.out(`${printableLine(queue)}  ${count} waiting`)
  const say = (text: string): number => {
    terminal.out(text)
    return exitCodes.ok
  }
  return {
    nothingDone: total =>
      say(total === 0 ? 'Nothing removed.' : `${total} would be removed; run it without --dry-run to do so.`),
    removed: (count, transport) => say(`Removed ${count} from ${transport}`),
  }
}

function jsonReport(waiting: Waiting, terminal: Terminal): Report {
  const say = (removed: number): number => {
    terminal.out(showJson({ queues: waiting.map(({ queue, count }) => ({ queue, waiting: count })), removed }))
    return exitCodes.ok
  }
  return { nothingDone: () => say(0), removed: say }
}

function assertKnown(wanted: readonly string[] | undefined, known: readonly string[]): void {
  const missing = wanted?.find(queue => !known.includes(queue))
  if (missing === undefined) return
  const near = nearest(missing, known)
  throw new InvalidArgumentError(
    `-Q ${missing}: there is no such queue. ${near === undefined ? `Known: ${known.join(', ') || 'none'}` : `Did you mean ${near}?`}`,
  )
}

/** @throws {InvalidArgumentError} there is nobody to ask. */
async function isConfirmed({ force, json }: Options, total: number, terminal: Terminal): Promise<boolean> {
  if (force === true) return true
  const answer = json === true ? undefined : await terminal.confirm(`Remove ${total} waiting tasks for good?`)
  if (answer === undefined)
    throw new InvalidArgumentError(
      `purge would remove ${total} tasks and cannot ask here: say --force, or look first with --dry-run`,
    )
  return answer
}
