/** The app as `lovage dev` itself uses it, beside the worker that runs it: to send and to look. */
import { internals } from '../../app/internals.ts'
import { Lovage, type AnyLovage } from '../../app/lovage.ts'
import { toSnapshot } from '../../app/snapshot.ts'
import type { Snapshot } from '../../app/types.ts'
import { toNodeHandler, type NodeHandler } from '../../web/node.ts'
import { taskRoutes, type TaskRoutes } from '../../web/routes.ts'
import { showJson } from '../format-snapshot.ts'
import type { AppDescription } from './describe-app.ts'

export interface DevAppOptions {
  readonly file: string
  /** What the worker is at now. */
  readonly look: () => { readonly state: string; readonly generation: number; readonly app: AppDescription | undefined }
}

interface Opened {
  readonly description: AppDescription
  readonly app: AnyLovage
  readonly routes: TaskRoutes
  readonly handler: NodeHandler
}

/** What the page is told instead, with its HTTP status. */
export class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const runsShown = 50

export class DevApp {
  readonly #options: DevAppOptions
  #opened: Opened | undefined

  constructor(options: DevAppOptions) {
    this.#options = options
  }

  /** All that the page shows. */
  async now(): Promise<object> {
    const { file, look } = this.#options
    const { state, generation, app } = look()
    const runs = app === undefined ? [] : await this.#runs()
    return { file, state, generation, name: app?.name, tasks: app?.tasks ?? [], runs }
  }

  async #runs(): Promise<readonly object[]> {
    const { results } = await internals(this.#open().app).backend()
    const { items } = await results.list({ limit: runsShown })
    return items.map(item => toRun(toSnapshot(item)))
  }

  /** Sends unchecked, as `lovage call` does: what the worker says of wrong arguments is seen in the run. @throws {Refused} */
  async call(body: unknown): Promise<{ readonly id: string }> {
    const { name, input } = body as { readonly name?: unknown; readonly input?: unknown }
    const { app, description } = this.#open()
    const task = description.tasks.find(each => each.name === name)
    if (task === undefined) throw new Refused(404, `The file defines no task ${String(name)}`)
    if (typeof input !== 'object' || input === null)
      throw new Refused(400, 'Expected an array of positional arguments, or an object of keyword arguments')
    const args: readonly unknown[] = Array.isArray(input) ? input : []
    const kwargs = Array.isArray(input) ? {} : (input as Readonly<Record<string, unknown>>)
    const { id } = await app.sendTask(task.name, args, kwargs, { queue: task.queue })
    return { id }
  }

  handler(): NodeHandler {
    return this.#open().handler
  }

  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    await opened?.routes.close()
    await opened?.app.close()
  }

  /** Anew when a save has changed the app's name or where it keeps its tasks. @throws {Refused} */
  #open(): Opened {
    const { app: description } = this.#options.look()
    if (description === undefined) throw new Refused(503, 'The file has not been loaded yet')
    if (this.#opened !== undefined && isSamePlace(this.#opened.description, description)) {
      this.#opened = { ...this.#opened, description }
      return this.#opened
    }
    void this.close()
    this.#opened = openApp(description)
    return this.#opened
  }
}

function openApp(description: AppDescription): Opened {
  const { name, brokerUrl, resultBackend } = description
  const app = new Lovage(name)
  internals(app).configure({ flags: { brokerUrl, resultBackend }, envFiles: {} })
  // whoever reaches this page may do everything with it
  const routes = taskRoutes(app, { authorize: () => true })
  return { description, app, routes, handler: toNodeHandler(routes) }
}

function isSamePlace(a: AppDescription, b: AppDescription): boolean {
  return a.name === b.name && a.brokerUrl === b.brokerUrl && a.resultBackend === b.resultBackend
}

function toRun({ id, name, state, ready, queuedAt, error, ...rest }: Snapshot): object {
  const result = state === 'SUCCESS' ? showJson(rest.result, 2) : undefined
  const said = error && `${error.type}: ${error.message}`
  return { id, name, state, ready, queuedAt, result, error: said, trace: error?.traceback }
}
