/** What the commands have in common: options, help with examples, a session that is closed, an exit code. */
import type { Command } from 'commander'
import { openSession, type GlobalOptions, type Session, type SessionNeeds } from './session.ts'
import { createTerminal, type Terminal } from './terminal.ts'

/** What one run of a command is given. */
export interface Invocation<Options> {
  readonly options: Options & GlobalOptions
  readonly args: readonly string[]
  readonly terminal: Terminal
}

/** Runs a command; its number is the exit code. */
export type Action<Options> = (invocation: Invocation<Options>) => Promise<number>

export function act<Options>(command: Command, action: Action<Options>): Command {
  return command.action(async () => {
    const options = command.optsWithGlobals() as Options & GlobalOptions
    process.exitCode = await action({ options, args: command.args, terminal: createTerminal() })
  })
}

/** Three of them, each with what it does. */
export function examples(command: Command, list: readonly (readonly [line: string, meaning: string])[]): Command {
  const width = Math.max(...list.map(([line]) => line.length))
  const lines = list.map(([line, meaning]) => `  ${line.padEnd(width)}  ${meaning}`)
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
}

/** Opens the app, hands it over, closes it whatever happens. */
export async function withSession<T>(
  options: GlobalOptions,
  needs: SessionNeeds,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await openSession(options, needs)
  try {
    return await use(session)
  } finally {
    await session.app.close()
  }
}
