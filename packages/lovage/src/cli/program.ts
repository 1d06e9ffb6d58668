/** The commands and what all of them take. */
import { Command } from 'commander'
import { addCallCommand } from './call-command.ts'
import { addDeadCommand } from './dead-command.ts'
import { addDevCommand } from './dev-command.ts'
import { examples } from './command.ts'
import { addListCommand } from './list-command.ts'
import { names } from './option-values.ts'
import { addPurgeCommand } from './purge-command.ts'
import { addResultCommand, addRevokeCommand } from './result-command.ts'
import { addStatusCommand } from './status-command.ts'
import { version } from '../worker/version.ts'
import { addWorkerCommand } from './worker-command.ts'

/** Throws CommanderError instead of ending the process; what commander would print as an error is the caller's to print. */
export function createProgram(): Command {
  const program = new Command('lovage')
    .description("A distributed task queue for TypeScript that speaks Celery's wire protocol")
    .version(version, '-V, --version', 'print the version')
    .option('-A, --app <file>', 'the file that exports the app: tasks.ts, src/tasks.ts:name')
    .option('-b, --broker <url>', 'the broker (LOVAGE_BROKER_URL)')
    .option('--result-backend <url>', "where results are kept (LOVAGE_RESULT_BACKEND; default: the broker's)")
    .option('--env-file <files>', 'more files of variables, over .env and .env.local', names)
    .option('--debug', 'show the stack of an error')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .showSuggestionAfterError()
  examples(program, [
    ['lovage dev tasks.ts', 'run the tasks of tasks.ts, with a page to call them'],
    [`lovage call core.tasks.add '[2, 3]' --follow`, 'send one and watch it'],
    ['lovage status', 'which workers live, what is waiting'],
  ])
  for (const add of [
    addDevCommand,
    addWorkerCommand,
    addCallCommand,
    addResultCommand,
    addRevokeCommand,
    addStatusCommand,
    addListCommand,
    addPurgeCommand,
    addDeadCommand,
  ]) {
    add(program)
  }
  return program
}
