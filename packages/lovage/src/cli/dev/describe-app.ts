/** What a worker tells the process that started it of the app it has loaded: enough for a page that calls its tasks. */
import type { AppInternals } from '../../app/internals.ts'
import type { TaskDefinition } from '../../app/registry.ts'

/** Sent once, before `ready`. */
export interface AppDescription {
  readonly kind: 'app'
  readonly name: string
  readonly brokerUrl: string
  readonly resultBackend: string
  readonly tasks: readonly TaskDescription[]
}

interface TaskDescription {
  readonly name: string
  readonly title: string | undefined
  readonly queue: string
  /** Wire names of positional arguments, where the task gives them. */
  readonly params: readonly string[] | undefined
  /** JSON Schema of the array of positional arguments; undefined: the task has none, or its library cannot tell. */
  readonly args: object | undefined
  /** JSON Schema of the object of keyword arguments. */
  readonly kwargs: object | undefined
  /** It takes keyword arguments, whether or not their schema is known. */
  readonly takesKwargs: boolean
}

export function describeApp(app: AppInternals): AppDescription {
  const { name, config, tasks } = app
  const described = [...tasks.values()].map(task => describeTask(task, app.queueOf(task.name)))
  return {
    kind: 'app',
    name,
    brokerUrl: config.brokerUrl.value,
    resultBackend: config.resultBackend.value,
    tasks: described.sort((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

function describeTask(task: TaskDefinition, queue: string): TaskDescription {
  const { name, options, params, argsSchema, kwargsSchema } = task
  return {
    name,
    title: options.title,
    queue: options.queue ?? queue,
    params,
    args: toJsonSchema(argsSchema),
    kwargs: toJsonSchema(kwargsSchema),
    takesKwargs: kwargsSchema !== undefined,
  }
}

interface StandardJsonSchema {
  readonly '~standard': {
    readonly jsonSchema?: { readonly input?: (options: { readonly target: string }) => object } | undefined
  }
}

/** By Standard JSON Schema. Libraries throw for what JSON Schema has no word for, such as a Date. */
function toJsonSchema(schema: unknown): object | undefined {
  if (schema === undefined) return undefined
  try {
    return (schema as StandardJsonSchema)['~standard'].jsonSchema?.input?.({ target: 'draft-2020-12' })
  } catch {
    return undefined
  }
}
