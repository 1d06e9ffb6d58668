/**
 * Lines to standard error, all of one turn of the event loop with one write: a write costs ten times what making a line
 * does. Urgent lines leave at once, with those before them; the rest at the end of the turn, or with the process.
 */
import { endOfTurn } from '../core/clock.ts'

/** What waits is written beyond this many characters: about what a pipe takes without waiting. */
const longestWait = 32 * 1024

/** Takes a line with its line feed. */
export type WriteLine = (line: string, isUrgent: boolean) => void

export function createStderrLines(write: (text: string) => void = text => void process.stderr.write(text)): WriteLine {
  let waiting = ''
  const flush = (): void => {
    if (waiting === '') return
    const text = waiting
    waiting = ''
    process.off('exit', flush)
    write(text)
  }
  return (line, isUrgent) => {
    if (waiting === '') {
      process.once('exit', flush)
      endOfTurn(flush)
    }
    waiting += line
    if (isUrgent || waiting.length > longestWait) flush()
  }
}
