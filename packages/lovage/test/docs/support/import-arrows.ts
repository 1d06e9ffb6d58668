import { dirname, join } from 'node:path/posix'

/** Source text by path below `src`, with forward slashes: `worker/executor.ts`. */
export type SourceFiles = Readonly<Record<string, string>>

interface Import {
  readonly from: string
  readonly to: string
  /** `type` imports are erased and `lazy` ones run later: neither can close a cycle at load time. */
  readonly kind: 'value' | 'type' | 'lazy'
}

/** Arrows point to a lower layer only; modules of one layer do not know each other. */
const layers: Readonly<Record<string, number>> = {
  core: 0,
  protocol: 1,
  seams: 2,
  drivers: 3,
  registry: 3,
  pools: 3,
  app: 3,
  canvas: 4,
  control: 4,
  worker: 5,
  beat: 5,
  client: 5,
  web: 6,
  entry: 6,
  react: 6,
  cli: 7,
  testing: 8,
}

/** Within a layer: an app opens its drivers through the registry, which alone knows them all. */
const exceptions: readonly string[] = ['app → registry', 'registry → drivers']

const seamFiles: readonly string[] = ['broker.ts', 'result-store.ts', 'coordination.ts', 'backend.ts', 'pools/pool.ts']

/** One sentence per wrong arrow, per file outside every layer and per cycle; empty when all is well. */
export function violations(files: SourceFiles): string[] {
  const imports = Object.entries(files).flatMap(([path, text]) => importsOf(path, text, files))
  return [...homeless(files), ...wrongArrows(imports), ...cycles(imports)]
}

function homeless(files: SourceFiles): string[] {
  return Object.keys(files)
    .filter(path => layers[moduleOf(path)] === undefined)
    .map(path => `${path} belongs to no layer: give its folder one in import-arrows.ts`)
}

function wrongArrows(imports: readonly Import[]): string[] {
  return imports.filter(arrow => !isAllowed(arrow)).map(({ from, to }) => `${from} must not import ${to}`)
}

function isAllowed({ from, to }: Import): boolean {
  const [source, target] = [moduleOf(from), moduleOf(to)]
  if (target === 'testing') return source === 'testing'
  if (source === target) return source !== 'drivers' || isSharedDriverCode(to) || driverOf(from) === driverOf(to)
  if (exceptions.includes(`${source} → ${target}`)) return true
  return (layers[target] ?? 0) < (layers[source] ?? 0)
}

function moduleOf(path: string): string {
  if (seamFiles.includes(path)) return 'seams'
  if (path === 'drivers/registry.ts') return 'registry'
  if (path === 'index.ts') return 'entry'
  if (path === 'web/contract.ts' || path.startsWith('web/client/')) return 'client'
  return path.split('/')[0] ?? path
}

function driverOf(path: string): string {
  return path.split('/')[1] ?? ''
}

/** A file straight in `drivers/`, such as a helper of several of them, is nobody's in particular. */
function isSharedDriverCode(path: string): boolean {
  return path.split('/').length === 2
}

/** Reads import lines as a person would; comments, which hold examples, are left out. */
function importsOf(from: string, text: string, files: SourceFiles): Import[] {
  const code = text.replaceAll(/^\s*(\/\/|\/\*|\*).*$/gm, '')
  const found: Import[] = []
  for (const [, type, specifier] of code.matchAll(
    /^\s*(?:import|export)\s+(type\s)?(?:[^'"();]*?\bfrom\s+)?['"]([^'"]+)['"]/gm,
  )) {
    found.push({ from, to: resolve(from, specifier), kind: type === undefined ? 'value' : 'type' })
  }
  for (const [, specifier] of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    found.push({ from, to: resolve(from, specifier), kind: 'lazy' })
  }
  // packages, Node's own modules, and lines of code held in a string are not arrows; tsc finds missing files
  return found.filter(({ to }) => to in files)
}

function resolve(from: string, specifier: string | undefined): string {
  return specifier?.startsWith('.') === true ? join(dirname(from), specifier) : ''
}

/** Each cycle of value imports, reported once, by the path that closes it. */
function cycles(imports: readonly Import[]): string[] {
  const graph = Map.groupBy(
    imports.filter(({ kind }) => kind === 'value'),
    ({ from }) => from,
  )
  const finished = new Set<string>()
  const found: string[] = []
  const visit = (file: string, trail: readonly string[]): void => {
    const start = trail.indexOf(file)
    if (start >= 0) found.push(`cycle: ${[...trail.slice(start), file].join(' → ')}`)
    if (start >= 0 || finished.has(file)) return
    for (const { to } of graph.get(file) ?? []) visit(to, [...trail, file])
    finished.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  return found
}
