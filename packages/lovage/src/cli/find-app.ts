/** Which file holds the app: `-A`, else package.json, else the usual names. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { AppLoadError, ConfigurationError, describe } from '../core/errors.ts'
import { nearestFile } from '../app/loading/import-failure.ts'
import { projectRoot } from '../drivers/project-root.ts'

export interface AppLocation {
  /** Absolute. */
  readonly file: string
  readonly exportName: string | undefined
  /** The folder of the nearest package.json above the file, else the file's own. */
  readonly projectRoot: string
}

const extensions = ['.ts', '.mts', '.js', '.mjs', '.tsx', '.cts', '.cjs']
const usualNames = ['tasks', 'src/tasks']

/**
 * @param given what `-A` or FILE said: `tasks.ts`, `./src/tasks`, `tasks.ts:orders`; undefined looks around in `cwd`.
 * @returns undefined: nothing was given and nothing is there.
 * @throws {AppLoadError} what was given does not exist. @throws {ConfigurationError} package.json says what is no path.
 */
export function findApp(given: string | undefined, cwd: string): AppLocation | undefined {
  if (given !== undefined) return locate(given, cwd, `-A ${given}`)
  const root = projectRoot(cwd)
  const configured = appInPackageJson(root)
  if (configured !== undefined)
    return locate(configured, root, `"lovage": {"app": ${describe(configured)}} in ${join(root, 'package.json')}`)
  for (const folder of new Set([cwd, root])) {
    const file = usualNames.map(name => existing(join(folder, name))).find(path => path !== undefined)
    if (file !== undefined) return { file, exportName: undefined, projectRoot: projectRoot(dirname(file)) }
  }
  return undefined
}

/** @throws {AppLoadError} always: nothing was given and nothing found; says what was looked for and where. */
export function noAppFound(cwd: string): AppLoadError {
  const places = [...new Set([cwd, projectRoot(cwd)])].join(' and in ')
  return new AppLoadError(
    `No file with an app was found. Looked for "lovage": {"app": "…"} in package.json, tasks.ts and src/tasks.ts ` +
      `(also ${extensions.slice(1, 5).join(', ')}) in ${places}. Name it: lovage worker path/to/tasks.ts`,
    { details: { directory: cwd } },
  )
}

function locate(given: string, cwd: string, source: string): AppLocation {
  const [path, exportName] = splitExport(given)
  const wanted = resolve(cwd, path)
  const file = existing(wanted)
  if (file === undefined) throw missing(wanted, source)
  return { file, exportName, projectRoot: projectRoot(dirname(file)) }
}

/** `tasks.ts:orders` is a file and an export; `C:\tasks.ts` is a file. */
function splitExport(given: string): readonly [path: string, exportName: string | undefined] {
  const match = /^(.{2,}):([\p{ID_Start}$_][\p{ID_Continue}$]*)$/u.exec(given)
  return match === null || existsSync(given) ? [given, undefined] : [match[1] ?? given, match[2]]
}

/** The file itself, or with an extension, or an index in the folder. */
function existing(path: string): string | undefined {
  const compiled = /\.[cm]?js$/.test(path) ? [path.replace(/js$/, 'ts')] : []
  const candidates = [
    path,
    ...compiled,
    ...extensions.map(extension => path + extension),
    ...extensions.map(extension => join(path, `index${extension}`)),
  ]
  return candidates.find(candidate => statSync(candidate, { throwIfNoEntry: false })?.isFile() === true)
}

function missing(wanted: string, source: string): AppLoadError {
  const near =
    nearestFile(wanted) ?? extensions.map(extension => nearestFile(wanted + extension)).find(file => file !== undefined)
  const hint = near === undefined ? '' : ` Did you mean ${relative(process.cwd(), near)}?`
  return new AppLoadError(`${wanted} does not exist (${source}).${hint}`, { details: { file: wanted } })
}

function appInPackageJson(root: string): string | undefined {
  const file = join(root, 'package.json')
  const section = readSection(file)
  if (section === undefined) return undefined
  const app = typeof section === 'object' && section !== null && 'app' in section ? section.app : undefined
  if (typeof app === 'string' && app !== '') return app
  throw new ConfigurationError(`"lovage" in ${file} is ${describe(section)}: expected {"app": "src/tasks.ts"}`)
}

function readSection(file: string): unknown {
  if (!existsSync(file)) return undefined
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { readonly lovage?: unknown }).lovage
  } catch (cause) {
    throw new ConfigurationError(`${file} is no JSON`, { cause, details: { file } })
  }
}
