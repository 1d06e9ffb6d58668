import { globSync, readFileSync } from 'node:fs'

const root = new URL('../../../', import.meta.url)

/** Every TypeScript file of `src`, by its path below `src` with forward slashes. */
export function readSources(): Record<string, string> {
  const paths = globSync('**/*.ts', { cwd: new URL('src/', root) }).map(path => path.replaceAll('\\', '/'))
  return Object.fromEntries(paths.map(path => [path, readFileSync(new URL(`src/${path}`, root), 'utf8')]))
}

/** The URL of a file of the package, by its path below the package's folder. */
export function packageFile(path: string): URL {
  return new URL(path, root)
}
