/** An error as the command line shows it: code, cause, value, remedy, where to read on. Never a bare stack. */
import { errorPage, LovageError } from '../core/errors.ts'
import { printable } from '../core/printable.ts'
import { redactText } from '../core/redact.ts'
import { userFrames } from '../app/loading/import-failure.ts'
import type { Terminal } from './terminal.ts'

/** @param isDebug with the stacks of the error and its causes. */
export function printError(error: unknown, terminal: Terminal, isDebug: boolean): void {
  const [head, ...rest] = isDebug ? [...summary(error), ...stacks(error)] : summary(error)
  const [code = '', ...words] = safe(head ?? '').split('  ')
  terminal.err(`${terminal.paint('red', code)}  ${words.join('  ')}`)
  for (const line of rest) terminal.err(`  ${safe(line)}`)
}

function summary(error: unknown): string[] {
  if (error instanceof LovageError) {
    const [first = '', ...more] = error.message.split('\n')
    return [`${error.code}  ${first}`, ...more, `docs: ${errorPage(error.code)}`]
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  const frames = error instanceof Error ? userFrames(error).slice(0, 5) : []
  const [first = '', ...more] = text.split('\n')
  return [
    `E_INTERNAL  ${first}`,
    ...more,
    ...frames,
    'This is not expected. Run it again with --debug to see where it comes from',
  ]
}

function stacks(error: unknown): string[] {
  const lines: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) lines.push('', ...(at.stack ?? String(at)).split('\n'))
  return lines
}

function safe(text: string): string {
  return printable(redactText(text))
}
