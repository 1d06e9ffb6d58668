/** In development, once per broker: tasks are being sent and nobody is there to run them. */
import type { Backend } from '../backend.ts'
import { presencePrefix } from '../core/keys.ts'
import type { AppState } from './app-state.ts'
import { printOnce, processWide, shownPlace } from './process-wide.ts'

/** Where nobody looks for the hint, or a missing worker is meant. */
const quietEnvironments: readonly string[] = ['production', 'test']

/** After the first publish; neither delays it nor makes it fail. */
export function hintAtMissingWorker(app: AppState, backend: Backend): void {
  const { asked } = processWide()
  const { transport } = backend.description
  if (asked.has(transport)) return
  asked.add(transport)
  if (quietEnvironments.includes(process.env['NODE_ENV'] ?? '') || app.isTakenOver) return
  backend.coordination.list(presencePrefix).then(
    workers => {
      if (workers.length === 0)
        printOnce(`No worker has been seen on ${shownPlace(transport)}. Start one: npx lovage worker`)
    },
    // what cannot be asked is not worth a word
    () => undefined,
  )
}
