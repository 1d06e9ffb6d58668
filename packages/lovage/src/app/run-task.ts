/**
 * Runs one task to its end, where it is called: decode → bind → validate → run → encode → classify. Never rejects. A task
 * that is not asynchronous and has no asynchronous schema meets no promise on its way.
 */
import type { RunControl, RunRequest, RunResult, RunTask } from '../pools/pool.ts'
import { MessageTooLargeError, TaskNotImplementedError, TaskNotRegisteredError } from '../core/errors.ts'
import { nearest } from '../core/suggest.ts'
import { defaultLimits, encodeJson } from '../protocol/json.ts'
import { decodeTaskBody } from '../protocol/task-message.ts'
import type { TaskBody } from '../protocol/task-message.ts'
import { bindArguments } from './bind.ts'
import { classifyThrown } from './classify-thrown.ts'
import { RunningTask } from './context.ts'
import { internals } from './internals.ts'
import type { AppInternals } from './internals.ts'
import type { AnyLovage } from './lovage.ts'
import { processWide } from './process-wide.ts'
import type { Handler, TaskDefinition } from './registry.ts'
import { TaskReporter } from './task-reporter.ts'
import type { TaskRequest } from './types.ts'

export function createRunTask(app: AnyLovage): RunTask {
  const inner = internals(app)
  return (request, control) => new TaskRun(inner, request, control).execute()
}

class TaskRun {
  readonly #app: AppInternals
  readonly #request: RunRequest
  readonly #control: RunControl
  /** Whose fault a throw is: the message's, the handler's, the value's. */
  #phase: 'binding' | 'decoding' | 'running' | 'encoding' = 'binding'
  #definition: TaskDefinition | undefined
  #body: TaskBody | undefined
  #reporter: TaskReporter | undefined

  constructor(app: AppInternals, request: RunRequest, control: RunControl) {
    this.#app = app
    this.#request = request
    this.#control = control
  }

  async execute(): Promise<RunResult> {
    try {
      const { definition, handler } = findTask(this.#app, this.#request.name)
      this.#definition = definition
      this.#phase = 'decoding'
      this.#body = decodeTaskBody(this.#request.message)
      this.#phase = 'binding'
      const bound = bindArguments(definition, this.#body)
      const args = bound instanceof Promise ? await bound : bound
      const returned = this.#call(handler, args)
      const value = isThenable(returned) ? await returned : returned
      this.#phase = 'encoding'
      return { kind: 'returned', value: encodeResult(value) }
    } catch (thrown) {
      const { signal, abortReason } = this.#control
      return classifyThrown(thrown, {
        phase: this.#phase,
        definition: this.#definition,
        abort: { signal, reason: abortReason() },
      })
    } finally {
      // after the last report nothing of this run is said any more
      this.#reporter?.end()
    }
  }

  #call(handler: Handler, args: readonly unknown[]): unknown {
    const task = this.#context()
    this.#phase = 'running'
    return processWide().currentTask.run(task, handler, task, ...args)
  }

  #context(): RunningTask {
    const { clock } = this.#app
    const { runId, id } = this.#request
    const control = this.#control
    const { report } = control
    const reporter = new TaskReporter({ runId, clock, report, stateSchemas: this.#definition?.stateSchemas })
    this.#reporter = reporter
    // a signal is made when it is asked for: most tasks never do
    const signal = (): AbortSignal => control.signal
    return new RunningTask({ id, clock, signal, reporter, request: () => this.#describe() })
  }

  #describe(): TaskRequest {
    const { id, name, queue, redelivered, details } = this.#request
    const { retries, headers, rootId, parentId, etaAt, expiresAt } = details
    const { args = [], kwargs = {} } = this.#body ?? {}
    const eta = etaAt === undefined ? undefined : new Date(etaAt)
    const expires = expiresAt === undefined ? undefined : new Date(expiresAt)
    return { id, name, queue, redelivered, args, kwargs, retries, headers, rootId, parentId, eta, expiresAt: expires }
  }
}

/** @throws {TaskNotRegisteredError | TaskNotImplementedError} */
export function findTask(
  app: Pick<AppInternals, 'tasks'>,
  name: string,
): { readonly definition: TaskDefinition; readonly handler: Handler } {
  const definition = app.tasks.get(name)
  if (definition === undefined) {
    const near = nearest(name, app.tasks.keys())
    const hint = near === undefined ? 'Is the file that defines it loaded (-I, include)?' : `Did you mean ${near}?`
    throw new TaskNotRegisteredError(`No task "${name}" is known here. ${hint}`, { details: { task: name } })
  }
  const { handler } = definition
  if (handler !== undefined) return { definition, handler }
  throw new TaskNotImplementedError(
    `"${name}" is declared in ${definition.site()}, but no file loaded here implements it; did you mean -I src/tasks/*.ts?`,
    { details: { task: name } },
  )
}

/** @throws {EncodeError | MessageTooLargeError} it cannot be read back. */
function encodeResult(value: unknown): string {
  const text = encodeJson(value, 'result')
  const { maxBodyBytes } = defaultLimits
  if (text.length <= maxBodyBytes) return text
  throw new MessageTooLargeError(
    `The result has ${text.length} characters of JSON, the limit is ${maxBodyBytes}. Return a reference to the data: a path, a key, a row's id`,
    { details: { length: text.length, limit: maxBodyBytes } },
  )
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
