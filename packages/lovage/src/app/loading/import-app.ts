/** Imports a project's file and finds the Lovage in it. For the command line and for the threads that run tasks. */
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AppLoadError, LovageError } from '../../core/errors.ts'
import { nearest } from '../../core/suggest.ts'
import { isApp } from '../internals.ts'
import type { AnyLovage } from '../lovage.ts'
import { explainImportFailure } from './import-failure.ts'

export interface ImportedApp {
  readonly app: AnyLovage
  /** Absolute. */
  readonly file: string
  /** What it is exported as. */
  readonly exportName: string
}

/**
 * Imports `file` and takes the export called `exportName`, else the only Lovage, else the one called `app`.
 * @param file absolute.
 * @throws {AppLoadError} it does not load, or holds no Lovage, or several.
 */
export async function importApp(file: string, exportName?: string): Promise<ImportedApp> {
  const found = appsOf(await importProjectFile(file))
  if (exportName !== undefined) return named({ file, exportName }, found)
  const distinct = new Set(found.apps.values())
  const name = found.apps.has('app') ? 'app' : distinct.size === 1 ? [...found.apps.keys()][0] : undefined
  if (name === undefined) throw distinct.size === 0 ? noAppError(file, found) : severalError(file, found)
  return named({ file, exportName: name }, found)
}

/**
 * Imports one file of the project for what it does: `-I`, or a file with tasks.
 * @throws {AppLoadError} with the original error as its cause.
 */
export async function importProjectFile(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>
  } catch (error) {
    if (error instanceof LovageError) throw error
    throw explainImportFailure(file, error)
  }
}

interface Found {
  readonly apps: ReadonlyMap<string, AnyLovage>
  readonly otherExports: readonly string[]
}

function appsOf(module: Readonly<Record<string, unknown>>): Found {
  const exports = Object.entries(exportsOf(module))
  return {
    apps: new Map(exports.flatMap(([name, value]) => (isApp(value) ? [[name, value] as const] : []))),
    otherExports: exports.filter(([, value]) => !isApp(value)).map(([name]) => name),
  }
}

/** A CommonJS file's exports are all in its default. */
function exportsOf(module: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { 'module.exports': _, default: fallback, ...named } = module
  if (!('default' in module)) return named
  if (isApp(fallback)) return { ...named, default: fallback }
  return typeof fallback === 'object' && fallback !== null ? { ...fallback, ...named } : { ...named, default: fallback }
}

function named({ file, exportName }: { file: string; exportName: string }, { apps, otherExports }: Found): ImportedApp {
  const app = apps.get(exportName)
  if (app !== undefined) return { app, file, exportName }
  const near = nearest(exportName, apps.keys())
  const hint = near === undefined ? '' : ` Did you mean ${basename(file)}:${near}?`
  const what = otherExports.includes(exportName)
    ? `exports "${exportName}", but that is no Lovage.`
    : `exports no "${exportName}".`
  throw new AppLoadError(
    `${file} ${what}${hint} Its apps: ${list(apps.keys())}; other exports: ${list(otherExports)}`,
    {
      details: { file, exportName },
    },
  )
}

function noAppError(file: string, { otherExports }: Found): AppLoadError {
  return new AppLoadError(
    `${file} was loaded and exports no Lovage (its exports: ${list(otherExports)}). ` +
      `Export the app from it, as in: export const app = new Lovage('mysite'), or name the file that does: -A path/to/file.ts`,
    { details: { file, exports: otherExports } },
  )
}

function severalError(file: string, { apps }: Found): AppLoadError {
  return new AppLoadError(
    `${file} exports several Lovages (${list(apps.keys())}) and none is called app. ` +
      `Say which: ${[...apps.keys()].map(name => `-A ${basename(file)}:${name}`).join(' or ')}`,
    { details: { file, exports: [...apps.keys()] } },
  )
}

function list(names: Iterable<string>): string {
  return [...names].join(', ') || 'none'
}
