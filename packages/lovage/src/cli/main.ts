/** The command line's entry: `bin/lovage.js` imports it once it knows that this Node will do. */
import type { Command } from 'commander'
import { exitCodes } from './exit-codes.ts'
import { createProgram } from './program.ts'
import { reportFailure } from './report-failure.ts'
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
    process.exitCode = reportFailure(error, createTerminal(), isDebugging(program))
  }
  // what the user's file keeps open (a database, a timer) is not a reason to stay
  await new Promise(resolve => process.stdout.write('', resolve))
  process.exit()
}

function isDebugging(program: Command): boolean {
  return program.opts<{ debug?: boolean }>().debug === true || process.env['LOVAGE_LOG_LEVEL'] === 'debug'
}
