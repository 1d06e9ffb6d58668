/** What a cell of the matrix has: stock Celery as client and worker, a Lovage worker, and an app that sends. */
import type { Lovage } from '../../../src/index.ts'
import type { LovageWorker } from './lovage-worker.ts'
import type { PythonClient } from './python-client.ts'

export interface Stage {
  readonly python: PythonClient
  /** Of this process: not the worker's. */
  readonly app: Lovage
  /** Another such app, with tasks of its own. */
  readonly createApp: (name: string) => Lovage
  /** One process as long as the matrix lasts: if it ends, so do all who wait for a line of it. */
  readonly worker: LovageWorker
}

export type Direction = 'Python → TypeScript' | 'TypeScript → Python'

/** What Celery 5.2 makes of it instead, and why. */
export interface Older {
  readonly sees: unknown
  readonly because: string
}

export interface Cell {
  readonly what: string
  readonly direction: Direction
  /** What whoever asked has seen in the end. */
  readonly run: (stage: Stage) => Promise<unknown>
  readonly sees: unknown
  readonly older?: Older | undefined
}

type Sees = readonly [sees: unknown, older?: Older]

/** Python's client runs some code; its last expression is what it sees. */
export function fromPython(what: string, code: string, ...[sees, older]: Sees): Cell {
  return { what, direction: 'Python → TypeScript', run: ({ python }) => python.run(code), sees, older }
}

export function fromTypeScript(what: string, run: (app: Lovage) => Promise<unknown>, ...[sees, older]: Sees): Cell {
  return { what, direction: 'TypeScript → Python', run: ({ app }) => run(app), sees, older }
}
