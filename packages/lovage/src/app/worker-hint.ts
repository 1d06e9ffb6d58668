/** In development, once per process: tasks are being sent and nobody is there to run them. */
import type { Backend } from '../backend.ts'
import type { AppState } from './app-state.ts'
import { printOnce, processWide } from './process-wide.ts'

/** Workers make themselves known under this prefix. */
const presencePrefix = 'worker/'

/** After the first publish; neither delays it nor makes it fail. */
export function hintAtMissingWorker(app: AppState, backend: Backend): void {
  const { asked } = processWide()
  const { transport } = backend.description
  if (asked.has(transport)) return
  asked.add(transport)
  if (process.env['NODE_ENV'] === 'production' || app.isTakenOver) return
  backend.coordination.list(presencePrefix).then(
    workers => {
      if (workers.length === 0) printOnce(`No worker has been seen on ${transport}. Start one: npx lovage worker`)
    },
    // what cannot be asked is not worth a word
    () => undefined,
  )
}
