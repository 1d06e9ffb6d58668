/** `lovage call`: sends a task by name, unchecked as Celery's `call`, and follows it when asked. */
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { AsyncResult } from '../app/types.ts'
import { printableLine } from '../core/printable.ts'
import { nearest } from '../core/suggest.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { followTask } from './follow.ts'
import { showJson } from './format-snapshot.ts'
import { parseCallArguments } from './json-argument.ts'
import { durationMs, expiry, instant, priority } from './option-values.ts'
import type { Session } from './session.ts'

interface Options {
  readonly args?: string
  readonly kwargs?: string
  readonly countdown?: number
  readonly eta?: Date
  readonly expires?: { readonly expiresInMs: number } | { readonly expiresAt: Date }
  readonly queue?: string
  readonly priority?: number
  readonly taskId?: string
  readonly follow?: boolean
  readonly json?: boolean
}

export function addCallCommand(program: Command): void {
  const command = program
    .command('call')
    .description('Send a task by its name; prints its id')
    .argument('<name>', 'the name of the task')
    .argument(
      '[args]',
      `its arguments in JSON: '[30]', or '{"month": "2026-10"}' for keyword arguments; - reads them from standard input`,
    )
    .option('-a, --args <json>', 'positional arguments, an array')
    .option('-k, --kwargs <json>', 'keyword arguments, an object')
    .option('--countdown <duration>', 'not before this long from now; a bare number is seconds', durationMs)
    .option('--eta <instant>', 'not before this instant', instant)
    .option('--expires <when>', 'do not start after this instant, or this long from now', expiry)
    .option('--queue <name>', 'send it to this queue')
    .option('--priority <n>', '0 to 9, 9 goes first', priority)
    .option('--task-id <id>', 'give it this id')
    .option('-f, --follow', 'show its progress until it is ready; exit 1 when it fails')
    .option('--json', 'the id, or with --follow every change, as JSON')
  examples(command, [
    [`lovage call core.tasks.add '[2, 3]'`, 'send it and print the id'],
    [`lovage call core.tasks.loop '[30]' --follow`, 'a progress bar until it is ready'],
    [`cat month.json | lovage call shop.exportOrders - --queue slow`, 'arguments from a file'],
  ])
  act<Options>(command, runCall)
}

async function runCall({ options, args, terminal }: Invocation<Options>): Promise<number> {
  const [name = '', given] = args
  const positional = given === '-' ? await text(process.stdin) : given
  const call = parseCallArguments({ positional, args: options.args, kwargs: options.kwargs })
  return await withSession(options, { appFile: false }, async session => {
    const warning = unknownTask(session, name)
    if (warning !== undefined) terminal.err(`${terminal.paint('yellow', 'warning')}  ${warning}`)
    const result: AsyncResult = await session.app.sendTask(name, call.args, call.kwargs, applyOptions(options))
    if (options.follow !== true) {
      terminal.out(options.json === true ? showJson({ id: result.id }) : printableLine(result.id))
      return exitCodes.ok
    }
    terminal.err(printableLine(result.id))
    return await followTask(result, { terminal, json: options.json, backend: await session.internals.backend() })
  })
}

function applyOptions({ countdown, eta, expires, queue, priority: wanted, taskId }: Options): object {
  const given = { countdownMs: countdown, eta, queue, priority: wanted, taskId, ...expires }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** Sent all the same: it may live in Python, or in a file that only workers load. */
function unknownTask({ internals, source }: Session, name: string): string | undefined {
  if (source === undefined || internals.tasks.size === 0 || internals.tasks.has(name)) return undefined
  const near = nearest(name, internals.tasks.keys())
  return near === undefined ? undefined : `${source.file} defines no task ${name}. Did you mean ${near}? Sent as it is.`
}
