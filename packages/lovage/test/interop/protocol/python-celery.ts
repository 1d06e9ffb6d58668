import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A Python that can import Celery. */
export interface PythonCelery {
  readonly python: string
  readonly version: string
}

/**
 * One of each version that is found: those named in TEST_PYTHON (several, separated by `:`), else the system's,
 * the one on the path, and the one that `node scripts/celery.js` installs. CI installs what is missing: Debian's, and the newest.
 * @throws {Error} CI has none, and it could not be installed.
 */
export function findPythonCelery(): PythonCelery[] {
  const found = search()
  if (!process.env['CI'] || hasBoth(found)) return found
  spawnSync(process.execPath, [pathOf('scripts/servers.js'), 'python3-celery', 'python3-venv'], { stdio: 'inherit' })
  spawnSync(process.execPath, [pathOf('scripts/celery.js')], { stdio: 'inherit' })
  const installed = search()
  if (!hasBoth(installed)) {
    const versions = installed.map(({ version }) => version).join(', ')
    throw new Error(`CI needs the distribution's Celery and the newest; it has ${versions === '' ? 'none' : versions}.`)
  }
  return installed
}

/** One of those that has Django too; undefined: none has. CI installs it. @throws {Error} CI could not. */
export function findPythonDjango(): PythonCelery | undefined {
  const find = (): PythonCelery | undefined => findPythonCelery().find(({ python }) => canImport(python, 'django'))
  const found = find()
  if (found !== undefined || !process.env['CI']) return found
  spawnSync(process.execPath, [pathOf('scripts/celery.js')], { stdio: 'inherit' })
  const installed = find()
  if (installed === undefined)
    throw new Error('CI needs a Python with Celery and Django, and it could not be installed.')
  return installed
}

function canImport(python: string, module: string): boolean {
  return spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0
}

/** What a distribution has is old, or is not the only one. */
function hasBoth(found: readonly PythonCelery[]): boolean {
  return found.length > 1
}

function pathOf(file: string): string {
  return fileURLToPath(new URL(`../../../../../${file}`, import.meta.url))
}

function search(): PythonCelery[] {
  const own = pathOf('node_modules/.cache/lovage-celery/bin/python')
  const candidates = process.env['TEST_PYTHON']?.split(':') ?? [own, 'python3', '/usr/bin/python3']
  const found = candidates.flatMap(python => {
    const version = versionOf(python)
    return version === undefined ? [] : [{ python, version }]
  })
  return found.filter((one, index) => found.findIndex(other => other.version === one.version) === index)
}

function versionOf(python: string): string | undefined {
  try {
    const code = 'import celery; print(celery.__version__)'
    return execFileSync(python, ['-c', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** Runs a script of this folder: JSON in, JSON out. */
export function runPython(python: string, script: string, input: unknown): unknown {
  const path = fileURLToPath(new URL(script, import.meta.url))
  return JSON.parse(execFileSync(python, [path], { encoding: 'utf8', input: JSON.stringify(input) }))
}
