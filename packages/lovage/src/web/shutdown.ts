/** What a process does when it is told to end: streams would otherwise hold its server open, and their clients in doubt. */
import { endOfTurn } from '../core/clock.ts'

const signals = ['SIGTERM', 'SIGINT'] as const
type Signal = (typeof signals)[number]

/** Listeners of ours, of whichever copy of this package. */
const ours: unique symbol = Symbol.for('lovage.web.goodbye') as never

/**
 * Calls `sayGoodbye` when the process is told to end. Where nobody else listens the process then ends as it would have;
 * where somebody does, ending is theirs. The function forgets it.
 */
export function sayGoodbyeOnSignals(sayGoodbye: () => void): () => void {
  const listener = Object.assign(
    (signal: Signal): void => {
      sayGoodbye()
      if (process.listeners(signal).some(each => !(ours in each))) return
      forget()
      // what was said is written within this turn of the loop; then the signal does what it does
      endOfTurn(() => process.kill(process.pid, signal))
    },
    { [ours]: true },
  )
  const forget = (): void => {
    for (const signal of signals) process.off(signal, listener)
  }
  for (const signal of signals) process.on(signal, listener)
  return forget
}
