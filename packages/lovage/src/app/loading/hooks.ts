/**
 * Makes the files of an ordinary TypeScript project load in plain Node: imports without extension or with the
 * compiled file's, the aliases of tsconfig, types and what must be compiled. Needed in every thread that loads task files.
 * Packages are left to Node: nothing inside node_modules is resolved or loaded in another way than Node's own.
 */
import { readFileSync } from 'node:fs'
import { registerHooks, type LoadHookSync, type ResolveFnOutput, type ResolveHookSync } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { candidatesFor, type Candidates } from './resolve.ts'
import { Transformer } from './transform.ts'
import { ProjectConfigs } from './tsconfig.ts'

export interface ProjectHooks {
  /** Takes the hooks out again. What was loaded stays loaded. */
  deregister(): void
}

interface HookState {
  readonly projectRoot: string
  readonly configs: ProjectConfigs
  readonly transformer: Transformer
}

/** @param projectRoot the folder of the project's package.json: where `tsx` is looked for. Absolute. */
export function registerProjectHooks(projectRoot: string): ProjectHooks {
  const state: HookState = { projectRoot, configs: new ProjectConfigs(), transformer: new Transformer(projectRoot) }
  hideStripTypesWarning()
  const hooks = registerHooks({
    resolve: (specifier, context, next) => resolve({ specifier, context, next }, state),
    load: (url, context, next) => load({ url, context, next }, state),
  })
  return { deregister: () => hooks.deregister() }
}

interface ResolveCall {
  readonly specifier: string
  readonly context: Parameters<ResolveHookSync>[1]
  readonly next: Parameters<ResolveHookSync>[2]
}

function resolve(call: ResolveCall, state: HookState): ResolveFnOutput {
  const parent = projectFile(call.context.parentURL)
  if (parent === undefined) return call.next(call.specifier, call.context)
  if (call.specifier === 'server-only') return resolveServerOnly(call)
  try {
    return withJsonType(call.next(call.specifier, call.context))
  } catch (error) {
    if (!isMiss(error)) throw error
    return resolveMiss({ call, parent, error }, state)
  }
}

function resolveMiss(
  { call, parent, error }: { call: ResolveCall; parent: string; error: Error },
  state: HookState,
): ResolveFnOutput {
  const candidates = candidatesFor(call.specifier, parent, state.configs)
  for (const candidate of candidates.specifiers) {
    try {
      return withJsonType(call.next(isRequire(call) ? fromUrl(candidate) : candidate, call.context))
    } catch (missed) {
      if (!isMiss(missed)) throw missed
    }
  }
  throw explainAlias(error, { specifier: call.specifier, parent, ...candidates })
}

/** `require` takes paths, `import` URLs. */
function isRequire({ context }: ResolveCall): boolean {
  return context.conditions.includes('require')
}

function fromUrl(specifier: string): string {
  return specifier.startsWith('file:') ? fileURLToPath(specifier) : specifier
}

/** Next's marker package throws unless a server's condition is set; Next itself does without it being installed. */
function resolveServerOnly({ specifier, context, next }: ResolveCall): ResolveFnOutput {
  try {
    return next(specifier, { ...context, conditions: [...context.conditions, 'react-server'] })
  } catch (error) {
    if (!isMiss(error)) throw error
    return { url: 'data:text/javascript,', format: 'module', shortCircuit: true }
  }
}

/** TypeScript imports JSON without `with { type: 'json' }`. */
function withJsonType(result: ResolveFnOutput): ResolveFnOutput {
  if (!result.url.endsWith('.json') || result.importAttributes?.['type'] !== undefined) return result
  return { ...result, importAttributes: { ...result.importAttributes, type: 'json' } }
}

interface LoadCall {
  readonly url: string
  readonly context: Parameters<LoadHookSync>[1]
  readonly next: Parameters<LoadHookSync>[2]
}

function load({ url, context, next }: LoadCall, { transformer, configs }: HookState): ReturnType<LoadHookSync> {
  const file = projectFile(url)
  if (file === undefined || !/\.(?:[cm]?ts|[jt]sx)$/.test(file)) return next(url, context)
  const isCommonJs = context.format?.startsWith('commonjs') ?? packageType(file) === 'commonjs'
  const { format, source } = transformer.transform(file, isCommonJs, configs.near(dirname(file)))
  return { format, source, shortCircuit: true }
}

/** `type` of the nearest package.json; without one a file is what it is written as. */
function packageType(file: string): string | undefined {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    try {
      return (
        (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly type?: string }).type ??
        'commonjs'
      )
    } catch {
      if (folder === dirname(folder)) return undefined
    }
  }
}

/** Lovage's own sources, which in its repository are no package's files: Node keeps them compiled, hooks would not. */
const ownSources = new URL('../../', import.meta.url).href

/** The path of a file of the project itself; undefined for packages and for what is no file. */
function projectFile(url: string | undefined): string | undefined {
  if (url === undefined || !url.startsWith('file:') || url.includes('/node_modules/')) return undefined
  if (url.startsWith(ownSources)) return undefined
  return fileURLToPath(url)
}

const missCodes = new Set([
  'ERR_MODULE_NOT_FOUND',
  'MODULE_NOT_FOUND',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  'ERR_INVALID_MODULE_SPECIFIER',
  'ERR_PACKAGE_IMPORT_NOT_DEFINED',
])

function isMiss(error: unknown): error is Error {
  return error instanceof Error && missCodes.has((error as NodeJS.ErrnoException).code ?? '')
}

/** Node would speak of a missing package `@/lib`; say which alias led where instead. */
function explainAlias(
  error: Error,
  missed: Candidates & { readonly specifier: string; readonly parent: string },
): Error {
  const { alias, specifier, parent } = missed
  if (alias === undefined) return error
  const [folder, places] = [dirname(alias.config), alias.targets]
  const looked = places.map(place => relative(folder, place) || '.').join(', ')
  const message = `Cannot find '${specifier}' imported by ${parent}: ${alias.config} maps '${alias.pattern}' to ${looked}, and there is no such file with any extension`
  return Object.assign(new Error(message, { cause: error }), {
    code: 'ERR_MODULE_NOT_FOUND',
    url: missed.specifiers[0],
  })
}

/** Node calls its own type stripping experimental, on the user's screen; that is nothing they can change. */
function hideStripTypesWarning(): void {
  const listeners = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', warning => {
    if (warning.name === 'ExperimentalWarning' && warning.message.includes('stripTypeScriptTypes')) return
    for (const listener of listeners) listener.call(process, warning)
  })
}
