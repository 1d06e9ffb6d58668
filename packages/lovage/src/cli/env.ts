/** `.env` and `.env.local`, read into variables that are not set; and which file gave which. */
import { readFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { ConfigurationError } from '../core/errors.ts'

export interface EnvFiles {
  /** The files that were there, as a person would name them from `cwd`. */
  readonly files: readonly string[]
  /** Variable → file that set it. */
  readonly sources: Readonly<Record<string, string>>
}

interface FileValue {
  readonly value: string
  readonly file: string
  readonly isNamed: boolean
}

/**
 * Sets variables of `env` that are unset or empty. A later file wins over an earlier one, as in Next: `.env.local` over `.env`, and
 * one that was named over both.
 * @param named what `--env-file` gave; they must exist.
 * @throws {ConfigurationError} a named file cannot be read.
 */
export function readEnvFiles(
  directories: readonly string[],
  named: readonly string[],
  env: NodeJS.ProcessEnv,
): EnvFiles {
  const usual = directories.flatMap(directory => ['.env', '.env.local'].map(name => resolve(directory, name)))
  const files: string[] = []
  const values = new Map<string, FileValue>()
  for (const path of new Set([...usual, ...named.map(name => resolve(name))])) {
    const isNamed = named.some(name => resolve(name) === path)
    const text = readIfThere(path, isNamed)
    if (text === undefined) continue
    const file = relative(process.cwd(), path) || path
    files.push(file)
    for (const [name, value] of Object.entries(parseEnv(text))) values.set(name, { value: value ?? '', file, isNamed })
  }
  return { files, sources: assign(values, env) }
}

function assign(values: ReadonlyMap<string, FileValue>, env: NodeJS.ProcessEnv): Record<string, string> {
  const sources: Record<string, string> = {}
  for (const [name, { value, file, isNamed }] of values) {
    // Node reads what `--env-file` names by itself, wherever it stands on the line: then it is set already
    const isNodes = isNamed && env[name] === value
    if ((env[name] ?? '') !== '' && !isNodes) continue
    env[name] = value
    sources[name] = file
  }
  return sources
}

function readIfThere(path: string, isNamed: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    if (!isNamed) return undefined
    throw new ConfigurationError(`--env-file ${path} cannot be read`, { cause, details: { path } })
  }
}
