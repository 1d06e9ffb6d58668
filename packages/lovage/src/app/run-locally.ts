/** One attempt, here and now, without a broker: Celery's `apply`. */
import { uuidv7 } from '../core/id.ts'
import { decodeJson, encodeJson } from '../protocol/json.ts'
import type { AppInternals } from './internals.ts'
import { bindArguments } from './bind.ts'
import { checkCall } from './call.ts'
import type { WireArguments } from './call.ts'
import { RunningTask } from './context.ts'
import { processWide } from './process-wide.ts'
import type { TaskDefinition } from './registry.ts'
import { findTask } from './run-task.ts'
import { TaskReporter } from './task-reporter.ts'

/**
 * What the handler returns, as a caller would read it; arguments and value take the way through the wire's format.
 * @throws what the handler throws, signals included. @throws {TaskNotImplementedError | InvalidArgumentError | EncodeError}
 */
export async function runLocally(
  app: AppInternals,
  called: TaskDefinition,
  given: readonly unknown[],
): Promise<unknown> {
  const { definition, handler } =
    called.handler === undefined ? findTask(app, called.name) : { definition: called, handler: called.handler }
  const wire = asSent(await checkCall(definition, given))
  const args = await bindArguments(definition, wire)
  const { clock } = app
  const reporter = new TaskReporter({ runId: 0, clock, report: () => undefined, stateSchemas: definition.stateSchemas })
  const task = new RunningTask({ ...localParts(app, definition, wire), clock, reporter })
  try {
    const returned = await processWide().currentTask.run(task, handler, task, ...args)
    return decodeJson(encodeJson(returned, 'result'))
  } finally {
    reporter.end()
  }
}

function asSent({ args, kwargs }: WireArguments): WireArguments {
  return {
    args: decodeJson(encodeJson(args, 'args')),
    kwargs: decodeJson(encodeJson(kwargs, 'kwargs')),
  } as WireArguments
}

function localParts(
  app: AppInternals,
  { name }: TaskDefinition,
  wire: WireArguments,
): Pick<ConstructorParameters<typeof RunningTask>[0], 'id' | 'signal' | 'request'> {
  const id = uuidv7(app.clock.now())
  const request = { id, name, queue: '', retries: 0, redelivered: false, ...wire, headers: {}, rootId: id }
  const { signal } = new AbortController()
  return { id, signal: () => signal, request: () => request }
}
