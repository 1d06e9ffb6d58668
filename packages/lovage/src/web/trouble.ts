/** What could not be answered, told to who runs the server: the client hears only that it may ask again. */
import { LovageError } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import { redactText } from '../core/redact.ts'

export function tellTrouble(error: Error): void {
  const label = error instanceof LovageError ? error.code : error.name
  const reason = printableLine(redactText(`${label}: ${error.message}`), 1000)
  process.stderr.write(`lovage: a request for a task could not be answered: ${reason}\n`)
}
