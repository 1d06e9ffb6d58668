/** What an app of ours sees of a task that fails in Python. */
import type { AsyncResult } from '../../../src/index.ts'

/** Of anything a cell waits for. */
export const timeoutMs = 20_000

/** The error's name, or of one of Python's `[class, message, functions of python_side.py in its traceback]`. */
export async function failure(result: AsyncResult): Promise<unknown> {
  try {
    return ['returned', await result.get({ timeoutMs })]
  } catch (error) {
    const { name, remoteType, remoteMessage, remoteTraceback } = error as Record<string, unknown>
    return remoteType === undefined ? name : [remoteType, remoteMessage, functionsIn(String(remoteTraceback))]
  }
}

function functionsIn(traceback: string): string[] {
  return [...traceback.matchAll(/python_side\.py", line \d+, in (\w+)/g)].flatMap(([, name]) => name ?? [])
}
