/** `lovage purge`: empties queues; what runs is left alone. */
import type { Command } from 'commander'
import { InvalidArgumentError } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import { nearest } from '../core/suggest.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { names } from './option-values.ts'
import { queueStats } from './status-command.ts'

interface Options {
  readonly force?: boolean
  readonly queues?: readonly string[]
  readonly dryRun?: boolean
}

export function addPurgeCommand(program: Command): void {
  const command = program
    .command('purge')
    .description('Remove every task that waits in a queue; what runs goes on. There is no undo')
    .option('-f, --force', 'do not ask')
    .option('-Q, --queues <names>', 'only these queues, with commas between', names)
    .option('--dry-run', 'only say what would be removed')
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
    const waiting = chosen.map(({ queue, ready, delayed }) => ({ queue, count: ready + delayed }))
    const total = waiting.reduce((sum, { count }) => sum + count, 0)
    for (const { queue, count } of waiting) terminal.out(`${printableLine(queue)}  ${count} waiting`)
    if (options.dryRun === true || total === 0) return nothingDone(total, terminal)
    if (!(await isConfirmed(options, total, terminal))) return nothingDone(0, terminal)
    let removed = 0
    for (const { queue } of waiting) removed += await backend.broker.purge(queue)
    terminal.out(`Removed ${removed} from ${backend.description.transport}`)
    return exitCodes.ok
  })
}

function assertKnown(wanted: readonly string[] | undefined, known: readonly string[]): void {
  const missing = wanted?.find(queue => !known.includes(queue))
  if (missing === undefined) return
  const near = nearest(missing, known)
  throw new InvalidArgumentError(
    `-Q ${missing}: there is no such queue. ${near === undefined ? `Known: ${known.join(', ') || 'none'}` : `Did you mean ${near}?`}`,
  )
}

function nothingDone(total: number, terminal: Invocation<Options>['terminal']): number {
  terminal.out(total === 0 ? 'Nothing removed.' : `${total} would be removed; run it without --dry-run to do so.`)
  return exitCodes.ok
}

/** @throws {InvalidArgumentError} there is nobody to ask. */
async function isConfirmed(
  { force }: Options,
  total: number,
  terminal: Invocation<Options>['terminal'],
): Promise<boolean> {
  if (force === true) return true
  const answer = await terminal.confirm(`Remove ${total} waiting tasks for good?`)
  if (answer === undefined)
    throw new InvalidArgumentError(
      `purge would remove ${total} tasks and cannot ask here: say --force, or look first with --dry-run`,
    )
  return answer
}
