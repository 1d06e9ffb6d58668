/** Where an import of a project's own file may lead when Node finds nothing: what bundlers and tsc let people write. */
import { dirname, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { PathMapping, ProjectConfigs } from './tsconfig.ts'

const extensions = ['.ts', '.tsx', '.mts', '.cts', '.js', '.mjs', '.cjs', '.jsx', '.json']
const compiledToSource: Readonly<Record<string, readonly string[]>> = {
  '.js': ['.ts', '.tsx'],
  '.jsx': ['.tsx'],
  '.mjs': ['.mts'],
  '.cjs': ['.cts'],
}

export interface Candidates {
  /** Specifiers to try, best first: file URLs, or package specifiers as they are. */
  readonly specifiers: readonly string[]
  /** The alias that maps the specifier, for the error when none of them exists. */
  readonly alias?:
    { readonly pattern: string; readonly targets: readonly string[]; readonly config: string } | undefined
}

/** What else to try for `specifier`, imported by the file `parent`. */
export function candidatesFor(specifier: string, parent: string, configs: ProjectConfigs): Candidates {
  if (specifier.startsWith('#')) return { specifiers: extensions.map(extension => specifier + extension) }
  if (isRelative(specifier) || specifier.startsWith('file:'))
    return { specifiers: variantsOf(pathOf(specifier, parent)) }
  const config = configs.near(dirname(parent))
  if (config === undefined) return { specifiers: [] }
  const mapping = bestMapping(specifier, config.paths)
  const targets = mapping === undefined ? [] : substitute(specifier, mapping)
  const fromBase = config.baseUrl === undefined ? [] : [join(config.baseUrl, specifier)]
  return {
    specifiers: [...targets, ...fromBase].flatMap(path => [pathToFileURL(path).href, ...variantsOf(path)]),
    alias: mapping && { pattern: mapping.pattern, targets, config: config.file },
  }
}

function isRelative(specifier: string): boolean {
  return /^\.{0,2}\//.test(specifier) || specifier === '.' || specifier === '..'
}

/** The absolute path a relative or `file:` specifier stands for; a query stays out of it. */
function pathOf(specifier: string, parent: string): string {
  const url = new URL(specifier, pathToFileURL(parent))
  return fileURLToPath(url)
}

/** The same place with the extensions that may be meant, as file URLs. */
function variantsOf(path: string): string[] {
  const extension = extname(path)
  const sources = (compiledToSource[extension] ?? []).map(source => path.slice(0, -extension.length) + source)
  const added = extensions.map(suffix => path + suffix)
  const indexes = extensions.map(suffix => join(path, `index${suffix}`))
  return [...sources, ...added, ...indexes].map(file => pathToFileURL(file).href)
}

/** TypeScript's rule: an exact pattern first, else the one with the longest part before its star. */
function bestMapping(specifier: string, paths: readonly PathMapping[]): PathMapping | undefined {
  const matching = paths.filter(({ pattern }) => starOf(specifier, pattern) !== undefined)
  const exact = matching.find(({ pattern }) => !pattern.includes('*'))
  return exact ?? matching.sort((a, b) => b.pattern.indexOf('*') - a.pattern.indexOf('*'))[0]
}

function substitute(specifier: string, { pattern, targets }: PathMapping): string[] {
  const star = starOf(specifier, pattern) ?? ''
  return targets.map(target => target.replace('*', () => star))
}

/** What the star of `pattern` stands for in `specifier`; undefined: it does not match. */
function starOf(specifier: string, pattern: string): string | undefined {
  const [before = '', after] = pattern.split('*')
  if (after === undefined) return specifier === pattern ? '' : undefined
  const isMatch =
    specifier.length >= before.length + after.length && specifier.startsWith(before) && specifier.endsWith(after)
  return isMatch ? specifier.slice(before.length, specifier.length - after.length) : undefined
}
