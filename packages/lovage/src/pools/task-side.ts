/** How a thread or process that runs tasks begins: finds its line to the managing side, loads the tasks, serves. */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { AppLoadError, IllegalStateError, LovageError, coerceError } from '../core/errors.ts'
import { siblingFile } from '../core/sibling-file.ts'
import { serializeError } from './messages.ts'
import type { FromTasks, TaskPort, TaskSideInit, ToTasks } from './messages.ts'
import type { RunTask } from './pool.ts'
import { serveRuns } from './thread-side.ts'

interface TaskSide extends TaskSideInit {
  readonly port: TaskPort
}

/**
 * All of an entry module: `await serveTasks(data => …)`, with the pool's `workerData` as `data`. What `load` throws
 * reaches the caller of `pool.start()`: a `LovageError` as it is, anything else as an `AppLoadError` with it as cause.
 * @throws {IllegalStateError} this is neither a thread nor a process of a pool.
 */
export async function serveTasks(load: (data: unknown) => RunTask | Promise<RunTask>): Promise<void> {
  const side = await openTaskSide()
  let runTask: RunTask
  try {
    runTask = await load(side.data)
  } catch (error) {
    return side.port.post({ kind: 'load-failed', error: serializeError(toLoadError(error)) })
  }
  serveRuns(side.port, runTask, side)
}

/** The line to the managing side, and what it sent along. @throws {IllegalStateError} there is none. */
async function openTaskSide(): Promise<TaskSide> {
  if (parentPort !== null) return { ...(workerData as TaskSideInit), port: threadPort(parentPort) }
  if (process.send === undefined)
    throw new IllegalStateError(
      'this module runs tasks for a pool and was started by hand. Start a worker: npx lovage worker',
    )
  return openProcessSide()
}

function threadPort(port: NonNullable<typeof parentPort>): TaskPort {
  return {
    post: message => port.postMessage(message),
    onMessage: listener => void port.on('message', (message: ToTasks) => listener(message)),
  }
}

async function openProcessSide(): Promise<TaskSide> {
  // a Ctrl-C or a service manager signals the whole group: the parent decides what becomes of the run
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
  const exit = process.exit.bind(process)
  process.on('disconnect', () => exit(0))
  watchParent()
  const init = await new Promise<TaskSideInit>(resolve =>
    process.once('message', message => resolve(message as TaskSideInit)),
  )
  const send = process.send?.bind(process)
  return {
    ...init,
    port: {
      // a failed send means the parent is gone, and `disconnect` ends this process
      post: message => void send?.(message satisfies FromTasks, undefined, undefined, () => undefined),
      onMessage: listener => void process.on('message', message => listener(message as ToTasks)),
    },
  }
}

function watchParent(): void {
  const file = siblingFile(import.meta.url, 'parent-watch')
  const watch = new Worker(file, { name: 'lovage-parent', workerData: process.ppid, resourceLimits })
  watch.unref()
  // without it, `disconnect` is what ends this process
  watch.on('error', () => undefined)
}

/** Of a thread that does next to nothing. */
const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 }

function toLoadError(thrown: unknown): LovageError {
  if (thrown instanceof LovageError) return thrown
  const error = coerceError(thrown)
  return new AppLoadError(`the tasks could not be loaded: ${error.name}: ${error.message}`, { cause: error })
}
