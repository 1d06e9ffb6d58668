/** `lovage result` and `lovage revoke`: one task by its id. */
import type { Command } from 'commander'
import type { Snapshot } from '../app/types.ts'
import { printable, printableLine } from '../core/printable.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { followTask } from './follow.ts'
import { describeSnapshot, showJson, snapshotJson, stateStyle } from './format-snapshot.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly json?: boolean
  readonly traceback?: boolean
  readonly follow?: boolean
  readonly wait?: boolean
}

export function addResultCommand(program: Command): void {
  const command = program
    .command('result')
    .description('Show where a task stands, and its result')
    .argument('<id>', 'the id of the task')
    .option('-f, --follow', 'show its progress until it is ready; exit 1 when it fails')
    .option('--wait', 'the same as --follow')
    .option('--traceback', 'with the stack of what it threw')
    .option('--json', 'the whole record as JSON')
  examples(command, [
    ['lovage result 01a2…', 'its state and result now'],
    ['lovage result 01a2… --follow', 'until it is ready'],
    ['lovage result 01a2… --json | jq .result', 'for programs'],
  ])
  act<Options>(command, runResult)
}

async function runResult({ options, args: [id = ''], terminal }: Invocation<Options>): Promise<number> {
  return await withSession(options, { appFile: false }, async ({ app, internals }) => {
    const result = app.result(id)
    const backend = await internals.backend()
    const lookup = await backend.results.get(id)
    if (lookup.kind === 'absent')
      return unknown(`No task with the id ${id} is known on ${backend.description.results}`, terminal)
    if (lookup.kind === 'unknown') return unknown(`Nothing was seen of the task ${id}: ${lookup.reason}`, terminal)
    if (options.follow === true || options.wait === true)
      return await followTask(result, { terminal, json: options.json, backend })
    const snapshot = await result.snapshot()
    if (snapshot === undefined)
      return unknown(`No task with the id ${id} is known on ${backend.description.results}`, terminal)
    showSnapshot(snapshot, options, terminal)
    return exitCodes.ok
  })
}

function unknown(message: string, terminal: Terminal): number {
  terminal.err(printableLine(message))
  return exitCodes.taskFailed
}

function showSnapshot(snapshot: Snapshot, options: Options, terminal: Terminal): void {
  if (options.json === true) return terminal.out(snapshotJson(snapshot))
  const [state = '', ...detail] = describeSnapshot(snapshot).split(' ')
  const headline = snapshot.state === 'SUCCESS' ? '' : detail.join(' ')
  terminal.out(`${terminal.paint(stateStyle(state), state)} ${headline}`.trimEnd())
  for (const [name, value] of factsOf(snapshot))
    terminal.out(`  ${terminal.paint('dim', name.padEnd(9))}${printableLine(value)}`)
  if (snapshot.state === 'SUCCESS') terminal.out(showJson(snapshot.result, 2))
  const traceback = snapshot.error?.traceback
  if (traceback !== undefined && options.traceback === true) terminal.out(printable(traceback))
  else if (traceback !== undefined) terminal.err(`The stack: lovage result ${snapshot.id} --traceback`)
}

function factsOf(snapshot: Snapshot): [name: string, value: string][] {
  const facts: [string, string | undefined][] = [
    ['id', snapshot.id],
    ['task', snapshot.name],
    ['queue', snapshot.queue],
    ['attempt', String(snapshot.attempt)],
    ['queued', snapshot.queuedAt?.toISOString()],
    ['started', snapshot.startedAt?.toISOString()],
    ['ready', snapshot.readyAt?.toISOString()],
  ]
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
}

export function addRevokeCommand(program: Command): void {
  const command = program
    .command('revoke')
    .description('Keep a task from starting, or tell it to stop; with --terminate end it by force')
    .argument('<ids...>', 'ids of tasks')
    .option('--terminate', 'end it by force when it has not stopped after 1.5s')
    .option('--json', 'one JSON object per line')
  examples(command, [
    ['lovage revoke 01a2…', 'it will not start; when it runs, its signal aborts'],
    ['lovage revoke 01a2… --terminate', 'it ends even if it does not heed its signal'],
    ['lovage revoke 01a2… 01b3…', 'several'],
  ])
  act<{ readonly terminate?: boolean; readonly json?: boolean }>(command, async ({ options, args, terminal }) =>
    withSession(options, { appFile: false }, async ({ app }) => {
      for (const id of args) {
        await app.result(id).revoke({ terminate: options.terminate === true })
        terminal.out(options.json === true ? showJson({ id }) : `Revoke of ${printableLine(id)} sent`)
      }
      return exitCodes.ok
    }),
  )
}
