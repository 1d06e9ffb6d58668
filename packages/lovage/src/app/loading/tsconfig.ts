/**
 * The parts of a project's tsconfig that change how its files load: `paths`, `baseUrl` and the options a transform
 * needs. Read as TypeScript reads it: comments, trailing commas, `extends`, and project references for the
 * set-ups (Vite's, for one) whose root file only points to others.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join, resolve } from 'node:path'

export interface PathMapping {
  /** `@/*` */
  readonly pattern: string
  /** Absolute, each with at most one `*`. */
  readonly targets: readonly string[]
}

export interface ProjectConfig {
  /** The tsconfig this came from, absolute. */
  readonly file: string
  readonly paths: readonly PathMapping[]
  readonly baseUrl: string | undefined
  /** As written, those of extended files included. */
  readonly compilerOptions: Readonly<Record<string, unknown>>
}

type Json = Readonly<Record<string, unknown>>

const fileNames = ['tsconfig.json', 'jsconfig.json']

/** Finds the tsconfig that governs files of a folder, and remembers it. One per registration of the hooks. */
export class ProjectConfigs {
  readonly #byFolder = new Map<string, ProjectConfig | undefined>()

  /** The nearest tsconfig.json (or jsconfig.json) upwards from `folder`; undefined: there is none. */
  near(folder: string): ProjectConfig | undefined {
    if (this.#byFolder.has(folder)) return this.#byFolder.get(folder)
    const file = fileNames.map(name => join(folder, name)).find(path => existsSync(path))
    const parent = dirname(folder)
    const config = file === undefined ? (parent === folder ? undefined : this.near(parent)) : readProjectConfig(file)
    this.#byFolder.set(folder, config)
    return config
  }
}

/** A file that cannot be read or parsed counts as empty: Node decides then, and says what it misses. */
export function readProjectConfig(file: string): ProjectConfig {
  const own = readChain(file, new Set())
  if (own.paths.length > 0 || own.baseUrl !== undefined) return own
  const referenced = references(file).map(path => readChain(path, new Set()))
  return { ...own, paths: referenced.flatMap(({ paths }) => paths), baseUrl: referenced.find(c => c.baseUrl)?.baseUrl }
}

function readChain(file: string, seen: Set<string>): ProjectConfig {
  if (seen.has(file)) return { file, paths: [], baseUrl: undefined, compilerOptions: {} }
  seen.add(file)
  const json = readJsonc(file)
  const options = asObject(json['compilerOptions'])
  const bases = [json['extends'] ?? []].flat().filter(isString)
  const inherited = bases.map(name => readChain(extendedFile(name, file), seen))
  const folder = dirname(file)
  const baseUrl = isString(options['baseUrl']) ? place(folder, options['baseUrl']) : lastOf(inherited, c => c.baseUrl)
  const paths =
    options['paths'] === undefined ? lastOf(inherited, nonEmptyPaths) : mappings(options['paths'], baseUrl ?? folder)
  const merged = Object.assign({}, ...inherited.map(c => c.compilerOptions), options) as Json
  return { file, paths: paths ?? [], baseUrl, compilerOptions: merged }
}

function nonEmptyPaths(config: ProjectConfig): readonly PathMapping[] | undefined {
  return config.paths.length > 0 ? config.paths : undefined
}

/** Of several extended files the last one wins. */
function lastOf<T>(configs: readonly ProjectConfig[], pick: (config: ProjectConfig) => T | undefined): T | undefined {
  return configs.map(pick).findLast(value => value !== undefined)
}

function mappings(paths: unknown, base: string): PathMapping[] {
  return Object.entries(asObject(paths)).map(([pattern, targets]) => ({
    pattern,
    targets: [targets]
      .flat()
      .filter(isString)
      .map(target => place(base, target)),
  }))
}

function place(folder: string, path: string): string {
  return resolve(folder, path.replace('${configDir}', folder))
}

function extendedFile(name: string, from: string): string {
  if (!name.startsWith('.') && !isAbsolute(name)) return packagedFile(name, from)
  const path = resolve(dirname(from), name)
  return existsSync(path) && path.endsWith('.json') ? path : `${path}.json`
}

function packagedFile(name: string, from: string): string {
  const require = createRequire(from)
  for (const candidate of [name, `${name}.json`, `${name}/tsconfig.json`]) {
    try {
      return require.resolve(candidate)
    } catch {
      // the next spelling
    }
  }
  return ''
}

function references(file: string): string[] {
  const { references: list } = readJsonc(file)
  const paths = (Array.isArray(list) ? list : []).map(entry => asObject(entry)['path']).filter(isString)
  return paths
    .map(path => resolve(dirname(file), path))
    .map(path => (path.endsWith('.json') ? path : join(path, 'tsconfig.json')))
}

function readJsonc(file: string): Json {
  try {
    return asObject(JSON.parse(stripJsonComments(readFileSync(file, 'utf8'))))
  } catch {
    return {}
  }
}

/** Comments and trailing commas out, strings left alone. */
export function stripJsonComments(text: string): string {
  return text
    .replace(/^\uFEFF/, '')
    .replaceAll(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (_, string: string | undefined) => string ?? ' ')
    .replaceAll(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, (_, string: string | undefined) => string ?? '')
}

function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {}
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}
