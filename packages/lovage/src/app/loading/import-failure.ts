/** Why a project's file did not load, in words: file, line, cause and what to do. */
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppLoadError, coerceError, describe } from '../../core/errors.ts'
import { nearest } from '../../core/suggest.ts'

export function explainImportFailure(file: string, thrown: unknown): AppLoadError {
  const error = coerceError(thrown) as NodeJS.ErrnoException
  const message =
    missingModule(error) ?? missingExport(error) ?? syntaxError(error) ?? threwOnImport(file, error, thrown)
  return new AppLoadError(message, { cause: thrown, details: { file, code: error.code } })
}

function missingModule(error: NodeJS.ErrnoException): string | undefined {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' && error.code !== 'MODULE_NOT_FOUND') return undefined
  const bare = /^Cannot find package '([^']+)' imported from (.+)$/m.exec(error.message)
  if (bare !== null) return missingPackage(bare[1] ?? '', bare[2] ?? '')
  const path = /^Cannot find module '([^']+)' imported from (.+)$/m.exec(error.message)
  return path === null ? error.message : missingFile(path[1] ?? '', path[2] ?? '')
}

function missingPackage(name: string, importer: string): string {
  const isAlias = /^[@~]\//.test(name) || !/^(?:@[\w.~-]+\/)?[\w.~-]+$/.test(name)
  const remedy = isAlias
    ? `It looks like an alias: the nearest tsconfig.json has no "paths" that map it`
    : `Install it: npm i ${name}`
  return `${plainPath(importer)} imports '${name}', and there is no such package. ${remedy}`
}

function missingFile(path: string, importer: string): string {
  const wanted = plainPath(path)
  const near = nearestFile(wanted)
  return `${plainPath(importer)} imports ${wanted}, which does not exist (with any extension)${near === undefined ? '' : `. Did you mean ${near}?`}`
}

/** The file in the same folder whose name is nearest; undefined: none is near. */
export function nearestFile(path: string): string | undefined {
  const folder = dirname(path)
  if (!existsSync(folder)) return undefined
  const name = nearest(basename(path), readdirSync(folder))
  return name === undefined ? undefined : join(folder, name)
}

/** Mostly an interface imported like a value: Node erases types, it does not know which names are types. */
function missingExport(error: Error): string | undefined {
  const match = /requested module '([^']+)' does not provide an export named '([^']+)'/.exec(error.message)
  if (match === null) return undefined
  const place = placeOf(error) ?? 'A file'
  const [, module = '', name = ''] = match
  return `${place} imports ${name} from '${module}', which exports no such value. If it is a type write: import type { ${name} } from '${module}'`
}

function syntaxError(error: Error): string | undefined {
  if (!(error instanceof SyntaxError) || placeOf(error) === undefined) return undefined
  return `${placeOf(error)} has a syntax error: ${error.message}`
}

/** V8 puts the place of a syntax error before the stack: `file:///a/b.ts:3`. */
function placeOf(error: Error): string | undefined {
  const match = /^((?:file:\/\/)?\/.+?|[A-Za-z]:\\.+?):(\d+)\s*$/m.exec(error.stack?.split('\n    at ')[0] ?? '')
  return match === null ? undefined : `${plainPath(match[1] ?? '')}:${match[2]}`
}

function threwOnImport(file: string, error: Error, thrown: unknown): string {
  const what = thrown instanceof Error ? `${error.name}: ${error.message}` : `threw ${describe(thrown)}`
  return [`${file} threw while it was loaded. ${what}`, ...userFrames(error)].join('\n')
}

/** The stack without Node's frames and ours: where in the project it happened. */
export function userFrames(error: Error): string[] {
  const own = dirname(dirname(import.meta.dirname))
  const frames = (error.stack ?? '').split('\n').filter(line => /^\s+at /.test(line))
  return frames.filter(line => !line.includes('node:') && !plainPath(line).includes(own)).map(line => plainPath(line))
}

function plainPath(text: string): string {
  return text.replaceAll(/file:\/\/[^\s:)]+/g, url => fileURLToPath(url))
}
