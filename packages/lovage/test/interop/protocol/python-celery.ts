import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A Python that can import Celery. */
export interface PythonCelery {
  readonly python: string
  readonly version: string
}

/**
 * All that are found: those named in LOVAGE_TEST_PYTHON (several, separated by `:`), else the system's and the one on
 * the path. In CI a missing one is installed.
 * @throws {Error} CI has none, and it could not be installed.
 */
export function findPythonCelery(): PythonCelery[] {
  const found = search()
  if (found.length > 0 || !process.env['CI']) return found
  spawnSync(process.execPath, ['scripts/servers.js', 'python3-celery'], { stdio: 'inherit' })
  const installed = search()
  if (installed.length === 0) throw new Error('CI needs a Python with Celery, and it could not be installed.')
  return installed
}

function search(): PythonCelery[] {
  const candidates = process.env['LOVAGE_TEST_PYTHON']?.split(':') ?? ['python3', '/usr/bin/python3']
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
