/**
 * What the rest of the house may ask of an app and users may not: workers, the web kit, the CLI, tests. Found through a
 * `Symbol.for`, so that an app made by another copy of this package answers too.
 */
import type { Backend } from '../backend.ts'
import type { Clock } from '../core/clock.ts'
import { InvalidArgumentError, describe } from '../core/errors.ts'
import type { Config, ConfigSources } from './config.ts'
import type { Duplicate, TaskDefinition } from './registry.ts'
import type { AnyLovage } from './lovage.ts'

export interface AppInternals {
  readonly name: string
  readonly clock: Clock
  /** By name; the last definition of a name. */
  readonly tasks: ReadonlyMap<string, TaskDefinition>
  /** Task name or glob → queue, as the constructor was given it. */
  readonly routes: Readonly<Record<string, string>>
  /** Resolved at the first look. @throws {ConfigurationError} */
  readonly config: Config
  /** Sets flags and the origin of variables. @throws {IllegalStateError} the app is already open: too late. */
  configure(sources: Pick<ConfigSources, 'flags' | 'envFiles'>): void
  /** The queue a task of that name goes to, when the call names none. */
  queueOf(taskName: string): string
  /** Open, and shared with every app of this process that has the same URLs. The first call opens. */
  backend(): Promise<Backend>
  /**
   * Has something done with the backend before the app's first use of it, or at once when the app is open. What it
   * throws is what `backend()` rejects with; the next call tries again.
   */
  onOpen(prepare: (backend: Backend) => Promise<void>): void
  /** Imports the constructor's `include`. @throws {AppLoadError} the first that does not load. */
  loadIncludes(): Promise<void>
  duplicates(): readonly Duplicate[]
  /**
   * Binds an app that is not open to a backend of the caller's, who closes it, and to a clock. The function gives the
   * app back, unopened.
   * @throws {IllegalStateError} the app is already open, or closed.
   */
  takeOver(backend: Backend, clock?: Clock): () => void
}

/** @internal */
export const internalsKey: unique symbol = Symbol.for('lovage.internals') as never

/** @throws {InvalidArgumentError} it is no app. */
export function internals(app: AnyLovage): AppInternals {
  const found: unknown =
    typeof app === 'object' && app !== null ? (app as { readonly [internalsKey]?: unknown })[internalsKey] : undefined
  if (found === undefined)
    throw new InvalidArgumentError(`${describe(app)} is no app: expected what new Lovage('name') gives`)
  return found as AppInternals
}

/** Whether a value is an app, of whichever copy of this package. */
export function isApp(value: unknown): value is AnyLovage {
  return typeof value === 'object' && value !== null && internalsKey in value
}
