/** The command line's entry: `bin/lovage.js` imports it once it knows that this Node will do. */
import { CommanderError, type Command } from 'commander'
import { InvalidArgumentError } from '../core/errors.ts'
import { exitCodeOf, exitCodes } from './exit-codes.ts'
import { printError } from './print-error.ts'
import { createProgram } from './program.ts'
import { createTerminal } from './terminal.ts'

/** Commands that run tasks: what these print is not what was asked for, and nobody need read it. */
const serving: ReadonlySet<string> = new Set(['worker', 'dev'])

await main(process.argv)

async function main(argv: readonly string[]): Promise<void> {
  const program = createProgram()
  let isServing = false
  program.hook('preAction', (_program, command) => {
    isServing = serving.has(command.name())
  })
  process.stdout.on('error', error => {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
    // `lovage list | head`: whoever read has gone, and that is no error
    if (!isServing) process.exit(exitCodes.ok)
  })
  // whoever read the log has gone: a worker goes on without
  process.stderr.on('error', error => {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  })
  try {
    await program.parseAsync(argv)
  } catch (error) {
    process.exitCode = report(error, program)
  }
  // what the user's file keeps open (a database, a timer) is not a reason to stay
  await new Promise(resolve => process.stdout.write('', resolve))
  process.exit()
}

function report(error: unknown, program: Command): number {
  const isDebug = program.opts<{ debug?: boolean }>().debug === true || process.env['LOVAGE_LOG_LEVEL'] === 'debug'
  if (!(error instanceof CommanderError)) {
    printError(error, createTerminal(), isDebug)
    return exitCodeOf(error)
  }
  if (error.exitCode === 0) return exitCodes.ok
  // no command was given: commander has shown which there are
  if (error.code === 'commander.help') return exitCodes.usage
  printError(usageError(error), createTerminal(), false)
  return exitCodes.usage
}

/** Commander's words, in our form: `error: unknown option '--quues'\n(Did you mean --queues?)`. */
function usageError(error: CommanderError): InvalidArgumentError {
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n')
  const hint = more.map(line => line.replace(/^\((.*)\)$/, '$1')).join(' ')
  const message = `${first[0]?.toUpperCase() ?? ''}${first.slice(1)}${hint === '' ? '' : `. ${hint}`}`
  return new InvalidArgumentError(`${message}\nSee: lovage --help, or lovage <command> --help`)
}
