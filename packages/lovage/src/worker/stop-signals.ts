/** SIGTERM and SIGINT: warm the first time, cold the second; SIGQUIT: cold at once. As Celery's, but for SIGTERM twice. */

export interface StopSignalHandlers {
  readonly warm: (signal: string) => void
  readonly cold: (signal: string) => void
}

/** Listens until the function given back is called. */
export function onStopSignals(handlers: StopSignalHandlers): () => void {
  let asked = 0
  const onSignal = (signal: string): void => {
    asked++
    if (asked > 1 || signal === 'SIGQUIT') handlers.cold(signal)
    else handlers.warm(signal)
  }
  const signals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const
  for (const signal of signals) process.on(signal, onSignal)
  return () => {
    for (const signal of signals) process.off(signal, onSignal)
  }
}
