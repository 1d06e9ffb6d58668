/** How a command ends that did not do what was asked: what is said, and the exit code. */
import { CommanderError } from 'commander'
import { InvalidArgumentError } from '../core/errors.ts'
import { exitCodeOf, exitCodes } from './exit-codes.ts'
import { printError } from './print-error.ts'
import type { Terminal } from './terminal.ts'

/** Prints what was thrown, with its stack only where `isDebug`; the exit code. */
export function reportFailure(error: unknown, terminal: Terminal, isDebug: boolean): number {
  if (!(error instanceof CommanderError)) {
    printError(error, terminal, isDebug)
    return exitCodeOf(error)
  }
  if (error.exitCode === 0) return exitCodes.ok
  // no command was given: commander has shown which there are
  if (error.code === 'commander.help') return exitCodes.usage
  printError(usageError(error), terminal, false)
  return exitCodes.usage
}

/** Commander's words, in our form: `error: unknown option '--quues'\n(Did you mean --queues?)`. */
function usageError(error: CommanderError): InvalidArgumentError {
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n')
  const hint = more.map(line => line.replace(/^\((.*)\)$/, '$1')).join(' ')
  const message = `${first[0]?.toUpperCase() ?? ''}${first.slice(1)}${hint === '' ? '' : `. ${hint}`}`
  return new InvalidArgumentError(`${message}\nSee: lovage --help, or lovage <command> --help`)
}
