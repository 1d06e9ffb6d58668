/** What `app.task` and `app.declareTask` give: a task as its callers hold it. */
import { InvalidArgumentError, describe } from '../core/errors.ts'
import type { AppState } from './app-state.ts'
import { createResult } from './async-result.ts'
import { definitionSite } from './registry.ts'
import type { Handler, TaskDefinition } from './registry.ts'
import { runLocally } from './run-locally.ts'
import { apply, applyMany } from './send.ts'
import type { AnyTask, DeclaredTask } from './types.ts'

export function createTask(app: AppState, definition: TaskDefinition): AnyTask {
  return {
    name: definition.name,
    delay: (...args) => apply(app, definition, [args as readonly unknown[]]),
    applyAsync: (args, options) => apply(app, definition, [args as readonly unknown[], options]),
    applyMany: (batch, options) => applyMany(app, definition, [batch as Iterable<readonly unknown[]>, options]),
    result: id => createResult(app, id),
    run: (...args) => runLocally(app, definition, args as readonly unknown[]),
  }
}

export function createDeclaredTask(app: AppState, definition: TaskDefinition): DeclaredTask {
  return {
    ...createTask(app, definition),
    implement(handler: unknown) {
      assertHandler(definition.name, handler)
      return createTask(app, app.registry.implement(definition, handler, definitionSite()))
    },
  }
}

/** @throws {InvalidArgumentError} */
export function assertHandler(name: string, handler: unknown): asserts handler is Handler {
  if (typeof handler === 'function') return
  throw new InvalidArgumentError(`${name}: the handler is ${describe(handler)}: expected a function (task, …args) => …`)
}
